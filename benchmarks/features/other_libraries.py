"""The same indicators in the libraries that are installed beside TA-Lib."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def calls(name: str, bars: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """One call per installed library that has the indicator, with TA-Lib's default parameters."""
    sides = {"kand": kand_call(name, bars), "polars-talib": polars_call(name, bars)}
    sides["pandas-ta-classic"] = pandas_call(name, bars)
    return {library: call for library, call in sides.items() if call and works(call)}


def works(call: Callable[[], object]) -> bool:
    """Whether the installed version has the function with these arguments."""
    try:
        call()
    except (AttributeError, TypeError, ValueError):
        return False
    return True


def kand_call(name: str, bars: dict[str, Any]) -> Callable[[], object] | None:
    """A call of kand."""
    if not importlib.util.find_spec("kand"):
        return None
    import kand  # noqa: PLC0415

    high, low, close, volume = (bars[column] for column in ("high", "low", "close", "volume"))
    known: dict[str, Callable[[], object]] = {
        "RSI": lambda: kand.rsi(close, 14),
        "MACD": lambda: kand.macd(close, 12, 26, 9),
        "BBANDS": lambda: kand.bbands(close, 20, 2.0, 2.0),
        "ATR": lambda: kand.atr(high, low, close, 14),
        "ADX": lambda: kand.adx(high, low, close, 14),
        "EMA": lambda: kand.ema(close, 30),
        "STOCH": lambda: kand.stoch(high, low, close, 5, 3, 3),
        "CCI": lambda: kand.cci(high, low, close, 14),
        "MFI": lambda: kand.mfi(high, low, close, volume, 14),
        "SMA": lambda: kand.sma(close, 30),
        "ROC": lambda: kand.roc(close, 10),
        "OBV": lambda: kand.obv(close, volume),
        "WILLR": lambda: kand.willr(high, low, close, 14),
        "NATR": lambda: kand.natr(high, low, close, 14),
        "TRANGE": lambda: kand.trange(high, low, close),
        "WMA": lambda: kand.wma(close, 30),
        "DEMA": lambda: kand.dema(close, 30),
        "TEMA": lambda: kand.tema(close, 30),
        "MOM": lambda: kand.mom(close, 10),
        "AROON": lambda: kand.aroon(high, low, 14),
        "AD": lambda: kand.ad(high, low, close, volume),
        "ADOSC": lambda: kand.adosc(high, low, close, volume, 3, 10),
        "BOP": lambda: kand.bop(bars["open"], high, low, close),
        "SAR": lambda: kand.sar(high, low, 0.02, 0.2),
    }
    return known.get(name)


def polars_call(name: str, bars: dict[str, Any]) -> Callable[[], object] | None:
    """A call of polars-talib, over a DataFrame that exists already."""
    if not importlib.util.find_spec("polars_talib"):
        return None
    import polars as pl  # noqa: PLC0415
    import polars_talib as plta  # noqa: PLC0415

    frame = pl.DataFrame({column: bars[column] for column in ("open", "high", "low", "close", "volume")})
    close = pl.col("close")
    known = {
        "RSI": lambda: plta.rsi(close, timeperiod=14),
        "MACD": lambda: plta.macd(close, 12, 26, 9),
        "BBANDS": lambda: plta.bbands(close, timeperiod=20),
        "ATR": lambda: plta.atr(pl.col("high"), pl.col("low"), close, timeperiod=14),
        "ADX": lambda: plta.adx(pl.col("high"), pl.col("low"), close, timeperiod=14),
        "EMA": lambda: plta.ema(close, timeperiod=30),
        "SMA": lambda: plta.sma(close, timeperiod=30),
        "ROC": lambda: plta.roc(close, timeperiod=10),
        "STOCH": lambda: plta.stoch(pl.col("high"), pl.col("low"), close),
        "CCI": lambda: plta.cci(pl.col("high"), pl.col("low"), close, timeperiod=14),
        "MFI": lambda: plta.mfi(pl.col("high"), pl.col("low"), close, pl.col("volume"), timeperiod=14),
        "OBV": lambda: plta.obv(close, pl.col("volume")),
        "WILLR": lambda: plta.willr(pl.col("high"), pl.col("low"), close, timeperiod=14),
        "NATR": lambda: plta.natr(pl.col("high"), pl.col("low"), close, timeperiod=14),
        "WMA": lambda: plta.wma(close, timeperiod=30),
        "DEMA": lambda: plta.dema(close, timeperiod=30),
        "TEMA": lambda: plta.tema(close, timeperiod=30),
        "MOM": lambda: plta.mom(close, timeperiod=10),
        "AROON": lambda: plta.aroon(pl.col("high"), pl.col("low"), timeperiod=14),
    }
    make = known.get(name)
    return (lambda: frame.select(make())) if make else None


def pandas_call(name: str, bars: dict[str, Any]) -> Callable[[], object] | None:
    """A call of pandas-ta-classic, without its own use of TA-Lib."""
    if not importlib.util.find_spec("pandas_ta_classic"):
        return None
    import pandas as pd  # noqa: PLC0415
    import pandas_ta_classic as ta  # noqa: PLC0415

    high, low, close, volume = (pd.Series(bars[column]) for column in ("high", "low", "close", "volume"))
    known: dict[str, Callable[[], object]] = {
        "RSI": lambda: ta.rsi(close, 14, talib=False),
        "MACD": lambda: ta.macd(close, 12, 26, 9, talib=False),
        "BBANDS": lambda: ta.bbands(close, 20, 2.0, talib=False),
        "ATR": lambda: ta.atr(high, low, close, 14, talib=False),
        "ADX": lambda: ta.adx(high, low, close, 14, talib=False),
        "EMA": lambda: ta.ema(close, 30, talib=False),
        "STOCH": lambda: ta.stoch(high, low, close, 5, 3, 3),
        "CCI": lambda: ta.cci(high, low, close, 14, talib=False),
        "MFI": lambda: ta.mfi(high, low, close, volume, 14, talib=False),
        "SMA": lambda: ta.sma(close, 30, talib=False),
        "ROC": lambda: ta.roc(close, 10, talib=False),
        "OBV": lambda: ta.obv(close, volume, talib=False),
        "WILLR": lambda: ta.willr(high, low, close, 14, talib=False),
        "STDDEV": lambda: ta.stdev(close, 5, talib=False),
        "NATR": lambda: ta.natr(high, low, close, 14, talib=False),
        "WMA": lambda: ta.wma(close, 30, talib=False),
        "DEMA": lambda: ta.dema(close, 30, talib=False),
        "TEMA": lambda: ta.tema(close, 30, talib=False),
        "MOM": lambda: ta.mom(close, 10, talib=False),
        "AROON": lambda: ta.aroon(high, low, 14, talib=False),
    }
    return known.get(name)
