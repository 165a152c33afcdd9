"""The session's average price equals its definition, computed afresh at each bar in extended precision."""

from __future__ import annotations

from typing import Any

import candlewire_features as cf
import numpy as np
import pytest

from tests.features.adversarial import ADVERSARIAL, Bars, assert_agree
from tests.features.conftest import PRICES, load
from tests.features.session.session_numbers import real_bars, session_numbers

MINUTE_NS = 60_000_000_000
DAY_NS = 1440 * MINUTE_NS
OUTPUTS = ("vwap", "upper", "lower", "ratio", "zscore")


def definition(bars: Bars, sessions: Any) -> Any:
    """Each output at each bar, shape (bars, 5); `sessions` numbers the session of each bar, -1 for none."""
    high, low, close, volume = (np.asarray(bars[name], np.longdouble) for name in PRICES[1:])
    result = np.zeros((len(close), 5), np.longdouble)
    for bar in range(len(close)):
        here = np.arange(bar + 1)
        begun = sessions[: bar + 1].max()
        here = here[sessions[: bar + 1] == begun]
        first = here[0]
        # Exact distances: even extended precision rounds sums of 1e9.
        origin = close[first]
        distance = ((high[here] - origin) + (low[here] - origin) + (close[here] - origin)) / 3
        weights = volume[here] if volume[here].any() else np.ones(len(here))
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


def check(bars: Bars, sessions: Any, **parameters: Any) -> None:
    parameters |= {"nbdev": 1.5}
    spec = cf.FeatureSpec([(name, "session_vwap", parameters, name) for name in OUTPUTS])
    ours = cf.compute(bars, spec)
    truth = definition(bars, sessions)
    floors = (bars["close"], bars["close"], bars["close"], 1e-6, 1.0)
    for column, (name, floor) in enumerate(zip(OUTPUTS, floors, strict=True)):
        assert_agree(name, ours[:, column], truth[:, column], floor=floor)


@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.parametrize("minutes", [1, 20, 90])
def test_on_adversarial_bars(name: str, minutes: int) -> None:
    times = np.arange(400, dtype=np.int64) * minutes * MINUTE_NS
    check(ADVERSARIAL[name] | {"open_time_ns": times}, times // DAY_NS, calendar="24/7")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "symbol", "calendar", "hours"),
    [
        ("crypto_1h.parquet", "BTCUSD-COINBASE", "24/7", "all"),
        ("fx_1h.parquet", "EURUSD", "FX", "all"),
        ("us_equities_5m.parquet", "SPY", "XNYS", "all"),
        ("us_equities_5m.parquet", "SPY", "XNYS", "regular"),
    ],
)
def test_on_real_bars(file: str, symbol: str, calendar: str, hours: str) -> None:
    frame = load(file, symbol).head(1000)
    bars = real_bars(frame)
    check(bars, session_numbers(bars, calendar, hours), calendar=calendar, hours=hours)
