"""Values and first valid bar equal TA-Lib's, on real bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import candlewire_features as cf
import numpy as np
import numpy.typing as npt
import pytest
import talib

from .conftest import PRICES, load

Bars = Mapping[str, npt.NDArray[np.float64]]
Oracle = Callable[[Bars, dict[str, Any]], Any]

# Daily stocks of two eras, an index with flat bars, hourly and minute coins, hourly currencies without
# volume, five-minute stocks with extended sessions.
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

# kernel, outputs, parameters to try, oracle giving the outputs in that order
Case = tuple[str, list[str], list[dict[str, Any]], Oracle]
CASES: list[Case] = [
    ("sma", ["sma"], [{}, {"timeperiod": 2}, {"timeperiod": 200}], lambda b, p: talib.SMA(b["close"], **p)),
    ("ema", ["ema"], [{}, {"timeperiod": 2}, {"timeperiod": 200}], lambda b, p: talib.EMA(b["close"], **p)),
    ("rsi", ["rsi"], [{}, {"timeperiod": 2}, {"timeperiod": 50}], lambda b, p: talib.RSI(b["close"], **p)),
    (
        "macd",
        ["macd", "signal", "histogram"],
        [{}, {"fastperiod": 3, "slowperiod": 10, "signalperiod": 4}],
        lambda b, p: talib.MACD(b["close"], **p),
    ),
    (
        "bbands",
        ["upper", "middle", "lower"],
        [{}, {"timeperiod": 5, "nbdevup": 1.5, "nbdevdn": 3.0}],
        lambda b, p: talib.BBANDS(b["close"], **p),
    ),
    (
        "stddev",
        ["stddev"],
        [{}, {"timeperiod": 30, "nbdev": 2.0}],
        lambda b, p: talib.STDDEV(b["close"], **p),
    ),
    ("roc", ["roc"], [{}, {"timeperiod": 1}], lambda b, p: talib.ROC(b["close"], **p)),
    (
        "stoch",
        ["slowk", "slowd"],
        [{}, {"fastk_period": 14}, {"fastk_period": 21, "slowk_period": 1, "slowd_period": 5}],
        lambda b, p: talib.STOCH(b["high"], b["low"], b["close"], **p),
    ),
    ("obv", ["obv"], [{}], lambda b, _: talib.OBV(b["close"], b["volume"])),
    (
        "mfi",
        ["mfi"],
        [{}, {"timeperiod": 30}],
        lambda b, p: talib.MFI(b["high"], b["low"], b["close"], b["volume"], **p),
    ),
    (
        "ad",
        ["ad"],
        [{}],
        lambda b, _: talib.AD(b["high"], b["low"], b["close"], b["volume"]),
    ),
    (
        "adosc",
        ["adosc"],
        [{}, {"fastperiod": 5, "slowperiod": 40}, {"fastperiod": 10, "slowperiod": 3}],
        lambda b, p: talib.ADOSC(b["high"], b["low"], b["close"], b["volume"], **p),
    ),
    ("var", ["var"], [{}, {"timeperiod": 1}, {"timeperiod": 60}], lambda b, p: talib.VAR(b["close"], **p)),
    (
        "donchian",
        ["upper", "lower"],
        [{"timeperiod": 20}, {"timeperiod": 200}],
        lambda b, p: (talib.MAX(b["high"], **p), talib.MIN(b["low"], **p)),
    ),
    ("trange", ["trange"], [{}], lambda b, _: talib.TRANGE(b["high"], b["low"], b["close"])),
]


def of_high_low_close(kernel: str) -> Case:
    """A case of a TA-Lib function of high, low, close and one period."""
    function = getattr(talib, kernel.upper())
    periods = [{}, {"timeperiod": 5}, {"timeperiod": 50}]
    return kernel, [kernel], periods, lambda b, p: function(b["high"], b["low"], b["close"], **p)


CASES += [of_high_low_close(kernel) for kernel in ("atr", "natr", "adx", "plus_di", "minus_di", "dx")]

# A difference of closes that nearly cancel has the digits of the closes, not its own; nor has a percentage
# far below one. The error is relative to the value or to this floor, whichever is larger.
FLOORS: dict[str, Callable[[Bars], Any]] = {
    **dict.fromkeys(("macd", "bbands", "stddev"), lambda bars: bars["close"]),
    "var": lambda bars: bars["close"] ** 2,
    # The line is a sum of steps of both signs, the oscillator a difference of averages of the line.
    **dict.fromkeys(("ad", "adosc"), lambda bars: np.cumsum(bars["volume"]) + 1e-9),
    **dict.fromkeys(("rsi", "roc", "stoch", "mfi", "adx", "dx", "plus_di", "minus_di"), lambda _: 1.0),
}


def no_floor(_: Bars) -> float:
    return float(np.finfo(np.float64).tiny)


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), SERIES)
def test_values_and_first_valid_bar_equal_talib(file: str, symbol: str) -> None:
    frame = load(file, symbol)
    assert len(frame) > 1000, f"{file} {symbol}: too few bars to compare"
    bars = {name: np.ascontiguousarray(frame[name].to_numpy()) for name in PRICES}
    requests, expected = [], {}
    for kernel, outputs, variants, oracle in CASES:
        for number, parameters in enumerate(variants):
            values: Any = oracle(bars, parameters)
            columns = values if len(outputs) > 1 else [values]
            for output, column in zip(outputs, columns, strict=True):
                name = f"{kernel}.{output}.{number}"
                requests.append((name, kernel, parameters, output))
                expected[name] = column
    ours = cf.compute(frame, cf.FeatureSpec(requests))
    for column, (name, theirs) in enumerate(expected.items()):
        assert np.array_equal(np.isnan(ours[:, column]), np.isnan(theirs)), f"{name}: first valid bar"
        floor = FLOORS.get(name.split(".")[0], no_floor)(bars)
        error = np.abs(ours[:, column] - theirs) / np.maximum(np.abs(theirs), floor)
        worst = int(np.nanargmax(error))
        assert error[worst] <= 1e-9, f"{name} bar {worst}: {ours[worst, column]!r}, TA-Lib {theirs[worst]!r}"
