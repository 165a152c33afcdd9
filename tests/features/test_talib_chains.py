"""Functions over the outputs of functions, which begin with NaN: as TA-Lib gives them."""

from __future__ import annotations

from typing import Any

import candlewire_features.talib as ours
import numpy as np
import pytest
import talib as theirs

CHAINS: dict[str, Any] = {
    "ema of rsi": lambda t, b: t.EMA(t.RSI(b["close"], 14), 9),
    "bands of obv's change": lambda t, b: t.BBANDS(t.MOM(t.OBV(b["close"], b["volume"]), 5), 20)[0],
    "signal of macd": lambda t, b: t.SMA(t.MACD(b["close"])[2], 5),
    "stochastic of three rsi": lambda t, b: t.STOCH(*([t.RSI(b["close"], 14)] * 3))[1],
    "ema of ema of ema": lambda t, b: t.EMA(t.EMA(t.EMA(b["close"], 10), 10), 10),
    "slope of atr": lambda t, b: t.LINEARREG_SLOPE(t.ATR(b["high"], b["low"], b["close"], 14), 10),
    "deviation of cci": lambda t, b: t.STDDEV(t.CCI(b["high"], b["low"], b["close"], 20), 10),
    "kama of adx": lambda t, b: t.KAMA(t.ADX(b["high"], b["low"], b["close"], 14), 10),
    "correlation of rsi and mfi": lambda t, b: t.CORREL(
        t.RSI(b["close"], 30), t.MFI(b["high"], b["low"], b["close"], b["volume"], 10), 20
    ),
    "wma of what is all NaN": lambda t, b: t.WMA(t.SMA(b["close"], 500), 5),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_gives_what_talib_gives(chain: str, walk: dict[str, Any]) -> None:
    our, their = (CHAINS[chain](library, walk) for library in (ours, theirs))
    assert np.array_equal(np.isnan(our), np.isnan(their)), "first valid bar"
    np.testing.assert_allclose(our, their, rtol=1e-9, atol=1e-9 * np.nanmax(np.abs(their), initial=1.0))
