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

# What the reference does with pandas is its own affair.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FIRST, LAST = date(2012, 1, 3), date(2026, 10, 30)
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
# Festivals that follow the moon are not in the rules, as the docs say.
WITH_FESTIVALS = {"XBOM", "XHKG", "XKRX", "XSES", "XSHG"}
MINUTE = timedelta(minutes=1)


@cache
def reference(name: str) -> Any:
    return exchange_calendars.get_calendar(name, start=str(FIRST), end=str(LAST))


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


def at_noon(name: str, day: date) -> datetime:
    # Past the shortest session's start and no market's rest.
    return datetime.combine(day, time(11, 0), tzinfo=ZoneInfo(ZONES[name]))


def weekdays() -> list[date]:
    days = (FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1))
    return [day for day in days if day.weekday() < 5]


@pytest.mark.parametrize("name", ZONES)
def test_every_session_took_place_and_none_is_missing(name: str) -> None:
    days = weekdays()
    is_open = session(name, [at_noon(name, day) for day in days], "is_open")[:, 0]
    ours = {day for day, value in zip(days, is_open, strict=True) if value == 1.0}
    theirs = {day for day in sessions(name) if day.weekday() < 5}
    # What was decided at short notice, and festivals: the reference lists them one by one.
    one_by_one = {np.datetime64(closed, "D").item() for closed in reference(name).adhoc_holidays}
    missing = theirs - ours
    if name == "XBOM":  # its rules are those in force now: a holiday on two of fifty such days was not kept
        assert len(missing) < 10
    else:
        assert missing == set()
    unknown = ours - theirs
    if name in WITH_FESTIVALS:
        assert len(unknown) < 15 * 15  # in fifteen years
    else:
        assert unknown <= one_by_one
        assert len(unknown) < 12


@pytest.mark.parametrize("name", sorted(set(ZONES) - {"CMES"}))
def test_sessions_open_and_close_to_the_minute(name: str) -> None:
    schedule = reference(name).schedule
    opens = [moment.to_pydatetime() for moment in schedule["open"]]
    closes = [moment.to_pydatetime() for moment in schedule["close"]]
    unlike = unlike_the_rule(name)
    days = [day.date() for day in schedule.index]
    pairs = [
        pair for day, pair in zip(days, zip(opens, closes, strict=True), strict=True) if day not in unlike
    ]
    days = [day for day in days if day not in unlike]
    assert len(pairs) > 2300
    moments = [
        moment for opened, closed in pairs for moment in (opened - MINUTE, opened, closed - MINUTE, closed)
    ]
    values = session(name, moments, "is_open", "minute", "minutes_to_close").reshape(len(pairs), 4, 3)
    expected = [0.0, 1.0, 1.0, 0.0]
    wrong = [day for day, row in zip(days, values[:, :, 0], strict=True) if row.tolist() != expected]
    assert [day for day in wrong if name != "XBOM"] == []
    assert set(values[:, 1, 1]) == {0.0}
    assert set(values[:, 3, 2]) == {0.0}


def unlike_the_rule(name: str) -> set[date]:
    """Sessions with hours of their own that no rule of today gives."""
    calendar = reference(name)
    early = {day.date() for day in calendar.early_closes}
    if name == "XHKG":  # eves of festivals
        return {day for day in early if day.month < 12}
    if name == "XKRX":  # closed at 15:00; first sessions of a year, and days of examinations, start later
        schedule, usual = calendar.schedule, (time(0, 0), time(6, 30))  # of UTC
        hours = zip(schedule.index, schedule["open"], schedule["close"], strict=True)
        return {day.date() for day, opens, closes in hours if (opens.time(), closes.time()) != usual}
    if name == "XASX":  # the reference has no early close that year
        return {date(2022, 12, 23), date(2022, 12, 30)}
    return set()


@pytest.mark.parametrize("name", ["XHKG", "XSHG", "XTKS"])
def test_a_rest_at_midday_is_not_open(name: str) -> None:
    rests = reference(name).schedule[["break_start", "break_end"]].dropna()
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
