"""Any ensemble of any kinds passes the parity gate as one graph, or is stopped for the right reason."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from candlewire_training.arrays import F32, I32
from candlewire_training.calibration.choosing import fit_calibrator
from candlewire_training.calibration.fitting import CalibrationRows, fit_direction
from candlewire_training.ensemble.contract import Ensemble
from candlewire_training.errors import ParityError
from candlewire_training.export.fused_graph import OUTPUTS, build_fused_graph
from candlewire_training.export.parity import ParityReport, check_parity
from candlewire_training.export.parity_rows import parity_rows
from candlewire_training.members.contract import KINDS, FitRows, Member, MemberSettings
from candlewire_training.members.registry import make_member
from candlewire_training.pipeline import TrainedModel
from candlewire_training.scoring_model import ScoringModel

from tests.training.members.made_rows import CLASSES

WEIGHTS = (0.3, 0.1, 0.2, 0.1, 0.1, 0.2)


def targets(trained: TrainedModel, classes: int) -> I32:
    """Terciles or halves of the forward return: what a real label looks like."""
    returns = trained.samples.forward_return
    edges = np.quantile(returns, [0.5] if classes == 2 else [1 / 3, 2 / 3])
    return np.searchsorted(edges, returns).astype(np.int32)


@pytest.fixture(scope="module", params=[2, 3])
def members(trained: TrainedModel, request: pytest.FixtureRequest) -> tuple[Member, ...]:
    """One of each kind, on real features."""
    classes, train = request.param, trained.split.train
    target = targets(trained, classes)[train]
    rows = FitRows(
        X=trained.samples.X[train], target=target, weight=np.ones(train.size), classes=CLASSES[classes]
    )
    return tuple(
        make_member(MemberSettings(kind=kind, trees=30, depth=4, learning_rate=0.1)).fit(rows)
        for kind in KINDS
    )


def model_of(
    trained: TrainedModel, members: tuple[Member, ...], ensemble: Ensemble, kind: str | None
) -> ScoringModel:
    classes = members[0].probabilities(trained.samples.X[:1]).shape[1]
    part = trained.split.calibration
    rows = CalibrationRows(
        X=trained.samples.X[part],
        target=targets(trained, classes)[part],
        weight=np.ones(part.size),
        blocks=np.arange(part.size) // 40,
        classes=CLASSES[classes],
    )
    calibrator = None
    if kind is not None:
        pooled = ensemble.pool(np.stack([member.probabilities(rows.X) for member in members], axis=1))
        calibrator = fit_calibrator(kind, pooled, rows.target, rows.weight)
    return replace(trained.model, direction=fit_direction(members, ensemble, rows, calibrator=calibrator))


def graph_of(trained: TrainedModel, model: ScoringModel) -> onnx.ModelProto:
    return build_fused_graph(model, features=len(trained.spec.names), metadata={})


def gate(trained: TrainedModel, model: ScoringModel, X: F32 | None = None) -> ParityReport:
    if X is None:
        X = parity_rows(trained.samples.X, model.split_points(), seed=2, rows=8_000)
    graph = graph_of(trained, model).SerializeToString()
    return check_parity(model, graph, X, decision_thresholds=(0.6, 0.4))


@pytest.mark.parametrize("kind", [None, "identity", "temperature", "platt", "isotonic"])
def test_all_kinds_in_one_graph(trained: TrainedModel, members: tuple[Member, ...], kind: str | None) -> None:
    model = model_of(trained, members, Ensemble(weights=WEIGHTS), kind)
    report = gate(trained, model)
    assert report.largest_probability_difference <= 1e-5
    assert all(counts["flips"] == 0 for counts in report.decisions.values())
    assert ("most probable class" in report.decisions) == (len(model.classes) == 3)
    scores = model.score(trained.samples.X[:500])
    assert (scores.probability_low <= scores.up + 1e-12).all()
    assert (scores.up <= scores.probability_high + 1e-12).all()
    np.testing.assert_allclose(scores.probabilities.sum(axis=1), 1.0, atol=1e-9)


def test_hard_votes(trained: TrainedModel, members: tuple[Member, ...]) -> None:
    model = model_of(trained, members[:3], Ensemble(weights=(0.5, 0.3, 0.2), rule="vote"), "platt")
    report = gate(trained, model)
    assert report.batch_sizes == (1, 7, 64, 1024)
    assert all(counts["flips"] == 0 for counts in report.decisions.values())


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_each_kind_alone(trained: TrainedModel, members: tuple[Member, ...], number: int) -> None:
    model = model_of(trained, (members[number],), Ensemble(weights=(1.0,)), None)
    assert gate(trained, model).largest_probability_difference <= 1e-5


def test_a_lone_boosted_member_of_two_classes_stays_cheap(
    trained: TrainedModel, members: tuple[Member, ...]
) -> None:
    alone = graph_of(trained, model_of(trained, (members[0],), Ensemble(weights=(1.0,)), None))
    logarithms = [node for node in alone.graph.node if node.op_type in {"ReduceLogSum", "Softmax"}]
    if len(members[0].probabilities(trained.samples.X[:1])[0]) == 2:
        # Its margin goes straight into the calibration. (The band's scale has logarithms of its own.)
        assert not [node for node in logarithms if node.op_type == "Softmax"]


def test_members_of_zero_weight_are_not_in_the_graph(
    trained: TrainedModel, members: tuple[Member, ...]
) -> None:
    weights = (0.5, 0.0, 0.0, 0.0, 0.0, 0.5)
    model = model_of(trained, members, Ensemble(weights=weights), "temperature")
    assert [member.name for member in model.members] == ["xgboost", "logistic"]
    graph = graph_of(trained, model)
    trees = [node for node in graph.graph.node if node.op_type == "TreeEnsembleRegressor"]
    assert len(trees) == 1 + 2 * (getattr(model.band, "trees", None) is not None)


def test_a_wrong_weight_is_caught(trained: TrainedModel, members: tuple[Member, ...]) -> None:
    honest = model_of(trained, members, Ensemble(weights=WEIGHTS), "identity")
    other = (0.1, 0.3, 0.2, 0.1, 0.1, 0.2)
    wrong = replace(honest, direction=replace(honest.direction, ensemble=Ensemble(weights=other)))
    X = parity_rows(trained.samples.X, honest.split_points(), seed=2, rows=3_000)
    with pytest.raises(ParityError, match="probabilities differs"):
        check_parity(honest, graph_of(trained, wrong).SerializeToString(), X, decision_thresholds=(0.6, 0.4))


def test_the_graph_runs_under_plain_onnxruntime(trained: TrainedModel, members: tuple[Member, ...]) -> None:
    model = model_of(trained, members, Ensemble(weights=WEIGHTS), "platt")
    session = ort.InferenceSession(
        graph_of(trained, model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    X = trained.samples.X[:300]
    outputs = dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"features": X}), strict=True))
    np.testing.assert_allclose(outputs["probabilities"], model.score(X).probabilities, atol=1e-5)
    assert outputs["member_probabilities"].shape == (300, len(KINDS), len(model.classes))
