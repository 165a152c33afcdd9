"""Sessions of the exchanges, day by day, against `exchange_calendars`: an independent account of them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import candlewire_features as cf
import exchange_calendars  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest

from tests.features.session.short_notice import AT_SHORT_NOTICE, UNKNOWN_TO_REFERENCE, dates

# What the reference does with pandas is its own affair.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FIRST, LAST = date(2000, 1, 3), date(2026, 12, 31)
# Hours are today's; before, most exchanges had others.
HOURS_SINCE = date(2012, 1, 3)
ZONES = {
    "CMES": "America/Chicago",
    "XAMS": "Europe/Amsterdam",
    "XASX": "Australia/Sydney",
    "XBOM": "Asia/Kolkata",
    "XETR": "Europe/Berlin",
    "XHKG": "Asia/Hong_Kong",
    "XJSE": "Africa/Johannesburg",
    "XKRX": "Asia/Seoul",
    "XLON": "Europe/London",
    "XNYS": "America/New_York",
    "XPAR": "Europe/Paris",
    "XSES": "Asia/Singapore",
    "XSHG": "Asia/Shanghai",
    "XSWX": "Europe/Zurich",
    "XTKS": "Asia/Tokyo",
    "XTSE": "America/Toronto",
}
MINUTE = timedelta(minutes=1)


@cache
def reference(name: str, first: date = FIRST) -> Any:
    return exchange_calendars.get_calendar(name, start=str(first), end=str(LAST))


def sessions(name: str) -> set[date]:
    return {session.date() for session in reference(name).sessions}


def session(name: str, moments: list[datetime], *outputs: str) -> npt.NDArray[np.float64]:
    """Outputs of the kernel `session` at some moments, shape (moments, outputs)."""
    seconds = np.array([int(moment.timestamp()) for moment in moments], dtype=np.int64)
    order = np.argsort(seconds, kind="stable")
    ones = np.ones(len(moments))
    bars = {"open_time_ns": seconds[order] * 1_000_000_000}
    bars |= dict.fromkeys(("open", "high", "low", "close", "volume"), ones)
    spec = cf.FeatureSpec([(output, "session", {"calendar": name}, output) for output in outputs])
    values = np.empty((len(moments), len(outputs)))
    values[order] = cf.compute(bars, spec)
    return values


def at_eleven(name: str, day: date) -> datetime:
    # Past the latest session's start, before the earliest close and in no market's rest.
    return datetime.combine(day, time(11, 0), tzinfo=ZoneInfo(ZONES[name]))


def weekdays() -> list[date]:
    days = (FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1))
    return [day for day in days if day.weekday() < 5]


@pytest.mark.parametrize("name", ZONES)
def test_every_session_took_place_and_none_is_missing(name: str) -> None:
    days = weekdays()
    is_open = session(name, [at_eleven(name, day) for day in days], "is_open")[:, 0]
    ours = {day for day, value in zip(days, is_open, strict=True) if value == 1.0}
    theirs = {day for day in sessions(name) if day.weekday() < 5}
    assert theirs - ours == dates(UNKNOWN_TO_REFERENCE.get(name, {}))
    assert ours - theirs == dates(AT_SHORT_NOTICE.get(name, {}))


def schedule(name: str) -> list[tuple[date, datetime, datetime]]:
    """Day, open and close of the reference's sessions since today's hours."""
    frame = reference(name, HOURS_SINCE).schedule
    rows = zip(frame.index, frame["open"], frame["close"], strict=True)
    return [(day.date(), opens.to_pydatetime(), closes.to_pydatetime()) for day, opens, closes in rows]


@pytest.mark.parametrize("name", sorted(set(ZONES) - {"CMES"}))
def test_sessions_open_and_close_to_the_minute(name: str) -> None:
    unlike = unlike_the_reference(name) | dates(UNKNOWN_TO_REFERENCE.get(name, {}))
    rows = [row for row in schedule(name) if row[0] not in unlike]
    assert len(rows) > 3550
    assert wrong_hours(name, rows) == []


def wrong_hours(name: str, rows: list[tuple[date, datetime, datetime]]) -> list[date]:
    """Days on which a calendar is not open from the open to the close, or tells other minutes to them."""
    moments = [
        moment for _, opened, closed in rows for moment in (opened - MINUTE, opened, closed - MINUTE, closed)
    ]
    values = session(name, moments, "is_open", "minute", "minutes_to_close").reshape(len(rows), 4, 3)
    right = (values[:, :, 0] == [0.0, 1.0, 1.0, 0.0]).all(axis=1)
    right &= (values[:, 1, 1] == 0.0) & (values[:, 3, 2] == 0.0)
    return [row[0] for row, is_right in zip(rows, right, strict=True) if not is_right]


def unlike_the_reference(name: str) -> set[date]:
    """Sessions with other hours than the reference's."""
    if name == "XKRX":  # on days of examinations, announced within the year, all is an hour later
        return {day.date() for day in reference(name).special_offsets_adhoc[-1][-1]}
    if name == "XSES":  # it leaves out half days, as it says itself
        return eves_in_singapore()
    if name == "XASX":  # it has no early close that year
        return {date(2022, 12, 23), date(2022, 12, 30)}
    return set()


def eves_in_singapore() -> set[date]:
    new_years = exchange_calendars.lunisolar_holidays.chinese_lunar_new_year_dates
    eves = {day.date() - timedelta(days=1) for day in new_years}
    eves |= {date(year, 12, day) for year in range(2000, 2027) for day in (24, 31)}
    return eves & sessions("XSES")


def closes(name: str, days: list[date]) -> list[time]:
    """Local times at which the sessions of some days close."""
    moments = [at_eleven(name, day) for day in days]
    left = session(name, moments, "minutes_to_close")[:, 0]
    return [
        (moment + timedelta(minutes=float(minutes))).time()
        for moment, minutes in zip(moments, left, strict=True)
    ]


def test_singapore_closes_at_noon_on_eves() -> None:
    eves = eves_in_singapore()
    assert {date(2021, 2, 11), date(2021, 12, 24), date(2021, 12, 31), date(2022, 1, 31)} < eves
    assert set(closes("XSES", sorted(eves))) == {time(12, 0)}


def test_globex_closes_early_when_new_york_does() -> None:
    rows = schedule("CMES")
    days = [day for day, _, _ in rows]
    traded = sessions("XNYS") | dates(AT_SHORT_NOTICE["XNYS"])
    halves = {day.date() for day in reference("XNYS").early_closes}
    expected = [time(12, 15) if day in halves else time(16) if day in traded else time(12) for day in days]
    ours = closes("CMES", days)
    assert ours == expected
    # The reference has one calendar for all products: noon, and neither Juneteenth nor the eve of 4 July.
    theirs = {day.date() for day in reference("CMES").early_closes}
    at_noon = {day for day, close in zip(days, ours, strict=True) if close == time(12)}
    early = {day for day, close in zip(days, ours, strict=True) if close < time(16)}
    assert wrong_hours("CMES", [row for row in rows if row[0] in at_noon & theirs]) == []
    assert {day for day in theirs if day >= HOURS_SINCE} < early
    assert {(day.month, day.day) for day in early - theirs} == {(6, 19), (6, 20), (7, 3)}


@pytest.mark.parametrize("name", ["XHKG", "XSHG", "XTKS"])
def test_a_rest_at_midday_is_not_open(name: str) -> None:
    rests = reference(name, HOURS_SINCE).schedule[["break_start", "break_end"]].dropna()
    edges = [(row[0].to_pydatetime(), row[1].to_pydatetime()) for row in rests.itertuples(index=False)]
    moments = [moment for start, end in edges for moment in (start - MINUTE, start, end - MINUTE, end)]
    is_open = session(name, moments, "is_open").reshape(len(edges), 4)
    assert (is_open == [1.0, 0.0, 0.0, 1.0]).all()


def test_globex_rests_an_hour_a_day() -> None:
    chicago = ZoneInfo(ZONES["CMES"])
    moments = [
        (datetime(2026, 3, 1, 16, 59, tzinfo=chicago), 0.0),  # Sunday
        (datetime(2026, 3, 1, 17, 0, tzinfo=chicago), 1.0),
        (datetime(2026, 3, 2, 15, 59, tzinfo=chicago), 1.0),
        (datetime(2026, 3, 2, 16, 0, tzinfo=chicago), 0.0),
        (datetime(2026, 3, 2, 16, 59, tzinfo=chicago), 0.0),
        (datetime(2026, 3, 2, 17, 0, tzinfo=chicago), 1.0),
        (datetime(2026, 3, 6, 16, 0, tzinfo=chicago), 0.0),  # Friday
        (datetime(2026, 3, 6, 17, 0, tzinfo=chicago), 0.0),
        (datetime(2026, 4, 2, 17, 0, tzinfo=chicago), 0.0),  # the eve of Good Friday
    ]
    is_open = session("CMES", [moment for moment, _ in moments], "is_open")[:, 0]
    assert is_open.tolist() == [value for _, value in moments]


def test_tokyo_closed_at_three_before_november_2024() -> None:
    tokyo = ZoneInfo(ZONES["XTKS"])
    moments = [datetime(2024, 11, day, 15, 0, tzinfo=tokyo) for day in (1, 5)]
    values = session("XTKS", moments, "is_open", "minutes_to_close", "progress")
    assert values[0].tolist() == [0.0, 0.0, 1.0]
    assert values[1].tolist() == [1.0, 30.0, 360 / 390]


def test_korea_opens_an_hour_late_on_the_first_session_of_a_year() -> None:
    seoul = ZoneInfo(ZONES["XKRX"])
    moments = [datetime(2026, 1, day, hour, 30, tzinfo=seoul) for day in (2, 5) for hour in (9, 10)]
    is_open = session("XKRX", moments, "is_open")[:, 0]
    assert is_open.tolist() == [0.0, 1.0, 1.0, 1.0]
