"""The session's average price equals its definition, computed afresh at each bar in extended precision."""

from __future__ import annotations

from typing import Any

import candlewire_features as cf
import numpy as np
import pytest

from tests.features.adversarial import ADVERSARIAL, Bars, assert_agree
from tests.features.conftest import PRICES, load

MINUTE_NS = 60_000_000_000
OUTPUTS = ("vwap", "upper", "lower", "ratio", "zscore")


def definition(bars: Bars, times: Any, start: int) -> Any:
    """Each output at each bar, shape (bars, 5)."""
    high, low, close, volume = (np.asarray(bars[name], np.longdouble) for name in PRICES[1:])
    sessions = (times - start * MINUTE_NS) // (1440 * MINUTE_NS)
    result = np.zeros((len(close), 5), np.longdouble)
    for bar in range(len(close)):
        first = int(np.argmax(sessions == sessions[bar]))
        here = slice(first, bar + 1)
        # Exact distances: even extended precision rounds sums of 1e9.
        origin = close[first]
        distance = ((high[here] - origin) + (low[here] - origin) + (close[here] - origin)) / 3
        weights = volume[here] if volume[here].any() else np.ones(bar + 1 - first)
        mean = (weights * distance).sum() / weights.sum()
        deviation = np.sqrt((weights * (distance - mean) ** 2).sum() / weights.sum())
        away = close[bar] - origin - mean
        vwap = origin + mean
        moved = deviation > 1e-15 * abs(away) if (weights > 0).sum() > 1 else False
        result[bar] = (
            vwap,
            vwap + deviation * 3 / 2,
            vwap - deviation * 3 / 2,
            away / vwap,
            away / deviation if moved else 0,
        )
    return result


def check(bars: Bars, times: Any, start: int) -> None:
    parameters = {"nbdev": 1.5, "session_start": start}
    spec = cf.FeatureSpec([(name, "session_vwap", parameters, name) for name in OUTPUTS])
    ours = cf.compute(bars, spec)
    truth = definition(bars, times, start)
    floors = (bars["close"], bars["close"], bars["close"], 1e-6, 1.0)
    for column, (name, floor) in enumerate(zip(OUTPUTS, floors, strict=True)):
        assert_agree(name, ours[:, column], truth[:, column], floor=floor)


@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.parametrize("minutes", [1, 20, 90])
def test_on_adversarial_bars(name: str, minutes: int) -> None:
    times = np.arange(400, dtype=np.int64) * minutes * MINUTE_NS
    check(ADVERSARIAL[name] | {"open_time_ns": times}, times, 0)


@pytest.mark.real_data
@pytest.mark.parametrize("start", [0, 1320])
@pytest.mark.parametrize(
    ("file", "symbol"),
    [
        ("crypto_1h.parquet", "BTCUSD-COINBASE"),
        ("fx_1h.parquet", "EURUSD"),
        ("us_equities_5m.parquet", "SPY"),
        ("us_stocks_1d.parquet", "AAPL"),
    ],
)
def test_on_real_bars(file: str, symbol: str, start: int) -> None:
    frame = load(file, symbol).head(1000)
    times = frame["ts"].dt.timestamp("ns").to_numpy()
    bars = {name: np.ascontiguousarray(frame[name].to_numpy()) for name in PRICES}
    check(bars | {"open_time_ns": times}, times, start)
