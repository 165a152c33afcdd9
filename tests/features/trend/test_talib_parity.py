"""Trend kernels equal TA-Lib's on real bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import talib

from tests.features.conftest import load
from tests.features.parity import Bars, Case, assert_parity

if TYPE_CHECKING:
    from collections.abc import Callable

# Every timeframe, and the dirty series: misquotes, tiny adjusted prices, flat bars, no volume, thin minutes.
SERIES = [
    ("us_stocks_1d.parquet", "CHK"),
    ("us_stocks_long_1d.parquet", "WMT"),
    ("us_stocks_long_1d.parquet", "EIX"),
    ("us_stocks_unadjusted_1d.parquet", "AAPL"),
    ("etfs_1d.parquet", "FAZ"),
    ("indices_1d.parquet", "SPX_1950"),
    ("india_stocks_1d.parquet", "EICHERMOT"),
    ("crypto_1d.parquet", "BTCUSD-COINBASE"),
    ("crypto_1h.parquet", "BTCUSD-COINBASE"),
    ("crypto_5m.parquet", "SOLUSDT"),
    ("crypto_1m.parquet", "BTCUSDT"),
    ("cfd_1h.parquet", "XAUUSD"),
    ("fx_1h.parquet", "EURUSD"),
    ("fx_1m.parquet", "NZDUSD"),
    ("us_equities_5m.parquet", "JNUG"),
    ("us_equities_1m.parquet", "TECL"),
]


def periods(*lengths: int) -> list[dict[str, Any]]:
    """TA-Lib's default, then each length."""
    return [{}, *({"timeperiod": length} for length in lengths)]


def of_close(name: str) -> Callable[[Bars, dict[str, Any]], Any]:
    return lambda bars, parameters: getattr(talib, name)(bars["close"], **parameters)


def of_high_low(name: str) -> Callable[[Bars, dict[str, Any]], Any]:
    return lambda bars, parameters: getattr(talib, name)(bars["high"], bars["low"], **parameters)


def of_high_low_close(name: str) -> Callable[[Bars, dict[str, Any]], Any]:
    function = getattr(talib, name)
    return lambda bars, parameters: function(bars["high"], bars["low"], bars["close"], **parameters)


def supertrend(bars: Bars, parameters: dict[str, Any]) -> list[Any]:
    """TA-Lib's trend is an integer, 0 before the first valid bar."""
    line, trend = talib.SUPERTREND(bars["high"], bars["low"], bars["close"], **parameters)
    return [line, np.where(np.isnan(line), np.nan, trend)]


def close(bars: Bars) -> Any:
    return bars["close"]


def one(_: Bars) -> float:
    return 1.0


# TA-Lib numbers them.
KINDS = range(14)

CASES = [
    *(
        Case(kernel=name, outputs=[name], parameters=periods(1, 2, 3, 9, 50), oracle=of_close(name.upper()))
        for name in ("wma", "dema", "tema", "trima", "kama", "hma", "zlema", "rma")
    ),
    Case(
        kernel="t3",
        outputs=["t3"],
        parameters=[{}, {"timeperiod": 1}, {"timeperiod": 10, "vfactor": 0.5}],
        oracle=of_close("T3"),
    ),
    Case(
        kernel="ma",
        outputs=["ma"],
        parameters=[{"timeperiod": length, "matype": kind} for kind in KINDS for length in (1, 2, 14)],
        oracle=of_close("MA"),
    ),
    Case(kernel="midpoint", outputs=["midpoint"], parameters=periods(2, 50), oracle=of_close("MIDPOINT")),
    Case(kernel="midprice", outputs=["midprice"], parameters=periods(2, 50), oracle=of_high_low("MIDPRICE")),
    Case(kernel="linearreg", outputs=["linearreg"], parameters=periods(2, 50), oracle=of_close("LINEARREG")),
    Case(
        kernel="linearreg_slope",
        outputs=["slope"],
        parameters=periods(2, 50),
        oracle=of_close("LINEARREG_SLOPE"),
        floor=close,
    ),
    Case(
        kernel="linearreg_angle",
        outputs=["angle"],
        parameters=periods(2, 50),
        oracle=of_close("LINEARREG_ANGLE"),
        floor=close,
    ),
    Case(
        kernel="linearreg_intercept",
        outputs=["intercept"],
        parameters=periods(2, 50),
        oracle=of_close("LINEARREG_INTERCEPT"),
    ),
    Case(kernel="tsf", outputs=["tsf"], parameters=periods(2, 50), oracle=of_close("TSF"), floor=close),
    Case(
        kernel="sar",
        outputs=["sar"],
        parameters=[{}, {"acceleration": 0.01, "maximum": 0.3}, {"acceleration": 0.5, "maximum": 0.2}],
        oracle=of_high_low("SAR"),
    ),
    Case(
        kernel="macdext",
        outputs=["macd", "signal", "histogram"],
        parameters=[
            {},
            {"fastmatype": 1, "slowmatype": 1, "signalmatype": 1},
            {"fastmatype": 6, "slowmatype": 4, "signalmatype": 2},
            {"fastmatype": 4, "slowmatype": 6, "signalmatype": 1},
            {"fastmatype": 1, "slowmatype": 0, "signalmatype": 6, "fastperiod": 5, "slowperiod": 8},
            {"fastmatype": 13, "slowmatype": 12, "signalmatype": 9},
            {"fastmatype": 12, "slowmatype": 8, "signalmatype": 5},
            {"fastmatype": 7, "slowmatype": 11, "signalmatype": 1},
            {"fastmatype": 2, "slowmatype": 7, "signalmatype": 11, "fastperiod": 40, "slowperiod": 50},
        ],
        oracle=of_close("MACDEXT"),
        floor=close,
    ),
    Case(
        kernel="macdfix",
        outputs=["macd", "signal", "histogram"],
        parameters=[{}, {"signalperiod": 1}],
        oracle=of_close("MACDFIX"),
        floor=close,
    ),
    Case(
        kernel="adxr",
        outputs=["adxr"],
        parameters=periods(2, 30),
        oracle=of_high_low_close("ADXR"),
        floor=one,
    ),
    *(
        Case(
            kernel=name,
            outputs=[name],
            parameters=periods(1, 2, 30),
            oracle=of_high_low(name.upper()),
            floor=close,
        )
        for name in ("plus_dm", "minus_dm")
    ),
    Case(
        kernel="supertrend",
        outputs=["supertrend", "trend"],
        parameters=[{}, {"timeperiod": 7, "multiplier": 1.5}, {"timeperiod": 2, "multiplier": 0.0}],
        oracle=supertrend,
        floor=close,
    ),
]


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), SERIES)
def test_trend_equals_talib(file: str, symbol: str) -> None:
    assert_parity(load(file, symbol), CASES)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "symbol"), [("us_stocks_1d.parquet", "AAPL"), ("us_stocks_long_1d.parquet", "WMT")]
)
def test_volume_weighted_average_equals_talib_where_there_is_volume(file: str, symbol: str) -> None:
    case = Case(
        kernel="vwma",
        outputs=["vwma"],
        parameters=periods(1, 2, 100),
        oracle=lambda bars, parameters: talib.VWMA(bars["close"], bars["volume"], **parameters),
    )
    assert_parity(load(file, symbol), [case])
