"""Candlestick patterns equal TA-Lib's, bar by bar, and know what a running sum forgets."""

from __future__ import annotations

from typing import Any

import candlewire_features as cf
import candlewire_features.talib as talib_of_ours
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import talib
from talib import abstract

from tests.features.conftest import PRICES, load

PATTERNS = [
    "cdl2crows",
    "cdl3blackcrows",
    "cdl3inside",
    "cdl3linestrike",
    "cdl3outside",
    "cdl3starsinsouth",
    "cdl3whitesoldiers",
    "cdlabandonedbaby",
    "cdladvanceblock",
    "cdlbelthold",
    "cdlbreakaway",
    "cdlclosingmarubozu",
    "cdlconcealbabyswall",
    "cdlcounterattack",
    "cdldarkcloudcover",
    "cdldoji",
    "cdldojistar",
    "cdldragonflydoji",
    "cdlengulfing",
    "cdleveningdojistar",
    "cdleveningstar",
    "cdlgapsidesidewhite",
    "cdlgravestonedoji",
    "cdlhammer",
    "cdlhangingman",
    "cdlharami",
    "cdlharamicross",
    "cdlhighwave",
    "cdlhikkake",
    "cdlhikkakemod",
    "cdlhomingpigeon",
    "cdlidentical3crows",
    "cdlinneck",
    "cdlinvertedhammer",
    "cdlkicking",
    "cdlkickingbylength",
    "cdlladderbottom",
    "cdllongleggeddoji",
    "cdllongline",
    "cdlmarubozu",
    "cdlmatchinglow",
    "cdlmathold",
    "cdlmorningdojistar",
    "cdlmorningstar",
    "cdlonneck",
    "cdlpiercing",
    "cdlrickshawman",
    "cdlrisefall3methods",
    "cdlseparatinglines",
    "cdlshootingstar",
    "cdlshortline",
    "cdlspinningtop",
    "cdlstalledpattern",
    "cdlsticksandwich",
    "cdltakuri",
    "cdltasukigap",
    "cdlthrusting",
    "cdltristar",
    "cdlunique3river",
    "cdlupsidegap2crows",
    "cdlxsidegap3methods",
]
PENETRATIONS = {
    "cdlabandonedbaby": 0.1,
    "cdldarkcloudcover": 0.2,
    "cdleveningdojistar": 0.1,
    "cdleveningstar": 0.7,
    "cdlmathold": 0.3,
    "cdlmorningdojistar": 0.1,
    "cdlmorningstar": 0.7,
}
SERIES = [
    ("us_stocks_1d.parquet", "AAPL"),
    ("us_stocks_1d.parquet", "CHK"),
    ("us_stocks_long_1d.parquet", "WMT"),
    ("us_stocks_long_1d.parquet", "DRYS"),
    ("indices_1d.parquet", "SPX_1950"),
    ("crypto_1h.parquet", "BTCUSD-COINBASE"),
    ("crypto_1m.parquet", "BTCUSDT"),
    ("fx_1h.parquet", "EURUSD"),
    ("us_equities_5m.parquet", "SPY"),
]
Floats = npt.NDArray[np.float64]


def theirs(pattern: str, prices: list[Floats], penetration: float | None) -> npt.NDArray[np.int32]:
    function = getattr(talib, pattern.upper())
    extra = {} if penetration is None else {"penetration": penetration}
    return np.asarray(function(*prices, **extra))


def lookback(pattern: str) -> int:
    return int(abstract.Function(pattern.upper()).lookback)


def assert_parity(frame: pl.DataFrame) -> dict[str, int]:
    """Compares every pattern; returns how many candles of each were found."""
    prices = [np.ascontiguousarray(frame[name].to_numpy()) for name in PRICES[:4]]
    variants: list[tuple[str, str, float | None]] = [(name, name, None) for name in PATTERNS]
    variants += [(f"{name}.{value}", name, value) for name, value in PENETRATIONS.items()]
    requests: list[Any] = [
        (label, name, {} if value is None else {"penetration": value}) for label, name, value in variants
    ]
    ours = cf.compute(frame, cf.FeatureSpec(requests))
    found = {}
    for column, (label, name, penetration) in enumerate(variants):
        first = lookback(name)
        assert np.isnan(ours[:first, column]).all(), f"{label}: valid before TA-Lib"
        mine = ours[first:, column].astype(np.int64)
        reference = theirs(name, prices, penetration)[first:]
        found[name] = int(np.count_nonzero(mine))
        for bar in first + np.flatnonzero(mine != reference):
            # TA-Lib's running averages drift, which decides where a candle is exactly as large as its limit.
            # Started at this very candle it has no past to drift from, and must agree by the bit.
            fresh = theirs(name, [price[bar - first : bar + 1] for price in prices], penetration)
            assert fresh[-1] == ours[bar, column], (
                f"{label} bar {bar}: {ours[bar, column]}, TA-Lib {fresh[-1]}"
            )
    return found


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), SERIES)
def test_patterns_equal_talib_on_real_bars(file: str, symbol: str) -> None:
    frame = load(file, symbol)
    assert len(frame) > 1000, f"{file} {symbol}: too few bars to compare"
    assert_parity(frame)


def walk(seed: int, count: int, tick: float) -> pl.DataFrame:
    """Candles whose bodies, shadows and gaps are of very different sizes, on a grid of prices."""
    random = np.random.default_rng(seed)
    size = random.choice([0.02, 0.3, 1.0, 3.0], (4, count))
    body = random.normal(0.0, 1.0, count) * size[0]
    gap = random.normal(0.0, 0.5, count) * size[1] * random.integers(0, 2, count)
    close = 1000.0 + 30.0 * np.sin(np.arange(count) / 50.0) + np.cumsum(body + gap)
    close += 2000.0 - close.min()
    opening = close - body
    high = np.maximum(opening, close) + np.abs(random.normal(0.0, 0.3, count)) * size[2]
    low = np.minimum(opening, close) - np.abs(random.normal(0.0, 0.3, count)) * size[3]
    columns = {"open": opening, "high": high, "low": low, "close": close}
    return pl.DataFrame(
        {
            "open_time_ns": np.arange(count, dtype=np.int64) * 60_000_000_000,
            **{name: np.round(values / tick) * tick for name, values in columns.items()},
            "volume": np.ones(count),
        }
    )


def three_stars_in_the_south() -> pl.DataFrame:
    """Alternating candles, then three black ones, each inside the one before: chance hardly makes these."""
    before = [(101.0, 101.5, 99.5, 100.0), (100.0, 101.5, 99.5, 101.0)] * 10
    stars = [(101.0, 101.5, 94.0, 98.0), (99.0, 99.25, 95.0, 97.5), (97.5, 97.5, 97.0, 97.0)]
    opening, high, low, close = np.array(before + stars).T
    columns = {"open": opening, "high": high, "low": low, "close": close, "volume": np.ones(opening.size)}
    return pl.DataFrame({"open_time_ns": np.arange(opening.size, dtype=np.int64) * 60_000_000_000, **columns})


def test_every_pattern_occurs_and_equals_talib_on_made_up_candles() -> None:
    found = dict.fromkeys(PATTERNS, 0)
    for seed, tick in enumerate([0.0009765625, 0.25, 1.0]):
        for name, count in assert_parity(walk(seed, 60_000, tick)).items():
            found[name] += count
    for name, count in assert_parity(three_stars_in_the_south()).items():
        found[name] += count
    never = [name for name, count in found.items() if count == 0]
    assert never == [], "patterns that no made-up candle shows"


@pytest.mark.parametrize("bars", [1, 2, 3, 10, 11, 12, 13, 14, 15])
def test_short_and_flat_series_equal_talib(bars: int) -> None:
    flat = walk(1, bars, 0.25).with_columns(pl.lit(value=5.0).alias(name) for name in PRICES[:4])
    for frame in (walk(1, bars, 0.25), flat, flat.with_columns(pl.col(PRICES[:4]) * 2e8)):
        assert_parity(frame)


def test_a_tie_is_decided_by_the_last_candles_only() -> None:
    """A doji exactly at the limit stays one after a candle that spoils TA-Lib's running sums."""
    frame = walk(2, 40, 0.25).with_columns(
        open=pl.lit(100.0), high=pl.lit(108.0), low=pl.lit(98.0), close=pl.lit(101.0)
    )
    outlier = pl.int_range(pl.len()) == 5
    spoiled = frame.with_columns(pl.when(outlier).then(1e16).otherwise(pl.col("high")).alias("high"))
    spec = cf.FeatureSpec([("doji", "cdldoji")])
    assert cf.compute(frame, spec)[20:, 0].tolist() == [100.0] * 20
    assert cf.compute(spoiled, spec)[20:, 0].tolist() == [100.0] * 20


@pytest.mark.parametrize("pattern", ["cdldoji", "cdlengulfing", "cdlhikkake"])
def test_signals_are_whole_and_bars_with_a_hole_have_none(pattern: str) -> None:
    frame = walk(3, 3_000, 0.01)
    prices = [np.array(frame[name]) for name in PRICES[:4]]
    holes = np.arange(700, 2_900, 41)
    for number, hole in enumerate(holes):
        prices[number % 4][hole] = np.nan
    function = getattr(talib_of_ours, pattern)
    signals = function(*prices)
    alone = function(*(np.delete(price, holes) for price in prices))
    assert signals.dtype == alone.dtype == np.int32
    assert not signals[holes].any()
    assert alone.any()
    np.testing.assert_array_equal(np.delete(signals, holes), alone)
    series = function(*(pl.Series(price) for price in prices))
    assert series.to_list() == signals.tolist()
