"""Trading calendars: the sessions of an exchange, of currencies, and of markets that never close."""

import warnings
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from candlewire_training.data.bars import to_ns
from candlewire_training.data.timeframes import DAY_NS, timeframe_ns
from candlewire_training.errors import SettingsError

ALWAYS, CURRENCIES = "24/7", "FX"
# Calendars that the library knows under another exchange of the same hours and holidays.
ALIASES = {"XNSE": "XBOM", "NSE": "XBOM", "NYSE": "XNYS", "NASDAQ": "XNAS"}
# Before this year the library's holidays of exchanges are patchy.
FIRST_YEAR = 1971
CURRENCY_DAY_END_HOUR = 17
# (month, day) on which currencies rest even on a weekday.
CURRENCY_HOLIDAYS = {(1, 1), (12, 25)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """When a market trades.

    Attributes:
        name: `24/7`, `FX` (Sunday to Friday 17:00 New York; a day ends at 17:00 New York), or an exchange's
            code.
        zone: The market's time zone.
    """

    name: str
    zone: str

    def segments(self, first: date, last: date) -> pl.DataFrame:
        """Spans of trading of the sessions from `first` to `last`: `session` (Date), `open_ns`, `close_ns`.

        A session with a lunch break has two rows.
        """
        if self.name == ALWAYS:
            return _every_day(first, last)
        if self.name == CURRENCIES:
            return _currency_days(first, last)
        return _exchange_segments(self.name, first, last)

    def sessions(self, first: date, last: date) -> pl.Series:
        """Dates of the sessions, oldest first."""
        return self.segments(first, last)["session"].unique().sort()

    def slots(self, first: date, last: date, timeframe: str) -> pl.DataFrame:
        """Open times at which a bar is expected: `session`, `open_time_ns`, its segment's `close_ns`.

        Bars below a day are counted from each segment's open; a daily bar carries its session's date at 00:00
        UTC.

        Raises:
            SettingsError: The timeframe is longer than a day.
        """
        length = timeframe_ns(timeframe)
        segments = self.segments(first, last)
        if length > DAY_NS:
            raise SettingsError(f"timeframe {timeframe} has no slots in a calendar; use one of a day or less")
        if length == DAY_NS:
            dates = segments.select("session").unique().sort("session")
            label = pl.col("session").cast(pl.Datetime("ns")).cast(pl.Int64)
            return dates.with_columns(label.alias("open_time_ns"), (label + DAY_NS).alias("close_ns"))
        opens, closes = segments["open_ns"].to_numpy(), segments["close_ns"].to_numpy()
        counts = -(-(closes - opens) // length)
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        return pl.DataFrame(
            {
                "session": segments["session"].gather(np.repeat(np.arange(opens.size), counts)),
                "open_time_ns": np.repeat(opens, counts) + within * length,
                "close_ns": np.repeat(closes, counts),
            }
        )


def calendar_of_name(name: str) -> Calendar:
    """A calendar by `24/7`, `FX`, or an exchange's code such as XNYS, XNSE or XLON.

    Raises:
        SettingsError: There is no such calendar.
    """
    if name == ALWAYS:
        return Calendar(name=ALWAYS, zone="UTC")
    if name == CURRENCIES:
        return Calendar(name=CURRENCIES, zone="America/New_York")
    # Slow to import, and only exchanges need it.
    import exchange_calendars  # type: ignore[import-untyped]  # noqa: PLC0415

    code = ALIASES.get(name.upper(), name.upper())
    if code not in exchange_calendars.get_calendar_names():
        raise SettingsError(
            f"calendar {name!r} is unknown; use 24/7, FX, or an exchange's code such as XNYS, XNSE or XLON"
        )
    with warnings.catch_warnings():
        # The library is a step behind pandas' deprecations.
        warnings.simplefilter("ignore")
        zone = str(exchange_calendars.get_calendar(code).tz)
    return Calendar(name=code, zone=zone)


def _every_day(first: date, last: date) -> pl.DataFrame:
    days = pl.date_range(first, last, "1d", eager=True).alias("session")
    opens = days.cast(pl.Datetime("ns")).cast(pl.Int64)
    return pl.DataFrame([days, opens.alias("open_ns"), (opens + DAY_NS).alias("close_ns")])


def _currency_days(first: date, last: date) -> pl.DataFrame:
    """Monday to Friday but for holidays; each runs from 17:00 of the day before to 17:00, New York."""
    zone = ZoneInfo("America/New_York")
    every = pl.date_range(first, last, "1d", eager=True).to_list()
    days = [day for day in every if day.weekday() < 5 and (day.month, day.day) not in CURRENCY_HOLIDAYS]
    ends = [to_ns(datetime(day.year, day.month, day.day, CURRENCY_DAY_END_HOUR, tzinfo=zone)) for day in days]
    before = [day - timedelta(days=1) for day in days]
    starts = [
        to_ns(datetime(day.year, day.month, day.day, CURRENCY_DAY_END_HOUR, tzinfo=zone)) for day in before
    ]
    return pl.DataFrame(
        {"session": days, "open_ns": starts, "close_ns": ends},
        schema={"session": pl.Date, "open_ns": pl.Int64, "close_ns": pl.Int64},
    )


@lru_cache(maxsize=8)
def _exchange_schedule(code: str, first_year: int, last_year: int) -> pl.DataFrame:
    import exchange_calendars  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calendar = exchange_calendars.get_calendar(
            code, start=f"{first_year}-01-01", end=f"{last_year}-12-31"
        )
        schedule = calendar.schedule
        columns = {
            name: schedule[name].dt.tz_convert(None).astype("datetime64[ns]").to_numpy().astype(np.int64)
            for name in ("open", "break_start", "break_end", "close")
        }
        sessions = schedule.index.to_numpy().astype("datetime64[D]")
    return pl.DataFrame({"session": sessions, **columns})


def _exchange_segments(code: str, first: date, last: date) -> pl.DataFrame:
    schedule = _exchange_schedule(code, max(first.year, 1950), max(last.year, first.year, 1950))
    chosen = schedule.filter(pl.col("session").is_between(first, last))
    # numpy's "not a time", where a session has no break, is the smallest integer.
    broken = pl.col("break_start") > np.iinfo(np.int64).min
    whole = chosen.filter(~broken).select("session", open_ns="open", close_ns="close")
    morning = chosen.filter(broken).select("session", open_ns="open", close_ns="break_start")
    afternoon = chosen.filter(broken).select("session", open_ns="break_end", close_ns="close")
    return pl.concat([whole, morning, afternoon]).sort("open_ns")


__all__ = ["ALWAYS", "CURRENCIES", "FIRST_YEAR", "Calendar", "calendar_of_name"]
