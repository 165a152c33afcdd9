"""Calibrators repair what they can, the best is chosen out of fold, and their graphs agree."""

import numpy as np
import pytest
from candlewire_training.arrays import F64, I32, I64
from candlewire_training.calibration.choosing import (
    CALIBRATORS,
    LEAST_ROWS,
    VENN_ABERS,
    calibrator_of,
    choose_calibrator,
    class_log_loss,
    fit_calibrator,
)
from candlewire_training.ensemble.profile import OutOfFoldRows
from candlewire_training.errors import SettingsError, TooFewBarsError
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.export.runtime import one_thread_session


def rows(seed: int, classes: int, count: int = 4_000, *, sharpness: float = 1.0) -> tuple[F64, I32, F64, I64]:
    """Forecasts that are `sharpness` times as sure as they should be."""
    generator = np.random.default_rng(seed)
    scores = generator.standard_normal((count, classes))
    honest = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    uniform = generator.uniform(size=(count, 1))
    target = (uniform > honest.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    said = np.exp(sharpness * scores)
    return (
        said / said.sum(axis=1, keepdims=True),
        target.astype(np.int32),
        np.ones(count),
        np.arange(count) // 20,
    )


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", sorted(CALIBRATORS))
def test_the_graph_agrees(kind: str, classes: int) -> None:
    probabilities, target, weight, _ = rows(1, classes, sharpness=2.5)
    calibrator = fit_calibrator(kind, probabilities, target, weight)
    sure = np.eye(classes)[:1]
    X = np.concatenate((rows(2, classes, sharpness=2.5)[0], sure)).astype(np.float32)
    graph = GraphBuilder()
    named = graph.add("Abs", "features")
    graph.output(graph.add("Abs", calibrator.export(graph, named)), "calibrated", ["N", classes])
    session = one_thread_session(graph.model(features=classes, metadata={}).SerializeToString())
    (exported,) = session.run(None, {"features": X})
    native = calibrator.apply(X.astype(np.float64))
    np.testing.assert_allclose(exported, native, atol=4e-6)
    np.testing.assert_allclose(native.sum(axis=1), 1.0, atol=1e-9)
    for size in (1, 7, 64):
        parts = np.concatenate(
            [session.run(None, {"features": X[start : start + size]})[0] for start in range(0, len(X), size)]
        )
        assert parts.tobytes() == exported.tobytes(), f"batches of {size}"


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", ["temperature", "platt", "isotonic"])
def test_calibration_repairs_overconfidence(kind: str, classes: int) -> None:
    probabilities, target, weight, _ = rows(3, classes, sharpness=3.0)
    calibrator = fit_calibrator(kind, probabilities, target, weight)
    unseen, happened, _, _ = rows(4, classes, sharpness=3.0)
    before, after = (class_log_loss(said, happened).mean() for said in (unseen, calibrator.apply(unseen)))
    assert after < before - 0.1


def test_a_bias_of_class_is_seen_by_platt_alone() -> None:
    probabilities, target, weight, _ = rows(5, 3)
    biased = probabilities * np.array([0.2, 1.0, 3.0])
    biased /= biased.sum(axis=1, keepdims=True)
    losses = {
        kind: class_log_loss(fit_calibrator(kind, biased, target, weight).apply(biased), target).mean()
        for kind in ("temperature", "platt")
    }
    assert losses["platt"] < losses["temperature"] - 0.05


def test_honest_forecasts_are_left_alone() -> None:
    choice = choose_calibrator(*rows(6, 3, 2_000))
    assert choice.log_loss["identity"] <= min(choice.log_loss.values()) + 2e-3
    assert set(choice.log_loss) == set(CALIBRATORS)
    assert choice_kind(rows(7, 3, 20_000, sharpness=2.0)) == "temperature"


def test_noise_does_not_choose_the_flexible_one() -> None:
    # Forecasts that know nothing, said with confidence: a constant is right.
    generator = np.random.default_rng(8)
    probabilities = generator.dirichlet(np.ones(2), 300)
    target = generator.integers(0, 2, 300).astype(np.int32)
    assert choice_kind((probabilities, target, np.ones(300), np.arange(300) // 20)) != "isotonic"


def test_weights_count() -> None:
    probabilities, target, _, _ = rows(9, 2)
    weight = np.where(target == 1, 10.0, 1.0)
    for kind in ("platt", "isotonic"):
        said = fit_calibrator(kind, probabilities, target, weight).apply(probabilities)
        assert said[:, 1].mean() > 0.7


def test_an_unknown_calibrator_is_refused() -> None:
    probabilities, target, weight, _ = rows(10, 2, 50)
    with pytest.raises(SettingsError, match="calibrator 'beta' is unknown"):
        fit_calibrator("beta", probabilities, target, weight)


def judged(made: tuple[F64, I32, F64, I64]) -> tuple[F64, OutOfFoldRows]:
    probabilities, target, weight, blocks = made
    rows_of = OutOfFoldRows(
        members=probabilities[:, None],
        target=target,
        weight=weight,
        blocks=blocks,
        known_from_ns=np.arange(target.size),
    )
    return probabilities, rows_of


def test_auto_is_judged_beside_venn_abers() -> None:
    probabilities, happened = judged(rows(11, 2, 20_000, sharpness=3.0))
    choice = calibrator_of("auto", probabilities, happened)
    assert set(choice.log_loss) == {VENN_ABERS, *CALIBRATORS}
    assert choice.log_loss[choice.kind] <= min(choice.log_loss.values()) + 1e-4
    # Forecasts three times too sure: to leave them alone is the worst of all.
    assert max(choice.log_loss, key=choice.log_loss.__getitem__) == "identity"
    assert (choice.calibrator is None) == (choice.kind == VENN_ABERS)


def test_few_rows_are_left_to_venn_abers_or_refused() -> None:
    probabilities, happened = judged(rows(12, 2, LEAST_ROWS - 1))
    choice = calibrator_of("auto", probabilities, happened)
    assert (choice.kind, choice.calibrator, choice.log_loss) == (VENN_ABERS, None, {})
    with pytest.raises(TooFewBarsError, match="calibrator platt: only 499 out-of-fold rows"):
        calibrator_of("platt", probabilities, happened)


def test_rows_that_settle_later_do_not_count() -> None:
    _, happened = judged(rows(13, 2, 1_000))
    assert happened.before(99).target.size == 100


def choice_kind(made: tuple[F64, I32, F64, I64]) -> str:
    return choose_calibrator(*made).kind
