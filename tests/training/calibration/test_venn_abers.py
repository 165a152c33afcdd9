"""Venn-Abers: exact at its knots, monotone, honest about dependence."""

import numpy as np
import pytest
from candlewire_training.calibration.rising_curve import STEEPEST
from candlewire_training.calibration.venn_abers import VennAbers, fit_venn_abers
from candlewire_training.export.graph_builder import GraphBuilder
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from tests.training.conftest import run_graph


def rows(seed: int, count: int = 800) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    generator = np.random.default_rng(seed)
    margin = generator.standard_normal(count).astype(np.float32).astype(np.float64)
    up = (generator.uniform(size=count) < 1 / (1 + np.exp(-margin))).astype(np.int32)
    return margin, up, np.arange(count) // 20


def test_the_knots_are_those_of_the_definition() -> None:
    margin, up, _ = rows(1)
    alone = np.arange(margin.size)
    calibrator = fit_venn_abers(margin, up, alone)
    for knot, low, high in zip(calibrator.knots, calibrator.low, calibrator.high, strict=True):
        for label, expected in ((0, low), (1, high)):
            weights = np.append(np.full(margin.size, 1 / calibrator.design_effect), 1.0)
            oracle = IsotonicRegression().fit(np.append(margin, knot), np.append(up, label), weights)
            assert float(oracle.predict([knot])[0]) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40)
@given(seed=st.integers(0, 1_000), count=st.integers(20, 400))
def test_the_interval_holds_the_probability_and_both_rise(seed: int, count: int) -> None:
    margin, up, blocks = rows(seed, count)
    calibrator = fit_venn_abers(margin, up, blocks)
    grid = np.linspace(-6, 6, 300)
    probability, low, high = calibrator.apply(grid)
    assert (low <= probability + 1e-12).all()
    assert (probability <= high + 1e-12).all()
    assert (np.diff(probability) >= -1e-12).all()
    assert ((probability >= 0) & (probability <= 1)).all()


def test_calibration_repairs_an_overconfident_member() -> None:
    margin, up, blocks = rows(3, 6_000)
    calibrator = fit_venn_abers(4.0 * margin, up, blocks)
    probability, _, _ = calibrator.apply(4.0 * margin)
    assert np.abs(probability - 1 / (1 + np.exp(-margin))).mean() < 0.03


def test_dependent_rows_widen_the_interval() -> None:
    margin, up, _ = rows(4, 400)
    alone = fit_venn_abers(margin, up, np.arange(400))
    copies = fit_venn_abers(np.repeat(margin, 10), np.repeat(up, 10), np.repeat(np.arange(400), 10))
    width = [np.mean(np.subtract(*calibrator.apply(margin)[:0:-1])) for calibrator in (alone, copies)]
    assert copies.design_effect == pytest.approx(10 * alone.design_effect, rel=0.01)
    # Ten copies of each row are no more evidence than the rows themselves.
    assert width[1] == pytest.approx(width[0], rel=0.1)


@pytest.mark.parametrize("seed", [5, 6])
def test_the_graph_agrees(seed: int) -> None:
    calibrator = fit_venn_abers(*rows(seed))
    check_graph(calibrator, np.linspace(-8, 8, 999))


@pytest.mark.parametrize("spread", [0.1, 0.02, 0.002])
def test_a_narrow_score_widens_the_interval_rather_than_its_slope(spread: float) -> None:
    """Pools of weak members say nearly the same of every row; a curve over them must not magnify rounding."""
    margin, up, blocks = rows(7)
    score = 0.55 + spread * (margin / np.abs(margin).max())
    plain = fit_venn_abers(score, up, blocks)
    gentle = fit_venn_abers(score, up, blocks, steepest=STEEPEST)
    assert np.diff(plain.high).max() > 0
    for name in ("low", "high"):
        slopes = np.diff(getattr(gentle, name)) / np.diff(gentle.knots)
        assert (slopes >= 0).all()
        assert slopes.max() <= STEEPEST * (1 + 1e-9)
    assert (gentle.low <= plain.low + 1e-12).all()
    assert (gentle.high >= plain.high - 1e-12).all()
    # On the whole the probability stays where the rows are.
    assert abs(gentle.apply(score)[0].mean() - up.mean()) < 0.06


def test_one_margin_for_all_rows() -> None:
    calibrator = fit_venn_abers(np.zeros(100), np.arange(100, dtype=np.int32) % 2, np.arange(100) // 10)
    assert calibrator.apply(np.array([3.0]))[0][0] == pytest.approx(0.5)
    check_graph(calibrator, np.linspace(-1, 1, 9))


def check_graph(calibrator: VennAbers, margin: np.ndarray) -> None:  # type: ignore[type-arg]
    X = margin.astype(np.float32).reshape(-1, 1)

    def build(graph: GraphBuilder) -> list[str]:
        return list(calibrator.export(graph, "features"))

    exported = run_graph(build, X)
    native = calibrator.apply(X[:, 0].astype(np.float64))
    for ours, graph in zip(native, exported, strict=True):
        np.testing.assert_allclose(graph[:, 0], ours, atol=2e-6)
