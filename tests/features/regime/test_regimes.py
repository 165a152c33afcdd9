"""Regimes equal a plain NumPy reading of their rules."""

from __future__ import annotations

from typing import Any

import candlewire_features as cf
import numpy as np
import numpy.typing as npt
import pytest
import talib

from tests.features.conftest import load

SERIES = [
    ("us_stocks_1d.parquet", "AAPL"),
    ("us_stocks_long_1d.parquet", "DRYS"),
    ("crypto_1h.parquet", "BTCUSD-COINBASE"),
    ("fx_1h.parquet", "EURUSD"),
]
Floats = npt.NDArray[np.float64]


def features(bars: Any, kernel: str, outputs: list[str], **parameters: Any) -> list[Floats]:
    spec = cf.FeatureSpec([(output, kernel, parameters, output) for output in outputs])
    return list(cf.compute(bars, spec).T)


def windows(values: Floats, length: int) -> Floats:
    padded = np.concatenate([np.full(length - 1, np.nan), values])
    return np.lib.stride_tricks.sliding_window_view(padded, length)


def rank(values: Floats, length: int) -> Floats:
    """Share of lower values, equal ones by half, for values that differ by more than rounding."""
    window, newest = windows(values, length), values[:, None]
    share = ((window < newest).mean(axis=1) + (window <= newest).mean(axis=1)) / 2
    return np.where(np.isnan(window).any(axis=1), np.nan, share)


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), SERIES)
@pytest.mark.parametrize("memory", [60, 120])
def test_market_regime_follows_its_rule(file: str, symbol: str, memory: int) -> None:
    frame = load(file, symbol)
    high, low, close = (frame[name].to_numpy() for name in ("high", "low", "close"))
    outputs = ["code", "volatility_rank", "width_rank", "sideways", "trending", "volatile", "consolidation"]
    code, volatility_rank, width_rank, *one_hot = features(frame, "market_regime", outputs, memory=memory)
    returns = np.concatenate([[np.nan], np.diff(np.log(close))])
    volatility = np.sqrt((windows(returns, 20) ** 2).mean(axis=1))
    closes = windows(close, 20)
    width = closes.std(axis=1) / closes.mean(axis=1)
    width[:20] = np.nan  # the rank begins with the volatility's first value
    first = 20 + memory - 1
    for mine, theirs in ((volatility_rank, rank(volatility, memory)), (width_rank, rank(width, memory))):
        assert np.isnan(mine[:first]).all()
        # Two sums that are equal on paper may differ in their last bit, here as in NumPy.
        assert np.abs(mine[first:] - theirs[first:]).max() <= 1.5 / memory
        assert (np.abs(mine[first:] - theirs[first:]) < 1e-12).mean() > 0.97
    adx = talib.ADX(high, low, close)
    rule = np.select([volatility_rank >= 0.8, adx >= 25.0, width_rank <= 0.2], [2.0, 1.0, 3.0], default=0.0)
    assert np.array_equal(code[first:], rule[first:])
    assert np.array_equal(np.argmax(one_hot, axis=0)[first:], code[first:])
    assert np.array_equal(np.sum(one_hot, axis=0)[first:], np.ones(len(code) - first))
    assert set(code[first:]) == {0.0, 1.0, 2.0, 3.0}


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), SERIES)
@pytest.mark.parametrize(("period", "slope_bars"), [(50, 10), (20, 1)])
def test_trend_regime_follows_its_rule(file: str, symbol: str, period: int, slope_bars: int) -> None:
    frame = load(file, symbol)
    close = frame["close"].to_numpy()
    outputs = ["code", "slope", "bull", "bear", "sideways"]
    code, slope, bull, bear, sideways = features(
        frame, "trend_regime", outputs, timeperiod=period, slope_bars=slope_bars
    )
    first = period + slope_bars - 1
    assert np.isnan(code[:first]).all()
    average = windows(close, period).mean(axis=1)
    returns = np.concatenate([[np.nan], np.diff(np.log(close))])
    noise = np.sqrt((windows(returns, period) ** 2).mean(axis=1) * slope_bars)
    change = np.log(average[first:] / average[first - slope_bars : -slope_bars])
    expected = np.divide(change, noise[first:], out=np.zeros_like(change), where=noise[first:] > 0)
    assert slope[first:] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    rule = ((close > average)[first:] & (slope[first:] > 0.25)) * 1.0
    rule -= (close < average)[first:] & (slope[first:] < -0.25)
    assert (code[first:] == rule).mean() > 0.9999
    assert np.array_equal(bull - bear, code, equal_nan=True)
    assert np.array_equal((bull + bear + sideways)[first:], np.ones(len(code) - first))
    assert set(code[first:]) == {-1.0, 0.0, 1.0}


@pytest.mark.parametrize("price", [1e-9, 5.0, 1e9])
def test_a_flat_market_goes_sideways(price: float) -> None:
    flat = np.full(300, price)
    bars = {
        "open_time_ns": np.arange(300, dtype=np.int64),
        **dict.fromkeys(("open", "high", "low", "close"), flat),
        "volume": np.zeros(300),
    }
    for kernel in ("market_regime", "trend_regime"):
        code, sideways = features(bars, kernel, ["code", "sideways"])
        assert code[150:].tolist() == [0.0] * 150
        assert sideways[150:].tolist() == [1.0] * 150


def test_volatility_that_rises_makes_a_market_volatile_and_then_it_calms_down() -> None:
    random = np.random.default_rng(3)
    moves = random.normal(0.0, 0.001, 600)
    moves[300:330] *= 10.0
    close = 100.0 * np.exp(np.cumsum(moves))
    bars = {
        "open_time_ns": np.arange(600, dtype=np.int64),
        **dict.fromkeys(("open", "high", "low", "close"), close),
        "volume": np.zeros(600),
    }
    volatile, consolidation = features(bars, "market_regime", ["volatile", "consolidation"])
    assert volatile[310:330].all()
    assert not volatile[360:400].any()
    assert consolidation[355:420].any()


def test_a_long_rise_is_a_bull_market_and_a_long_fall_a_bear_market() -> None:
    move = np.random.default_rng(4).normal(0.0, 0.01, 200)
    close = 100.0 * np.exp(np.cumsum(np.concatenate([move + 0.004, move - 0.006])))
    bars = {
        "open_time_ns": np.arange(400, dtype=np.int64),
        **dict.fromkeys(("open", "high", "low", "close"), close),
        "volume": np.zeros(400),
    }
    bull, bear = features(bars, "trend_regime", ["bull", "bear"])
    assert bull[60:200].mean() > 0.7
    assert bear[60:200].mean() < 0.1
    assert bear[260:].mean() > 0.7
    assert bull[260:].mean() < 0.1
