"""The band breathes, covers what it aims at on unseen rows, and its graph agrees."""

import json

import numpy as np
import pytest
from candlewire_training.arrays import F32, F64
from candlewire_training.bands.return_band import BandSettings, ReturnBand, conformalise, fit_return_band
from candlewire_training.bands.volatility_scale import fit_volatility_scale, volatility_columns
from candlewire_training.data.samples import preset_spec
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.validation.proper_scores import winkler

from tests.training.conftest import run_graph

COLUMNS = np.array([0, 1], dtype=np.int32)


def breathing(seed: int, rows: int = 6_000) -> tuple[F32, F64, F64]:
    """Rows whose first two columns foretell the variance, and whose third only skews the tails."""
    generator = np.random.default_rng(seed)
    volatility = 0.02 * np.exp(0.5 * generator.standard_normal(rows))
    noisy = volatility[:, None] * np.exp(0.2 * generator.standard_normal((rows, 2)))
    X = np.column_stack((noisy, generator.standard_normal(rows))).astype(np.float32)
    realised = volatility * generator.standard_normal(rows)
    return X, realised, volatility**2 * generator.chisquare(5, rows) / 5


def fitted(seed: int, *, coverage: float = 0.9, with_trees: bool = False) -> ReturnBand:
    X, realised, variance = breathing(seed)
    half = np.arange(3_000)
    band = fit_return_band(
        X,
        realised,
        variance,
        settings=BandSettings(target_coverage=coverage, horizon=1, threads=1),
        volatility=COLUMNS,
        holdout=(half, half + 3_000) if with_trees else None,
    )
    X, realised, _ = breathing(seed + 1)
    return conformalise(band, X, realised, np.arange(realised.size))


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_coverage_on_rows_never_seen(coverage: float) -> None:
    band = fitted(10, coverage=coverage)
    X, realised, _ = breathing(99, 20_000)
    low, mid, high = band.apply(X)
    assert ((low < mid) & (mid < high)).all()
    covered = float(np.mean((realised >= low) & (realised <= high)))
    assert covered == pytest.approx(coverage, abs=0.02)


def test_the_width_follows_volatility_and_beats_a_constant_one() -> None:
    band = fitted(20)
    X, realised, _ = breathing(77, 20_000)
    low, _, high = band.apply(X)
    constant = np.quantile(np.abs(breathing(21)[1]), 0.9)
    scores = [
        winkler(lower, upper, realised, target_coverage=0.9).mean()
        for lower, upper in ((low, high), (np.full(20_000, -constant), np.full(20_000, constant)))
    ]
    assert scores[0] < 0.95 * scores[1]
    assert np.corrcoef(high - low, X[:, 0])[0, 1] > 0.8


def test_the_conformal_width_repairs_a_scale_that_is_wrong() -> None:
    X, realised, variance = breathing(30)
    band = fit_return_band(
        X, realised / 3, variance, settings=BandSettings(horizon=1), volatility=COLUMNS, holdout=None
    )
    assert conformalise(band, X, realised, np.arange(realised.size)).multiplier == pytest.approx(3.0, rel=0.1)


def test_dependent_calibration_rows_widen_the_band() -> None:
    X, realised, variance = breathing(31, 300)
    band = fit_return_band(
        X, realised, variance, settings=BandSettings(horizon=1), volatility=COLUMNS, holdout=None
    )
    alone = conformalise(band, X, realised, np.arange(300))
    copies = conformalise(band, np.repeat(X, 5, axis=0), np.repeat(realised, 5), np.repeat(np.arange(300), 5))
    assert copies.multiplier == pytest.approx(alone.multiplier, rel=0.02)


def test_quantile_trees_must_earn_their_place() -> None:
    plain = fitted(40, with_trees=True)
    assert plain.trees is None
    assert plain.trees_winkler_ratio is not None
    assert plain.trees_winkler_ratio > 0.99
    earned = tailed_band()
    assert earned.trees is not None
    assert earned.trees_winkler_ratio is not None
    assert earned.trees_winkler_ratio < 0.99


def tailed_band() -> ReturnBand:
    """A band over rows whose third column, which the scale cannot see, doubles the spread."""
    X, realised, variance = breathing(41)
    half = np.arange(3_000)
    return fit_return_band(
        X,
        realised * np.where(X[:, 2] > 0, 3.0, 0.5),
        variance,
        settings=BandSettings(horizon=1, threads=1),
        volatility=COLUMNS,
        holdout=(half, half + 3_000),
    )


@pytest.mark.parametrize("make", [lambda: fitted(50), tailed_band], ids=["plain", "with trees"])
def test_the_graph_agrees(make) -> None:  # noqa: ANN001 - makes a band
    band = make()
    X = np.concatenate(
        (breathing(51, 3_000)[0], np.zeros((1, 3), np.float32), np.full((1, 3), 1e30, np.float32))
    )

    def build(graph: GraphBuilder) -> list[str]:
        return list(band.export(graph, "features"))

    for ours, exported in zip(band.apply(X), run_graph(build, X), strict=True):
        np.testing.assert_allclose(exported[:, 0], ours, rtol=2e-5, atol=1e-8)


def test_without_volatility_features_the_width_is_constant() -> None:
    X, realised, variance = breathing(60)
    nothing = np.zeros(0, dtype=np.int32)
    scale = fit_volatility_scale(X, variance, columns=nothing, horizon=1)
    assert np.unique(scale.apply(X)).size == 1
    band = fit_return_band(
        X, realised, variance, settings=BandSettings(horizon=1), volatility=nothing, holdout=None
    )
    exported = run_graph(lambda graph: list(band.export(graph, "features")), X)
    for ours, graph in zip(band.apply(X), exported, strict=True):
        np.testing.assert_allclose(graph[:, 0], ours, rtol=1e-5)


def test_the_core_preset_has_volatility_features() -> None:
    spec = preset_spec("core")
    names = [spec.names[column] for column in volatility_columns(spec.canonical_json)]
    assert {"atr_ratio_14", "realised_volatility_20", "high_low_range"} <= set(names)
    assert volatility_columns(json.dumps({"features": []})).size == 0
