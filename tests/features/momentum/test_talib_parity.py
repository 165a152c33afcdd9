"""Momentum kernels equal TA-Lib's on real bars."""

from __future__ import annotations

from typing import Any

import pytest
import talib

from tests.features.conftest import load
from tests.features.parity import Bars, Case, assert_parity

SERIES = [
    ("us_stocks_1d.parquet", "CHK"),
    ("us_stocks_long_1d.parquet", "WMT"),
    ("us_stocks_long_1d.parquet", "DRYS"),
    ("us_stocks_unadjusted_1d.parquet", "AAPL"),
    ("etfs_1d.parquet", "FEO"),
    ("indices_1d.parquet", "SPX_1950"),
    ("india_stocks_1d.parquet", "EICHERMOT"),
    ("crypto_1d.parquet", "BTCUSD-COINBASE"),
    ("crypto_1h.parquet", "BTCUSD-COINBASE"),
    ("crypto_5m.parquet", "SOLUSDT"),
    ("crypto_1m.parquet", "ETHUSDT"),
    ("cfd_1h.parquet", "XAUUSD"),
    ("fx_1h.parquet", "EURUSD"),
    ("fx_1m.parquet", "NZDUSD"),
    ("us_equities_5m.parquet", "JNUG"),
    ("us_equities_1m.parquet", "TECL"),
]
PAIRS = [{"fastperiod": 3, "slowperiod": 10, "matype": kind} for kind in range(14) if kind != 5]


def periods(*lengths: int) -> list[dict[str, Any]]:
    """TA-Lib's default, then each length."""
    return [{}, *({"timeperiod": length} for length in lengths)]


def of(function: str, *columns: str) -> Any:
    return lambda bars, parameters: getattr(talib, function)(*(bars[name] for name in columns), **parameters)


def one(_: Bars) -> float:
    return 1.0


def hundred(_: Bars) -> float:
    return 100.0


def close(bars: Bars) -> Any:
    return bars["close"]


CASES = [
    Case(kernel="cmo", outputs=["cmo"], parameters=periods(2, 50), oracle=of("CMO", "close"), floor=one),
    Case(kernel="mom", outputs=["mom"], parameters=periods(1, 50), oracle=of("MOM", "close")),
    *(
        Case(
            kernel=name,
            outputs=[name],
            parameters=periods(1, 50),
            oracle=of(name.upper(), "close"),
            floor=one,
        )
        for name in ("rocp", "rocr", "rocr100")
    ),
    Case(kernel="trix", outputs=["trix"], parameters=periods(1, 2, 9), oracle=of("TRIX", "close"), floor=one),
    Case(kernel="apo", outputs=["apo"], parameters=[{}, *PAIRS], oracle=of("APO", "close"), floor=close),
    Case(kernel="ppo", outputs=["ppo"], parameters=[{}, *PAIRS], oracle=of("PPO", "close"), floor=one),
    Case(
        kernel="ultosc",
        outputs=["ultosc"],
        parameters=[
            {},
            {"timeperiod1": 20, "timeperiod2": 3, "timeperiod3": 9},
            {"timeperiod1": 1, "timeperiod2": 1, "timeperiod3": 1},
        ],
        oracle=of("ULTOSC", "high", "low", "close"),
        floor=one,
    ),
    Case(
        kernel="willr",
        outputs=["willr"],
        parameters=periods(2, 50),
        oracle=of("WILLR", "high", "low", "close"),
        floor=one,
    ),
    # Measured in hundreds. Over two bars it is +-66.7 or 0 however small the move, and rounding shows.
    Case(
        kernel="cci",
        outputs=["cci"],
        parameters=periods(20, 50),
        oracle=of("CCI", "high", "low", "close"),
        floor=hundred,
    ),
    Case(
        kernel="aroon",
        outputs=["down", "up"],
        parameters=periods(2, 25, 100),
        oracle=of("AROON", "high", "low"),
        floor=one,
    ),
    Case(
        kernel="aroonosc",
        outputs=["aroonosc"],
        parameters=periods(2, 25),
        oracle=of("AROONOSC", "high", "low"),
        floor=one,
    ),
    Case(
        kernel="bop",
        outputs=["bop"],
        parameters=[{}],
        oracle=of("BOP", "open", "high", "low", "close"),
        floor=one,
    ),
    Case(
        kernel="stochf",
        outputs=["fastk", "fastd"],
        parameters=[{}, {"fastk_period": 14, "fastd_period": 5, "fastd_matype": 4}],
        oracle=of("STOCHF", "high", "low", "close"),
        floor=one,
    ),
    Case(
        kernel="stochrsi",
        outputs=["fastk", "fastd"],
        parameters=[
            {},
            {"fastk_period": 14, "fastd_period": 1},
            {"fastd_period": 5, "fastd_matype": 1},
            {"fastd_period": 5, "fastd_matype": 2},
        ],
        oracle=of("STOCHRSI", "close"),
        floor=one,
    ),
]


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), SERIES)
def test_momentum_equals_talib(file: str, symbol: str) -> None:
    assert_parity(load(file, symbol), CASES)
