"""Every function with parameters that nobody chose for it, against TA-Lib on real bars."""

from __future__ import annotations

from typing import Any

import candlewire_features as cf
import candlewire_features.talib as ours
import numpy as np
import pytest
import talib as theirs
from talib import abstract

from .conftest import load
from .test_every_talib_function import FUNCTIONS, first, floor, inputs, prices

DRAWS = 10
PERIODS = (1, 2, 3, 5, 8, 13, 30, 100)
# Kinds of average but 5 and 6, whose running sums drift in TA-Lib.
KINDS = (0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13)
SERIES = [
    ("us_stocks_1d.parquet", "AAPL"),
    ("us_stocks_1d.parquet", "CHK"),
    ("crypto_1h.parquet", "ETHUSDT"),
    ("cfd_1h.parquet", "XAUUSD"),
]
# docs/features_talib_differences.md: what is refused, and where one bar means something else.
REFUSED = {"VAR": "nbdev", "PLUS_DI": "timeperiod is 1", "MINUS_DI": "timeperiod is 1"}
OF_ONE_BAR = {"NATR"}


def drawn(name: str, random: np.random.Generator) -> dict[str, Any]:
    """Parameters that TA-Lib's function takes, whatever they are for."""
    chosen: dict[str, Any] = {}
    for parameter, default in abstract.Function(name).info["parameters"].items():
        if "matype" in parameter:
            chosen[parameter] = int(random.choice(KINDS)) if name in {"MA", "BBANDS"} else default
        elif isinstance(default, int):
            chosen[parameter] = int(random.choice(PERIODS))
        elif any(part in parameter for part in ("limit", "factor", "acc", "max", "pen")):
            chosen[parameter] = round(float(random.uniform(0.05, 0.95)), 3)
        else:
            chosen[parameter] = round(float(random.uniform(0.5, 3.0)), 2)
    return chosen


def differences(name: str, bars: Any, parameters: dict[str, Any]) -> str | None:
    """What differs; a call that TA-Lib refuses, for example of two periods of one bar, does not count."""
    columns = inputs(name, bars)
    try:
        reference = getattr(theirs, name)(*columns, **parameters)
    except Exception:  # noqa: BLE001
        return None
    try:
        result = getattr(ours, name)(*columns, **parameters)
    except cf.SpecError as error:
        return None if name in REFUSED and REFUSED[name] in str(error) else f"refused: {error}"
    if name in OF_ONE_BAR and parameters["timeperiod"] == 1:
        return None
    pairs = zip(*(x if isinstance(x, tuple) else (x,) for x in (result, reference)), strict=True)
    told = (difference(name, bars, our, their) for our, their in pairs)
    return next((f"output {number}: {text}" for number, text in enumerate(told) if text), None)


def difference(name: str, bars: Any, our: Any, their: Any) -> str | None:
    """What differs in one output."""
    if name.startswith("CDL"):
        # A tie at a candle's limit is decided by rounding; see pattern/test_candlesticks.py.
        wrong = int((our != their).sum())
        return f"{wrong} candles" if wrong > 0.002 * len(our) else None
    if not np.array_equal(np.isnan(our), np.isnan(their)):
        return f"first valid bar {first(our)}, TA-Lib {first(their)}"
    error = np.abs(our - their) / np.maximum(np.maximum(np.abs(their), floor(name, bars)), 1e-300)
    worst = float(np.nan_to_num(error).max())
    return f"off by {worst}" if worst > 1e-9 else None


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), SERIES)
def test_any_parameters_give_what_talib_gives(file: str, symbol: str) -> None:
    bars = prices(load(file, symbol).head(1500))
    random = np.random.default_rng(len(symbol) + len(file))
    found = {}
    for name in FUNCTIONS:
        if name == "VWMA" and not bars["volume"].all():
            continue  # TA-Lib: NaN in a window without volume
        for _ in range(DRAWS):
            parameters = drawn(name, random)
            text = differences(name, bars, parameters)
            if text:
                found[f"{name} {parameters}"] = text
    assert found == {}


@pytest.mark.real_data
def test_natr_of_one_bar_is_a_percentage_too() -> None:
    """TA-Lib gives the true range itself there."""
    bars = prices(load("us_stocks_1d.parquet", "AAPL"))
    columns = inputs("NATR", bars)
    ranges = theirs.TRANGE(*columns)
    np.testing.assert_allclose(ours.NATR(*columns, timeperiod=1), 100 * ranges / bars["close"], rtol=1e-9)
    np.testing.assert_array_equal(theirs.NATR(*columns, timeperiod=1), ranges)
