"""Every kind's graph says what its library says: at thresholds, beside them, on missing and huge values."""

import dataclasses

import numpy as np
import onnxruntime as ort
import pytest
from candlewire_training.arrays import F32
from candlewire_training.errors import SettingsError
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.export.tree_ensemble import TreeEnsemble, round_down
from candlewire_training.members.contract import KINDS, Member
from candlewire_training.members.lightgbm_member import LightGBMMember
from candlewire_training.members.registry import make_member

from tests.training.members.made_rows import (
    FEATURES,
    at_thresholds,
    classes_of,
    features,
    fit_rows,
    fitted,
    quick,
)

TREE_KINDS = tuple(kind for kind in KINDS if kind != "logistic")


def exported(member: Member) -> ort.InferenceSession:
    graph = GraphBuilder()
    graph.output(member.export(graph, "features"), "probabilities", ["N", "C"])
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(
        graph.model(features=FEATURES, metadata={}).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )


def said(session: ort.InferenceSession, X: F32) -> F32:
    (result,) = session.run(None, {"features": X})
    return np.asarray(result)


def everything(member: Member) -> F32:
    extremes = np.repeat(features(7, 12), 2, axis=0)
    extremes[::2] = np.float32(3e38)
    extremes[1::2, ::2] = np.float32(-3e38)
    zeroes = np.zeros((2, FEATURES), dtype=np.float32)
    zeroes[1] = -0.0
    return np.concatenate(
        (features(3, 2_000), features(4, 2_000, missing=0.2), at_thresholds(member), extremes, zeroes)
    )


def check(member: Member, X: F32) -> None:
    native, graph = member.probabilities(X), said(exported(member), X)
    np.testing.assert_allclose(graph, native, atol=1e-6)
    ordered = np.sort(native, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 2e-6
    np.testing.assert_array_equal(graph.argmax(axis=1)[clear], native.argmax(axis=1)[clear])


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_says_what_the_library_says(kind: str, classes: int, missing: float) -> None:
    member = fitted(kind, classes, missing=missing)
    X = everything(member)
    check(member, X)
    # The member learnt something, so the comparison is not one of constants.
    assert np.ptp(member.probabilities(X)[:, -1]) > 0.3


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_the_same_bits_in_any_batch(kind: str, classes: int) -> None:
    member = fitted(kind, classes)
    session, X = exported(member), features(5, 1_024, missing=0.05)
    whole = said(session, X)
    for size in (1, 7, 64):
        parts = np.concatenate([said(session, X[start : start + size]) for start in range(0, 1_024, size)])
        assert parts.tobytes() == whole.tobytes(), f"batches of {size}"


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm", "gradient_boosting"])
@pytest.mark.parametrize("classes", [2, 3])
def test_early_stopping_is_exported_too(kind: str, classes: int) -> None:
    settings = quick(kind, trees=400, learning_rate=0.5, row_share=1.0)
    rows = fit_rows(classes, validation=True)
    member = make_member(settings).fit(rows)
    held_back = rows.validation
    assert held_back is not None

    def loss(fitted_member: Member) -> float:
        chosen = np.take_along_axis(
            fitted_member.probabilities(held_back.X), held_back.target[:, None].astype(np.int64), axis=1
        )
        return float(np.average(-np.log(chosen[:, 0]), weights=held_back.weight))

    full = make_member(settings).fit(dataclasses.replace(rows, validation=None))
    assert len(tree_sums(member)[0].trees) < len(tree_sums(full)[0].trees) / 2
    assert loss(member) < loss(full)
    check(member, everything(member))


@pytest.mark.parametrize("kind", TREE_KINDS)
def test_a_wrong_leaf_is_seen(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    member = fitted(kind, 3)
    X = everything(member)
    honest = TreeEnsemble.export

    def lying(ensemble: TreeEnsemble, graph: GraphBuilder, name: str) -> str:
        first = ensemble.trees[0]
        value = first.value.copy()
        value[np.flatnonzero(first.left < 0)[0]] += 1e-2
        trees = (dataclasses.replace(first, value=value), *ensemble.trees[1:])
        return honest(dataclasses.replace(ensemble, trees=trees), graph, name)

    monkeypatch.setattr(TreeEnsemble, "export", lying)
    # A vector of equal steps would cancel in a softmax, so one class is enough to differ.
    if kind == "xgboost":
        member = fitted(kind, 2)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(member, X)


def test_multi_output_trees_are_fewer_nodes_than_a_tree_for_each_class() -> None:
    together, apart = (fitted("xgboost", 3, multi_output=chosen) for chosen in (True, False))
    check(apart, everything(apart))
    assert len(tree_sums(together)) == 1
    assert len(tree_sums(apart)) == 3


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("classes", [2, 3])
def test_transfer_folds_the_pooled_trees_into_one_export(kind: str, classes: int) -> None:
    pooled = fitted(kind, classes)
    own = make_member(quick(kind, trees=8)).fit(fit_rows(classes, seed=40, count=600), start=pooled)
    sums, pooled_sums = tree_sums(own), tree_sums(pooled)
    assert len(sums[0].trees) == len(pooled_sums[0].trees) + 8
    check(own, everything(own))
    # It starts from what the pooled model knows: better than eight rounds alone.
    alone = make_member(quick(kind, trees=8)).fit(fit_rows(classes, seed=40, count=600))
    X = features(41, 4_000)
    target = classes_of(X, classes, 41).astype(np.int64)[:, None]
    losses = [-np.log(np.take_along_axis(m.probabilities(X), target, axis=1)).mean() for m in (own, alone)]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
def test_transfer_with_early_stopping_keeps_the_pooled_trees(kind: str) -> None:
    pooled = fitted(kind, 2)
    rows = fit_rows(2, seed=40, count=600, validation=True)
    own = make_member(quick(kind, trees=200, learning_rate=0.5)).fit(rows, start=pooled)
    assert len(tree_sums(own)[0].trees) > len(tree_sums(pooled)[0].trees)
    check(own, everything(own))


@pytest.mark.parametrize("kind", ["random_forest", "gradient_boosting", "extra_trees", "logistic"])
def test_kinds_that_cannot_transfer_say_so(kind: str) -> None:
    with pytest.raises(SettingsError, match="transfer is for xgboost and lightgbm"):
        make_member(quick(kind)).fit(fit_rows(2), start=fitted("logistic", 2))


def test_transfer_from_another_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="start from one of kind lightgbm"):
        make_member(quick("lightgbm")).fit(fit_rows(2), start=fitted("xgboost", 2))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_member(kind: str) -> None:
    X = features(11, 300)
    first, second, other = (
        fitted(kind, 3, seed=seed, threads=threads, trees=4).probabilities(X)
        for seed, threads in ((7, 1), (7, 2), (8, 1))
    )
    np.testing.assert_array_equal(first, second)
    if kind != "logistic":
        assert (first != other).any()


@pytest.mark.parametrize("kind", KINDS)
def test_importances_name_the_features_that_matter(kind: str) -> None:
    importances = fitted(kind, 2).importances()
    assert importances.shape == (FEATURES,)
    assert importances.sum() == pytest.approx(1.0)
    # Column 3 and 5 are noise, column 0 is signal in every kind's eyes.
    assert importances[0] > 2 * max(importances[3], importances[5])


@pytest.mark.parametrize("kind", KINDS)
def test_weights_count(kind: str) -> None:
    rows = fit_rows(2)
    heavy = dataclasses.replace(rows, weight=np.where(rows.target == 1, 5.0, 0.5))
    X = features(12, 500)
    plain, weighted = (make_member(quick(kind)).fit(each).probabilities(X)[:, -1] for each in (rows, heavy))
    assert weighted.mean() > plain.mean() + 0.1


def test_doubles_are_rounded_down_for_float32_features() -> None:
    thresholds = np.array([0.1, -0.1, 1e-50, -1e-50, 1e300, -1e300, 2.5, 1.0000000180025095e-35])
    rounded = round_down(thresholds)
    with np.errstate(over="ignore"):
        neighbours = [np.nextafter(rounded, np.float32(side)) for side in (np.inf, -np.inf)]
    for x in (rounded, *neighbours):
        np.testing.assert_array_equal(x.astype(np.float64) <= thresholds, x <= rounded)


def test_a_lightgbm_threshold_between_two_floats_is_not_rounded_up() -> None:
    # A column of adjacent float32 values: LightGBM splits between them at a double.
    base = np.float32(0.1)
    ladder = [base]
    for _ in range(63):
        ladder.append(np.nextafter(ladder[-1], np.float32(1.0)))
    X = np.tile(np.asarray(ladder, dtype=np.float32), 20).reshape(-1, 1)
    target = (np.arange(X.shape[0]) % 64 >= 31).astype(np.int32)
    X = np.concatenate([X, np.zeros((X.shape[0], FEATURES - 1), dtype=np.float32)], axis=1)
    rows = dataclasses.replace(fit_rows(2), X=X, target=target, weight=np.ones(target.size))
    member = make_member(quick("lightgbm", row_share=1.0, feature_share=1.0)).fit(rows)
    assert isinstance(member, LightGBMMember)
    check(member, X)
    assert np.ptp(member.probabilities(X)[:, 1]) > 0.5


def tree_sums(member: Member) -> tuple[TreeEnsemble, ...]:
    ensembles: tuple[TreeEnsemble, ...] = member.ensembles()  # type: ignore[attr-defined]
    return ensembles
