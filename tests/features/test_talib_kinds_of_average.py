"""Averages of a chosen kind, in every function that takes one, against TA-Lib.

Kinds 7 (MAMA) and 11 (the function's own default) are the odd ones: the first ignores the period and starts
where its input starts, the second means another average in each function.
"""

from __future__ import annotations

from typing import Any

import candlewire_features as cf
import candlewire_features.talib as ours
import numpy as np
import pytest
import talib as theirs
from talib import abstract

from .conftest import load
from .exact_references import SERIES
from .test_every_talib_function import Bars, first, floor, inputs, prices

OF_PRICES = ("APO", "BBANDS", "MA", "MACDEXT", "PPO")
OF_PERCENTAGES = ("STOCH", "STOCHF", "STOCHRSI")
# Bars on whose coarse ticks rounding decides phases, among others.
REAL = [
    ("us_stocks_long_1d.parquet", "WMT"),
    ("indices_1d.parquet", "SPX_1950"),
    ("us_equities_1m.parquet", "TECL"),
    ("crypto_1m.parquet", "ETHUSDT"),
    ("fx_1m.parquet", "NZDUSD"),
    ("india_1m.parquet", "NIFTY50"),
]
# Where a percentage often repeats, at 0 or 100, MAMA's phase is decided by the rounding of the percentage.
FINE = [("us_stocks_1d.parquet", "AAPL")]
DRIFT = "TA-Lib's sums keep what an outlier left in them, which RSI's percentages show"
EXEMPT = {("after an outlier", "STOCHRSI"): DRIFT, ("tiny", "PPO"): "TA-Lib: an average below 1e-14 is zero"}


def kinds_of(name: str, kind: int) -> list[dict[str, int]]:
    """The kind for all averages of a function, and for each alone."""
    names = [name for name in abstract.Function(name).info["parameters"] if name.endswith("matype")]
    alone = [{name: kind} for name in names]
    return alone if len(names) == 1 else [dict.fromkeys(names, kind), *alone]


def difference(name: str, bars: Bars, parameters: dict[str, Any]) -> str | None:
    """The first output that differs."""
    columns = inputs(name, bars)
    results = [getattr(library, name)(*columns, **parameters) for library in (ours, theirs)]
    pairs = zip(*(x if isinstance(x, tuple) else (x,) for x in results), strict=True)
    for number, (our, their) in enumerate(pairs):
        if not np.array_equal(np.isnan(our), np.isnan(their)):
            return f"{name} {parameters} {number}: first valid bar {first(our)}, TA-Lib {first(their)}"
        size = np.maximum(np.maximum(np.abs(their), floor(name, bars)), 1e-300)
        error = np.nan_to_num(np.abs(our - their) / size)
        if error.size and error.max() > 1e-9:
            return f"{name} {parameters} {number}: off by {error.max()}"
    return None


def differences(bars: Bars, names: tuple[str, ...], kind: int) -> dict[str, str]:
    told = {
        (name, number): difference(name, bars, kinds)
        for name in names
        for number, kinds in enumerate(kinds_of(name, kind))
    }
    return {f"{name} {number}": text for (name, number), text in told.items() if text}


@pytest.mark.parametrize("kind", [7, 11])
@pytest.mark.parametrize("series", SERIES)
def test_adversarial_series_equal_talib(series: str, kind: int) -> None:
    names = OF_PRICES if kind == 7 else (*OF_PRICES, *OF_PERCENTAGES)
    found = differences(prices(SERIES[series]), names, kind)
    exempt = {f"{name} 0" for among, name in EXEMPT if among == series and name in names}
    if kind == 7:
        exempt -= {"PPO 0"}  # two averages that are one: zero
    assert set(found) == exempt, found


@pytest.mark.real_data
@pytest.mark.parametrize("kind", [7, 11])
@pytest.mark.parametrize(("file", "symbol"), REAL)
def test_real_prices_equal_talib(file: str, symbol: str, kind: int) -> None:
    bars = prices(load(file, symbol))
    found = differences(bars, OF_PRICES, kind)
    # MACDEXT's signal averages no prices but differences: their rounding is not TA-Lib's, see FINE.
    assert {text for text in found.values() if "'signalmatype': 7}" not in text} == set()
    if kind == 11:
        assert differences(bars, OF_PERCENTAGES, kind) == {}


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), FINE)
def test_averages_of_what_was_computed_equal_talib(file: str, symbol: str) -> None:
    assert differences(prices(load(file, symbol)), (*OF_PRICES, *OF_PERCENTAGES), 7) == {}


@pytest.mark.parametrize("timeperiod", [2, 20, 33, 34, 60])
def test_mama_ignores_the_period_and_the_deviation_does_not(timeperiod: int) -> None:
    close = prices(SERIES["walk"])["close"]
    bands = ours.BBANDS(close, timeperiod, matype=7)
    for our, their in zip(bands, theirs.BBANDS(close, timeperiod, matype=7), strict=True):
        assert first(our) == first(their) == max(32, timeperiod - 1)
        np.testing.assert_allclose(our, their, rtol=1e-9)
    np.testing.assert_array_equal(ours.MA(close, timeperiod, 7), ours.MAMA(close)[0])
    np.testing.assert_array_equal(ours.MA(close, 1, 7), close)


def test_panels_and_snapshots_hold_mama_in_every_place() -> None:
    walk = SERIES["walk"]
    spec = cf.FeatureSpec(
        [
            ("ma", "ma", {"matype": 7}),
            ("macd", "macdext", dict.fromkeys(("fastmatype", "slowmatype", "signalmatype"), 7)),
            ("signal", "macdext", {"fastmatype": 7, "signalmatype": 7}, "signal"),
            ("apo", "apo", {"matype": 7}),
            ("band", "bbands_ma", {"matype": 7}),
            ("slowd", "stoch_ma", {"slowk_matype": 7, "slowd_matype": 7}, "slowd"),
            ("fastd", "stochrsi", {"fastd_matype": 7}, "fastd"),
        ]
    )
    whole = cf.compute(walk, spec)
    assert np.isfinite(whole[-1]).all()
    for cut in range(0, len(whole), 9):
        panel, rows = cf.Panel(spec, ["A"]), np.zeros_like(whole)
        for part in (slice(0, cut), slice(cut, None)):
            columns = [
                np.ascontiguousarray(walk[name][part])
                for name in ("open_time_ns", "open", "high", "low", "close", "volume")
            ]
            panel = cf.Panel.restore(spec, panel.snapshot())
            panel.update(np.zeros(len(columns[0]), dtype=np.int64), *columns, rows[part])
        np.testing.assert_array_equal(rows.view(np.uint64), whole.view(np.uint64))
