"""The polars namespace gives what the functions give, per symbol too."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import polars as pl
import pytest
from candlewire_features import expressions, talib


def column(name: str) -> Any:
    """A column with the namespace, which type checkers do not know."""
    return pl.col(name)


def test_documented_examples_run() -> None:
    result = doctest.testmod(expressions)
    assert (result.attempted > 0, result.failed) == (True, 0)


def test_expressions_give_the_same_bits(walk: dict[str, Any]) -> None:
    frame = pl.DataFrame(walk)
    given = frame.lazy().select(
        column("close").cw.rsi(14).alias("rsi"),
        column("high").cw.atr("low", pl.col("close"), timeperiod=5).alias("atr"),
        column("close").cw.bbands(timeperiod=5).alias("bands"),
        column("open").cw.cdlengulfing("high", "low", "close").alias("pattern"),
    )
    assert given.collect_schema()["pattern"] == pl.Int32
    rows = given.collect()
    bands = rows["bands"].struct.unnest()
    high, low, close = walk["high"], walk["low"], walk["close"]
    np.testing.assert_array_equal(rows["rsi"], talib.rsi(close))
    np.testing.assert_array_equal(rows["atr"], talib.atr(high, low, close, 5))
    assert bands.columns == ["upper", "middle", "lower"]
    for our, expected in zip(bands, talib.bbands(close, timeperiod=5), strict=True):
        np.testing.assert_array_equal(our, expected)
    np.testing.assert_array_equal(rows["pattern"], talib.cdlengulfing(walk["open"], high, low, close))


def test_symbols_keep_apart_and_a_null_is_a_missing_bar(walk: dict[str, Any]) -> None:
    close = walk["close"].copy()
    first, second = pl.Series(close[:200]), pl.Series(close[200:])
    first[50] = None
    frame = pl.DataFrame({"symbol": ["A"] * 200 + ["B"] * 200, "close": pl.concat([first, second])})
    given = frame.select(column("close").cw.ema(timeperiod=9).over("symbol"))["close"].to_numpy()
    expected = talib.ema(np.delete(close[:200], 50), 9)
    np.testing.assert_array_equal(np.delete(given[:200], 50), expected)
    assert np.isnan(given[50])
    np.testing.assert_array_equal(given[200:], talib.ema(close[200:], 9))


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(AttributeError, match="no function rsy"):
        column("close").cw.rsy()
    with pytest.raises(TypeError, match="missing a required argument: 'low'"):
        column("high").cw.atr()
    assert "rsi" in dir(column("close").cw)
