"""The demo's arithmetic: wrong numbers in a report are worse than none."""

import math

import numpy as np
import polars as pl
import pytest

from examples.demo.evaluation import block_bootstrap, evaluate, reliability, winkler, with_outcomes

DAY_NS = 86_400_000_000_000


def daily(symbol: str, closes: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(closes),
            "open_time_ns": [DAY_NS * (index + 1) for index in range(len(closes))],
            "close": closes,
        }
    )


def test_outcomes_never_cross_symbols() -> None:
    bars = pl.concat([daily("A", [1.0, 2.0, 4.0]), daily("B", [8.0, 8.0, 8.0])])
    outcomes = with_outcomes(bars, 1)
    assert outcomes["outcome"].to_list() == pytest.approx(
        [math.log(2), math.log(2), None, 0.0, 0.0, None], nan_ok=True
    )


def test_winkler_counts_width_and_misses() -> None:
    outcome = np.array([0.0, 3.0, -2.0])
    low, high = np.array([-1.0, -1.0, -1.0]), np.array([1.0, 1.0, 1.0])
    assert winkler(outcome, low, high, 0.1).tolist() == pytest.approx([2.0, 2.0 + 20 * 2.0, 2.0 + 20 * 1.0])


def test_block_interval_is_wider_than_rows_suggest() -> None:
    """Ten days of one shock count as about one observation, not as a thousand."""
    generator = np.random.default_rng(1)
    shocks = np.repeat(generator.normal(size=30), 400)
    blocks = np.repeat(np.arange(300), 40)
    estimate = block_bootstrap(shocks, blocks, block_days=10)
    naive_half = 1.96 * shocks.std() / math.sqrt(shocks.size)
    assert estimate.low < estimate.value < estimate.high
    assert estimate.high - estimate.low > 10 * naive_half


def test_reliability_bins_hold_every_row() -> None:
    probability = np.linspace(0.4, 0.6, 101)
    bins = reliability(probability, (probability > 0.5).astype(float))
    assert sum(part.rows for part in bins) == 101
    assert [part.predicted for part in bins] == sorted(part.predicted for part in bins)


def test_evaluate_sees_a_perfect_and_a_useless_band() -> None:
    generator = np.random.default_rng(3)
    bars = daily("A", np.exp(np.cumsum(generator.normal(0, 0.01, 400))).tolist())
    scores = bars.select("symbol", "open_time_ns").with_columns(
        probability_up=pl.lit(0.5),
        probability_low=pl.lit(0.4),
        probability_high=pl.lit(0.6),
        band_low=pl.lit(-1.0),
        band_high=pl.lit(1.0),
        signal=pl.lit("HOLD"),
        trusted=pl.lit(value=True),
    )
    common = {"horizon_bars": 5, "base_rate": 0.5, "volatility_quantile": 1.64, "target_coverage": 0.9}
    wide = evaluate(scores, bars, **common)
    assert wide.coverage.value == 1.0
    assert wide.winkler_ratio.value > 5
    assert wide.brier_gain.value == 0.0
    narrow = evaluate(scores.with_columns(band_low=pl.lit(5.0), band_high=pl.lit(6.0)), bars, **common)
    assert narrow.coverage.value == 0.0
