"""The functions with TA-Lib's names: generated from today's registry, and equal to TA-Lib's."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import candlewire_features as cf
import candlewire_features.talib as ours
import numpy as np
import polars as pl
import pytest
import talib as theirs
from candlewire_features._features import Indicator
from talib import abstract

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(name for name in ours.__all__ if name.isupper())


def generator() -> ModuleType:
    path = ROOT / "rust_features" / "generate_talib.py"
    spec = importlib.util.spec_from_file_location("generate_talib", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_functions_are_generated_from_the_registry_of_today() -> None:
    module = generator()
    assert module.TARGET.read_text() == module.source(), "run python rust_features/generate_talib.py"
    assert len(NAMES) > 100


def inputs(name: str, walk: dict[str, Any]) -> list[Any]:
    columns: list[Any] = []
    for given in abstract.Function(name).info["input_names"].values():
        columns += [walk[column] for column in (given if isinstance(given, list) else [given])]
    return columns


@pytest.mark.parametrize("name", NAMES)
def test_a_call_gives_what_talib_gives(name: str, walk: dict[str, Any]) -> None:
    columns = inputs(name, walk)
    expected: Any = getattr(theirs, name)(*columns)
    given: Any = getattr(ours, name)(*columns)
    assert getattr(ours, name) is getattr(ours, name.lower())
    if not isinstance(expected, tuple):
        expected, given = (expected,), (given,)
    assert len(given) == len(expected)
    scale = max(1.0, float(np.abs(columns[0]).max()))
    for their, our in zip(expected, given, strict=True):
        assert our.dtype == their.dtype
        assert np.array_equal(np.isnan(our), np.isnan(their)), "first valid bar"
        # Differences of prices have the digits of the prices.
        np.testing.assert_allclose(our, their, rtol=1e-9, atol=1e-9 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_have_talibs_order_and_names(name: str) -> None:
    heading = (getattr(theirs, name).__doc__ or "").split("\n")[0]
    expected = re.findall(r"(?:ndarray|int|double) (\w+)", heading)
    assert list(inspect.signature(getattr(ours, name)).parameters) == expected


def test_series_give_series(walk: dict[str, Any]) -> None:
    series = pl.Series("close", walk["close"])
    result = ours.rsi(series, timeperiod=5)  # type: ignore[arg-type]
    assert isinstance(result, pl.Series)
    np.testing.assert_array_equal(result.to_numpy(), ours.RSI(walk["close"], 5))
    upper, middle, lower = ours.bbands(walk["close"].astype(np.float32))
    assert (upper.dtype, middle.shape, lower.shape) == (np.float64, walk["close"].shape, walk["close"].shape)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda close: ours.rsi(close, timeperiod=1), cf.SpecError, "timeperiod is 1"),
        (lambda close: ours.bbands(close, matype=14), cf.SpecError, "matype is 14"),
        (lambda close: ours.rsi(close[None]), cf.InputError, "2 dimensions"),
        (lambda _: ours.rsi(np.array(["a"])), cf.InputError, "no numbers"),  # type: ignore[arg-type]
        (lambda close: ours.atr(close, close[1:], close), cf.InputError, "low has length 399, expected 400"),
    ],
)
def test_refusals_name_the_remedy(
    call: Any, error: type[Exception], message: str, walk: dict[str, Any]
) -> None:
    with pytest.raises(error, match=message):
        call(walk["close"])


@pytest.mark.parametrize("kind", range(1, 14))
def test_bands_and_stochastics_take_averages_of_any_kind(kind: int, walk: dict[str, Any]) -> None:
    high, low, close = walk["high"], walk["low"], walk["close"]
    pairs = [
        (ours.bbands(close, matype=kind), theirs.BBANDS(close, matype=kind)),
        (
            ours.stoch(high, low, close, slowk_matype=kind, slowd_period=5),
            theirs.STOCH(high, low, close, slowk_matype=kind, slowd_period=5),
        ),
        (
            ours.stoch(high, low, close, slowk_period=4, slowd_matype=kind),
            theirs.STOCH(high, low, close, slowk_period=4, slowd_matype=kind),
        ),
    ]
    for given, expected in pairs:
        for our, their in zip(given, expected, strict=True):
            assert np.array_equal(np.isnan(our), np.isnan(their)), "first valid bar"
            np.testing.assert_allclose(our, their, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize(("fast", "slow"), [(26, 12), (10, 10), (30, 9)])
def test_the_longer_period_is_the_slow_one(fast: int, slow: int, walk: dict[str, Any]) -> None:
    close = walk["close"]
    periods = {"fastperiod": fast, "slowperiod": slow}
    pairs = [
        (ours.apo(close, **periods), theirs.APO(close, **periods)),
        (ours.ppo(close, **periods, matype=2), theirs.PPO(close, **periods, matype=2)),
        (ours.macd(close, **periods)[2], theirs.MACD(close, **periods)[2]),
        (
            ours.macdext(close, **periods, fastmatype=1, slowmatype=2)[0],
            theirs.MACDEXT(close, **periods, fastmatype=1, slowmatype=2)[0],
        ),
    ]
    for our, their in pairs:
        assert np.array_equal(np.isnan(our), np.isnan(their)), "first valid bar"
        np.testing.assert_allclose(our, their, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize(("fast", "slow"), [(0.5, 0.05), (0.9, 0.01), (0.2, 0.2)])
def test_mama_obeys_its_limits(fast: float, slow: float, walk: dict[str, Any]) -> None:
    given, expected = ours.mama(walk["close"], fast, slow), theirs.MAMA(walk["close"], fast, slow)
    for our, their in zip(given, expected, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-9)


def test_a_kernel_that_compares_symbols_is_no_function() -> None:
    with pytest.raises(cf.SpecError, match="it compares symbols"):
        Indicator("reference", {"reference": "SPY"}, ["close"], [0])


@pytest.mark.parametrize("period", [True, [1], {1: 1}, None])
def test_what_is_kept_between_calls_answers_for_no_other_value(period: Any, walk: dict[str, Any]) -> None:
    once, again = ours.mom(walk["close"], timeperiod=1), ours.mom(walk["close"], timeperiod=1)
    np.testing.assert_array_equal(once, again)
    with pytest.raises(cf.SpecError, match=r"parameter 'timeperiod' is .*: give a number or a string"):
        ours.mom(walk["close"], timeperiod=period)
    np.testing.assert_allclose(ours.mom(walk["close"], timeperiod=2)[2:], once[2:] + once[1:-1], atol=1e-9)


def test_a_missing_value_is_as_if_it_had_not_come(walk: dict[str, Any]) -> None:
    close = walk["close"].copy()
    whole = ours.rsi(close)
    holed = np.insert(close, [0, 100, 400], np.nan)
    result = ours.rsi(holed)
    bad = np.isnan(holed)
    assert np.isnan(result[bad]).all()
    np.testing.assert_array_equal(result[~bad], whole)
    assert ours.rsi(close[:0]).shape == (0,)


def test_long_and_short_series_have_the_same_beginning() -> None:
    """Series of more than 65,536 bars take their times from elsewhere."""
    close = 100 + np.random.default_rng(5).normal(0, 0.1, 200_000).cumsum()
    high, low = close + 1, close - 1
    for bars in (65_536, 65_537, 150_000):
        for long, short in (
            (ours.ema(close, 30), ours.ema(close[:bars], 30)),
            (ours.atr(high, low, close), ours.atr(high[:bars], low[:bars], close[:bars])),
            (ours.macd(close)[1], ours.macd(close[:bars])[1]),
        ):
            assert np.array_equal(long[:bars], short, equal_nan=True)
