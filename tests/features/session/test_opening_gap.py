"""Gaps and their filling equal their definitions."""

from __future__ import annotations

from typing import Any

import candlewire_features as cf
import numpy as np
import numpy.typing as npt
import pytest

from tests.features.adversarial import ADVERSARIAL, Bars, assert_agree
from tests.features.conftest import PRICES, load
from tests.features.session.session_numbers import real_bars, session_numbers

Floats = npt.NDArray[np.float64]
HOUR_NS = 3_600_000_000_000


def filled(close: Any, opening: Any, low: Any, high: Any) -> Any:
    gap = abs(opening - close)
    retraced = np.where(opening > close, opening - low, high - opening)
    return np.where(gap > 0, np.minimum(retraced / np.where(gap > 0, gap, 1), 1), 1)


def session_gap(bars: Bars, sessions: Any) -> Any:
    opening, high, low, close = (np.asarray(bars[name], np.longdouble) for name in PRICES[:4])
    result = []
    for bar in range(len(close)):
        seen = sessions[: bar + 1]
        begun = seen.max()
        here = np.flatnonzero(seen == begun)
        first = here[0]
        earlier = np.flatnonzero((seen < begun) & (seen >= 0))
        before = close[earlier[-1]] if len(earlier) else opening[first]
        result.append(
            (
                (opening[first] - before) / before,
                filled(before, opening[first], low[here].min(), high[here].max()),
                (close[bar] - opening[first]) / opening[first],
            )
        )
    return np.array(result, np.longdouble)


def check(bars: Bars, sessions: Any, **parameters: Any) -> None:
    names = ("gap", "filled", "since_open")
    spec = cf.FeatureSpec([(name, "session_gap", parameters, name) for name in names])
    ours, truth = cf.compute(bars, spec), session_gap(bars, sessions)
    for column, name in enumerate(names):
        assert_agree(f"session {name}", ours[:, column], truth[:, column])
    ours = cf.compute(bars, cf.FeatureSpec([(name, "gap", {}, name) for name in names[:2]]))
    opening, high, low, close = (np.asarray(bars[name], np.longdouble) for name in PRICES[:4])
    nan = np.array([np.nan], np.longdouble)
    gap = (opening[1:] - close[:-1]) / close[:-1]
    assert_agree("gap", ours[:, 0], np.concatenate([nan, gap]))
    share = filled(close[:-1], opening[1:], low[1:], high[1:])
    assert_agree("filled", ours[:, 1], np.concatenate([nan, share]))


@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.parametrize("hours", [1, 7, 24])
def test_on_adversarial_bars(name: str, hours: int) -> None:
    times = np.arange(400, dtype=np.int64) * hours * HOUR_NS
    check(ADVERSARIAL[name] | {"open_time_ns": times}, times // (24 * HOUR_NS), calendar="24/7")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "symbol", "calendar", "hours"),
    [
        ("us_equities_5m.parquet", "SPY", "XNYS", "all"),
        ("us_equities_5m.parquet", "SPY", "XNYS", "regular"),
        ("fx_1h.parquet", "EURUSD", "FX", "all"),
    ],
)
def test_on_real_bars(file: str, symbol: str, calendar: str, hours: str) -> None:
    bars = real_bars(load(file, symbol).head(1000))
    check(bars, session_numbers(bars, calendar, hours), calendar=calendar, hours=hours)


@pytest.mark.real_data
def test_daily_bars_are_sessions_of_their_dates() -> None:
    bars = real_bars(load("us_stocks_1d.parquet", "AAPL"))
    check(bars, np.arange(len(bars["close"])), calendar="XNYS", stamp="date", hours="regular")
