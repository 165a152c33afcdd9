"""The tree kernel says of every exported member what ONNX Runtime says of it, to the bit."""

import logging
from dataclasses import replace

import candlewire_features as cf
import numpy as np
import onnx
import pytest
from candlewire_training.arrays import F32
from candlewire_training.errors import SettingsError
from candlewire_training.export.graph_builder import ML_DOMAIN
from candlewire_training.export.parity import PROBABILITY_TOLERANCE
from candlewire_training.export.runtime import one_thread_session
from candlewire_training.members.contract import KINDS, Member, MemberSettings
from candlewire_training.pipeline import TrainedModel
from candlewire_training.validation.folds import RowTimes, walk_forward_folds
from candlewire_training.validation.member_scoring import (
    KernelMember,
    MemberScoring,
    exported_member,
)
from candlewire_training.validation.walk_forward import out_of_fold

from tests.training.members.made_rows import FEATURES, at_thresholds, features, fitted

TREE_KINDS = tuple(kind for kind in KINDS if kind != "logistic")
INSTRUCTIONS = (None, "portable", "avx2", "avx512")
BATCHES = (1, 2, 7, 8, 63, 64, 65, 1000, 1024)
# Rows that are scored in batches of one; a larger batch gets more of them.
LEAST_ROWS = 130


def rows_of(member: Member, *, thresholds: int = 300) -> F32:
    """Rows at thresholds and one unit beside them, rows with gaps and whole rows of what is not finite."""
    wild = np.repeat(np.array([[np.nan], [np.inf], [-np.inf], [0.0], [-0.0], [1e-45]]), FEATURES, axis=1)
    parts = (at_thresholds(member, most=thresholds), features(21, 120), features(22, 500, missing=0.3), wild)
    return np.random.default_rng(5).permutation(np.concatenate(parts).astype(np.float32))


def raw_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with the results of its trees as outputs too."""
    raw = onnx.ModelProto()
    raw.CopyFrom(model)
    named = {output.name for output in raw.graph.output}
    for node in raw.graph.node:
        if node.domain == ML_DOMAIN and node.output[0] not in named:
            raw.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
    return raw


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", TREE_KINDS)
def test_every_kind_has_the_bits_of_one_thread_onnx_runtime(kind: str, classes: int) -> None:
    member = fitted(kind, classes, missing=0.1)
    model = exported_member(member, features=FEATURES, classes=classes)
    session = one_thread_session(raw_model(model).SerializeToString())
    scorers = [
        cf.TreeScorer(model.SerializeToString(), instructions=instructions) for instructions in INSTRUCTIONS
    ]
    kernels = [KernelMember(model, scorer, threads=2) for scorer in scorers]
    names = [output.name for output in session.get_outputs()]
    X = rows_of(member)
    assert X.shape[0] > max(BATCHES)
    for scorer in scorers:
        assert scorer.is_complete, scorer.report
        assert len(scorer.outputs) == sum(node.domain == ML_DOMAIN for node in model.graph.node)
    for batch in BATCHES:
        for start in range(0, max(LEAST_ROWS, batch), batch):
            rows = X[start : start + batch]
            wanted = dict(zip(names, session.run(names, {"features": rows}), strict=True))
            for scorer, kernel in zip(scorers, kernels, strict=True):
                for name, scores in scorer.score(rows).items():
                    assert scores.tobytes() == wanted[name].tobytes(), (batch, scorer.report)
                said = kernel.probabilities(rows).astype(np.float32)
                assert said.tobytes() == wanted["probabilities"].tobytes(), (batch, scorer.report)
    finite = X[np.isfinite(X).all(axis=1)]
    native = member.probabilities(finite)
    assert np.abs(kernels[0].probabilities(finite) - native).max() <= PROBABILITY_TOLERANCE


@pytest.mark.parametrize("attribute", ["target_weights", "nodes_values"])
@pytest.mark.parametrize("kind", TREE_KINDS)
def test_one_changed_leaf_or_threshold_is_seen(kind: str, attribute: str) -> None:
    member = fitted(kind, 2)
    model = exported_member(member, features=FEATURES, classes=2)
    X = rows_of(member, thresholds=10_000)
    wanted = cf.TreeScorer(model.SerializeToString()).score(X)
    (node,) = (node for node in model.graph.node if node.domain == ML_DOMAIN)
    (values,) = (found.floats for found in node.attribute if found.name == attribute)
    if attribute == "target_weights":
        # One unit in the last place of a small leaf can be lost in the rounding of the sum.
        place = int(np.argmax(np.abs(values)))
        values[place] *= 1.0001
    else:
        # The first node is the root of the first tree: every row meets its threshold.
        values[0] = np.nextafter(np.float32(values[0]), np.float32(np.inf))
    changed = cf.TreeScorer(model.SerializeToString()).score(X)
    assert any(wanted[name].tobytes() != changed[name].tobytes() for name in wanted)


def test_a_walk_scored_by_the_kernel_agrees_with_the_libraries(
    trained: TrainedModel, caplog: pytest.LogCaptureFixture
) -> None:
    samples = trained.samples
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    folds = walk_forward_folds(times, folds=3, embargo_bars=5)
    members = (MemberSettings(kind="xgboost", trees=25), MemberSettings(kind="logistic"))
    native = out_of_fold(samples, folds, members)
    with caplog.at_level(logging.WARNING):
        kernel = out_of_fold(samples, folds, members, scoring=MemberScoring("kernel"))
    assert np.abs(native.members - kernel.members).max() <= PROBABILITY_TOLERANCE
    # float32, as the graph gives them: the kernel did score them.
    trees = kernel.members[:, 0]
    assert np.array_equal(trees.astype(np.float32).astype(np.float64), trees)
    assert np.array_equal(native.members[:, 1], kernel.members[:, 1])
    assert [record.getMessage() for record in caplog.records] == [
        "scoring kernel: logistic is scored by its own library: it has no trees"
    ]
    assert kernel.scored_by != native.scored_by


def test_a_member_that_never_splits_is_scored_by_its_own_library(caplog: pytest.LogCaptureFixture) -> None:
    member = fitted("xgboost", 2, leaf_share=0.5, trees=3)
    assert not member.split_points()
    scoring = MemberScoring("kernel")
    X = features(3, 10)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            said = scoring.of(member, features=FEATURES, classes=2)(X)
    assert np.array_equal(said, member.probabilities(X))
    assert len(caplog.records) == 1


def test_an_unknown_way_is_refused(trained: TrainedModel) -> None:
    with pytest.raises(SettingsError, match="scoring 'gpu' is unknown; use one of native, kernel"):
        MemberScoring("gpu")
    with pytest.raises(SettingsError, match="scoring 'gpu' is unknown"):
        replace(trained.settings, scoring="gpu")
