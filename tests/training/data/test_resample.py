"""Longer bars from shorter ones: exact, by session, complete."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from candlewire_training.data.bars import to_ns
from candlewire_training.data.resample import Resampled, resample
from candlewire_training.data.timeframes import TIMEFRAME_NS
from candlewire_training.data.universe_calendar import calendar_of_name
from candlewire_training.errors import BarsError, SettingsError
from hypothesis import given
from hypothesis import strategies as st

MINUTE_NS = TIMEFRAME_NS["1m"]


def bars(start: datetime, count: int, *, timeframe: str = "1m", seed: int = 1) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    close = 100 + np.cumsum(generator.integers(-3, 4, count)) / 4
    opened = close + generator.integers(-2, 3, count) / 4
    return pl.DataFrame(
        {
            "symbol": ["AAA"] * count,
            "open_time_ns": to_ns(start) + TIMEFRAME_NS[timeframe] * np.arange(count),
            "open": opened,
            "high": np.maximum(opened, close) + 0.25,
            "low": np.minimum(opened, close) - 0.25,
            "close": close,
            # Whole volumes: their sum is exact in any order.
            "volume": generator.integers(0, 1000, count).astype(np.float64),
        }
    )


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


def run(
    frame: pl.DataFrame, target: str, *, timeframe: str = "1m", calendar: str = "24/7", holes: str = "drop"
) -> Resampled:
    return resample(
        frame, timeframe=timeframe, target=target, calendar=calendar_of_name(calendar), holes=holes
    )


def test_five_minutes_by_hand() -> None:
    frame = bars(utc(2021, 1, 4), 10)
    made = run(frame, "5m").frame
    first = frame[:5]
    assert made.row(0) == (
        *("AAA", to_ns(utc(2021, 1, 4)), first["open"][0], first["high"].max(), first["low"].min()),
        *(first["close"][-1], first["volume"].sum()),
    )
    assert made.height == 2


@given(offset=st.integers(0, 1500), count=st.integers(60, 3000), seed=st.integers(0, 100))
def test_by_steps_equals_at_once(offset: int, count: int, seed: int) -> None:
    frame = bars(utc(2021, 1, 4), offset + count, seed=seed)[offset:]
    hours = run(frame, "1h").frame
    if hours.is_empty():
        return
    fives = run(frame, "5m").frame
    assert run(fives, "1h", timeframe="5m").frame.equals(hours)
    if hours.height >= 24:
        days = run(frame, "1d").frame
        assert run(hours, "1d", timeframe="1h").frame.equals(days)


@given(cut=st.integers(1, 299))
def test_a_later_bar_changes_no_earlier_one(cut: int) -> None:
    frame = bars(utc(2021, 1, 4), 300)
    whole, part = run(frame, "15m").frame, run(frame[:cut], "15m").frame
    assert whole[: part.height].equals(part)
    assert part.height == cut // 15


def test_bars_cut_by_the_ends_are_left_out_whatever_the_policy() -> None:
    frame = bars(utc(2021, 1, 4, 0, 3), 59)
    for holes in ("drop", "keep"):
        made = run(frame, "1h", holes=holes)
        assert made.frame.is_empty()
        assert made.unfinished == 2
    fives = run(frame, "5m")
    assert fives.unfinished == 2
    assert fives.frame.height == 11


def test_holes_are_dropped_kept_or_refused() -> None:
    frame = bars(utc(2021, 1, 4), 180)
    holed = pl.concat([frame[:70], frame[71:]])
    dropped = run(holed, "1h")
    assert (dropped.frame.height, dropped.holed) == (2, 1)
    kept = run(holed, "1h", holes="keep")
    assert (kept.frame.height, kept.holed) == (3, 1)
    # Nothing is filled in: the volume is that of the minutes there are.
    assert kept.frame["volume"][1] == holed[60:119]["volume"].sum()
    with pytest.raises(BarsError, match="59 of 60 bars"):
        run(holed, "1h", holes="fail")


def session(day: date, open_minute_utc: int, count: int) -> pl.DataFrame:
    return bars(utc(day.year, day.month, day.day, open_minute_utc // 60, open_minute_utc % 60), count)


def test_an_exchanges_days_are_its_sessions() -> None:
    # A summer Friday, the Monday after the clocks went back, and a half day.
    days = {
        date(2021, 11, 5): (13 * 60 + 30, 390),
        date(2021, 11, 8): (14 * 60 + 30, 390),
        date(2021, 11, 26): (14 * 60 + 30, 210),
    }
    frame = pl.concat([session(day, minute, count) for day, (minute, count) in days.items()])
    before_the_bell = session(date(2021, 11, 5), 13 * 60, 30)
    made = run(pl.concat([before_the_bell, frame]), "1d", calendar="XNYS")
    assert made.frame["open_time_ns"].to_list() == [to_ns(day) for day in days]
    assert made.frame["open"][0] == frame["open"][0]
    assert made.outside == 30
    hours = run(frame, "1h", calendar="XNYS")
    assert hours.frame["open_time_ns"][0] == frame["open_time_ns"][0]
    assert hours.frame.height == 7 + 7 + 4


def test_a_days_last_minute_decides_whether_it_is_complete() -> None:
    frame = session(date(2021, 11, 8), 14 * 60 + 30, 390)
    assert run(frame, "1d", calendar="XNYS").frame.height == 1
    assert run(frame[:-1], "1d", calendar="XNYS").unfinished == 1


def test_currencies_days_end_at_five_in_new_york() -> None:
    # Sunday 17:00 New York in winter is 22:00 UTC; that evening belongs to Monday.
    frame = bars(utc(2021, 1, 10, 22), 48, timeframe="1h")
    made = run(frame, "1d", timeframe="1h", calendar="FX").frame
    assert made["open_time_ns"].to_list() == [to_ns(date(2021, 1, 11)), to_ns(date(2021, 1, 12))]
    assert made["open"][0] == frame["open"][0]


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    frame = bars(utc(2021, 1, 1), 70, timeframe="1d")
    weeks = run(frame, "1w", timeframe="1d").frame
    assert weeks["open_time_ns"][0] == to_ns(date(2021, 1, 4))
    assert run(frame, "1M", timeframe="1d").frame["open_time_ns"].to_list() == [
        to_ns(date(2021, 1, 1)),
        to_ns(date(2021, 2, 1)),
    ]


@pytest.mark.parametrize(("timeframe", "target"), [("1h", "5m"), ("1h", "1h"), ("1w", "1M"), ("1m", "7m")])
def test_impossible_targets_are_refused(timeframe: str, target: str) -> None:
    with pytest.raises(SettingsError, match=r"to|timeframe"):
        run(bars(utc(2021, 1, 4), 100, timeframe=timeframe), target, timeframe=timeframe)


def test_repeated_times_and_foreign_calendars_are_refused() -> None:
    frame = bars(utc(2021, 1, 4), 10)
    with pytest.raises(BarsError, match="more than once"):
        run(pl.concat([frame, frame[:1]]).sort("open_time_ns"), "5m")
    with pytest.raises(BarsError, match="no bar opens at a time that calendar XNYS expects"):
        run(frame, "5m", calendar="XNYS")
    with pytest.raises(SettingsError, match="holes"):
        run(frame, "5m", holes="fill")
