"""Volatilities and channels equal their definitions, computed in extended precision."""

from __future__ import annotations

from typing import Any

import candlewire_features as cf
import numpy as np
import pytest
import talib

from tests.features.adversarial import (
    ADVERSARIAL,
    Bars,
    Exact,
    after_first,
    assert_agree,
    log_ratio,
    over_windows,
)
from tests.features.conftest import PRICES, load

REAL = [
    ("us_stocks_1d.parquet", "AAPL"),
    ("us_stocks_long_1d.parquet", "DRYS"),
    ("indices_1d.parquet", "SPX_1950"),
    ("crypto_1h.parquet", "BTCUSD-COINBASE"),
    ("fx_1h.parquet", "EURUSD"),
]
LN_2 = np.log(np.longdouble(2))


class Logs:
    """Log moves of bars, each of shape (bars,), in extended precision."""

    def __init__(self, bars: Bars) -> None:
        opening, high, low, close = (bars[name] for name in PRICES[:4])
        self.range = log_ratio(high, low)
        self.body = log_ratio(close, opening)
        self.change = after_first(log_ratio(close[1:], close[:-1]))
        self.gap = after_first(log_ratio(opening[1:], close[:-1]))
        self.rogers_satchell = log_ratio(high, close) * log_ratio(high, opening) + log_ratio(
            low, close
        ) * log_ratio(low, opening)


def mean(windows: Exact) -> Exact:
    return windows.mean(axis=1)


def root_mean(values: Exact, period: int) -> Exact:
    return np.sqrt(over_windows(mean, period, values))


def variance(windows: Exact, freedom: int = 0) -> Exact:
    return windows.var(axis=1, ddof=freedom)


def yang_zhang(logs: Logs, period: int) -> Exact:
    gap = over_windows(lambda w: variance(w, 1), period, logs.gap)
    # The bar before the first gap lends no body and no range.
    body, ranges = logs.body.copy(), logs.rogers_satchell.copy()
    body[:1] = ranges[:1] = np.nan
    share = np.longdouble(34) / 100 / (np.longdouble(134) / 100 + np.longdouble(period + 1) / (period - 1))
    return np.sqrt(
        gap
        + share * over_windows(lambda w: variance(w, 1), period, body)
        + (1 - share) * over_windows(mean, period, ranges)
    )


def range_variance(logs: Logs) -> Exact:
    weight = np.longdouble(0.386)
    return np.asarray(logs.gap**2 + np.maximum(logs.range**2 / 2 - weight * logs.body**2, 0))


def decaying_mean(values: Exact, smoothing: float) -> Exact:
    """The mean with weights `(1 - smoothing)^age`, by its definition; NaN at the first bar."""
    result = np.full(len(values), np.nan, np.longdouble)
    for bar in range(1, len(values)):
        weights = (1 - np.longdouble(smoothing)) ** np.arange(bar - 1, -1, -1)
        result[bar] = (weights * values[1 : bar + 1]).sum() / weights.sum()
    return result


def check(bars: Bars) -> None:
    logs = Logs(bars)
    requests: list[Any] = []
    truths: list[Exact] = []

    def expect(kernel: str, period: int, truth: Exact) -> None:
        requests.append((f"{kernel}-{period}", kernel, {"timeperiod": period}))
        truths.append(truth)

    for period in (2, 5, 20, 66):
        garman_klass = np.maximum(logs.range**2 / 2 - (2 * LN_2 - 1) * logs.body**2, 0)
        expect("parkinson", period, root_mean(logs.range**2 / (4 * LN_2), period))
        expect("garman_klass", period, root_mean(garman_klass, period))
        expect("rogers_satchell", period, root_mean(logs.rogers_satchell, period))
        expect("realised_volatility", period, root_mean(logs.change**2, period))
        expect("yang_zhang", period, yang_zhang(logs, period))
    value = range_variance(logs)
    long = over_windows(mean, 66, value)
    means = {name: over_windows(mean, n, value) for name, n in (("current", 1), ("short", 5), ("medium", 22))}
    means = {
        name: np.where(np.isnan(long), np.nan, np.maximum(m, long / 50)) for name, m in means.items()
    } | {"long": long}
    for name, truth in (means | {"value": value}).items():
        requests.append((f"range_variance-{name}", "range_variance", {}, name))
        truths.append(np.asarray(truth))
    ours = cf.compute(bars, cf.FeatureSpec(requests))
    for column, (name, *_) in enumerate(requests):
        assert_agree(name, ours[:, column], truths[column])
    check_band_scale(bars, logs, means)


def check_band_scale(bars: Bars, logs: Logs, means: dict[str, Any]) -> None:
    medium, floor = means["medium"], means["long"] / 50
    still = medium == 0
    ratios = {
        "current_ratio": means["current"],
        "short_ratio": means["short"],
        "long_ratio": means["long"],
        "ewma_ratio": np.maximum(decaying_mean(logs.change**2, 0.06), floor),
        "close_ratio": np.maximum(over_windows(variance, 20, logs.change), floor),
    }
    truth = {"medium": medium}
    with np.errstate(invalid="ignore", divide="ignore"):
        truth |= {name: np.where(still, 0, np.log(value / medium)) for name, value in ratios.items()}
        for name, period in (("current_fall", 1), ("short_fall", 5)):
            change = np.full(len(medium), np.nan, np.longdouble)
            change[period:] = log_ratio(bars["close"][period:], bars["close"][:-period])
            truth[name] = np.where(still, 0, np.minimum(change / np.sqrt(period * medium), 0))
    ours = cf.compute(bars, cf.FeatureSpec([(name, "band_scale", {}, name) for name in truth]))
    for column, (name, expected) in enumerate(truth.items()):
        assert_agree(f"band_scale-{name}", ours[:, column], expected, floor=0 if name == "medium" else 1)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_on_adversarial_bars(name: str) -> None:
    check(ADVERSARIAL[name])


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), REAL)
def test_on_real_bars(file: str, symbol: str) -> None:
    frame = load(file, symbol).head(2000)
    check({name: np.ascontiguousarray(frame[name].to_numpy()) for name in ("ts", *PRICES)})


def check_channels(bars: Bars, period: int) -> None:
    high, low, close = bars["high"], bars["low"], bars["close"]
    middle = talib.EMA((high + low + close) / 3, timeperiod=period)
    reach = 2.5 * talib.ATR(high, low, close, timeperiod=10)
    middle = np.where(np.isnan(reach), np.nan, middle)  # one warm-up for all outputs
    top, bottom = (f(x, timeperiod=period) for f, x in ((talib.MAX, high), (talib.MIN, low)))
    truth = {
        ("keltner", "upper"): middle + reach,
        ("keltner", "middle"): middle,
        ("keltner", "lower"): middle - reach,
        ("donchian", "upper"): top,
        ("donchian", "lower"): bottom,
        ("donchian", "middle"): (top + bottom) / 2,
    }
    keltner = {"timeperiod": period, "atrperiod": 10, "multiplier": 2.5}
    parameters = {"keltner": keltner, "donchian": {"timeperiod": period}}
    spec = [(f"{kernel}-{output}", kernel, parameters[kernel], output) for kernel, output in truth]
    spec += [
        (f"{kernel}-{output}", kernel, parameters[kernel], output)
        for kernel in parameters
        for output in ("position", "width")
    ]
    ours = dict(zip((name for name, *_ in spec), cf.compute(bars, cf.FeatureSpec(spec)).T, strict=True))
    for (kernel, output), expected in truth.items():
        assert_agree(f"{kernel}-{output}", ours[f"{kernel}-{output}"], expected, floor=close)
    for kernel in parameters:
        upper, lower = ours[f"{kernel}-upper"], ours[f"{kernel}-lower"]
        with np.errstate(invalid="ignore", divide="ignore"):
            place = np.where(upper == lower, 0.5, (close - lower) / (upper - lower))
        place = np.where(np.isnan(upper), np.nan, place)
        assert_agree(f"{kernel}-position", ours[f"{kernel}-position"], place, floor=1)
        width = (upper - lower) / ours[f"{kernel}-middle"]
        assert_agree(f"{kernel}-width", ours[f"{kernel}-width"], width)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_channels_on_adversarial_bars(name: str) -> None:
    check_channels(ADVERSARIAL[name], 20)


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), REAL)
def test_channels_on_real_bars(file: str, symbol: str) -> None:
    frame = load(file, symbol)
    for period in (2, 20, 200):
        check_channels(
            {name: np.ascontiguousarray(frame[name].to_numpy()) for name in ("ts", *PRICES)}, period
        )


def test_a_decaying_variance_equals_its_definition() -> None:
    for name, bars in ADVERSARIAL.items():
        spec = cf.FeatureSpec([("v", "ewma_variance"), ("s", "ewma_variance", {}, "volatility")])
        ours = cf.compute(bars, spec)
        truth = decaying_mean(Logs(bars).change ** 2, 0.06)
        assert_agree(f"{name} variance", ours[:, 0], truth)
        assert_agree(f"{name} volatility", ours[:, 1], np.sqrt(truth))


def test_windows_that_are_not_nested_are_refused() -> None:
    with pytest.raises(cf.SpecError, match="give nested windows"):
        cf.FeatureSpec([("v", "range_variance", {"short_period": 30})])
