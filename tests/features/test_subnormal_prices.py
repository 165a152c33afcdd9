"""Subnormal prices: which functions still equal TA-Lib, and which count the prices as zero."""

from __future__ import annotations

import numpy as np
import pytest

from tests.features.exact_references import SERIES
from tests.features.test_every_talib_function import (
    FUNCTIONS,
    call,
    first,
    floor,
    inputs,
    ours,
    prices,
    theirs,
)

# Averages that decay, and the changes that enter them, count as zero below 1e-300, as the docs say.
DECAYING = frozenset(
    (
        *("ADX", "ADXR", "APO", "ATR", "CMO", "DEMA", "DX", "EMA", "MACD", "MACDFIX", "MINUS_DI", "MINUS_DM"),
        *("NATR", "PLUS_DI", "PLUS_DM", "PPO", "RMA", "RSI", "STOCHRSI", "T3", "TEMA", "TRIX", "ZLEMA"),
    )
)
# The step from one subnormal number to the next: no result can be nearer.
STEP = 5e-324


@pytest.mark.parametrize("size", [1e-308, 1e-310])
@pytest.mark.parametrize("function", sorted(set(FUNCTIONS) - DECAYING))
def test_functions_of_windows_equal_talib_on_subnormal_prices(function: str, size: float) -> None:
    walk = prices(SERIES["walk"])
    bars = {name: values if name == "volume" else values * size for name, values in walk.items()}
    columns = inputs(function, bars)
    for our, their in zip(call(ours, function, columns), call(theirs, function, columns), strict=True):
        assert first(our) == first(their)
        wrong = np.abs(our - their) > 1e-9 * np.maximum(np.abs(their), floor(function, bars)) + 20 * STEP
        assert not wrong.any()


@pytest.mark.parametrize("function", sorted(DECAYING - {"PPO"}))
def test_functions_that_decay_equal_talib_just_above(function: str) -> None:
    """At 1e-286 nothing is flushed yet that matters to a billionth. TA-Lib's own PPO is zero below 1e-14."""
    walk = prices(SERIES["walk"])
    bars = {name: values if name == "volume" else values * 1e-288 for name, values in walk.items()}
    columns = inputs(function, bars)
    for our, their in zip(call(ours, function, columns), call(theirs, function, columns), strict=True):
        assert first(our) == first(their)
        assert not (np.abs(our - their) > 1e-9 * np.maximum(np.abs(their), floor(function, bars))).any()
        assert np.abs(our[first(our) :]).max() > 0.0
