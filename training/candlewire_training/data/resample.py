"""Longer bars from shorter ones: exact, by session, and only where every bar that belongs in is there."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from candlewire_training.data.bars import COLUMNS, date_text
from candlewire_training.data.timeframes import DAY_NS, timeframe_ns
from candlewire_training.data.universe_calendar import ALWAYS, Calendar
from candlewire_training.errors import BarsError, SettingsError

HOLE_POLICIES = ("drop", "keep", "fail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """Longer bars of one symbol, and what did not become one.

    Attributes:
        frame: bars.COLUMNS, oldest first.
        outside: Bars at times that the calendar does not know, left out.
        unfinished: Longer bars at either end of the data that begin before it or end after it, left out.
        holed: Longer bars inside the data that lack a shorter one; in `frame` only where holes are kept.
    """

    frame: pl.DataFrame
    outside: int
    unfinished: int
    holed: int


def resample(
    bars: pl.DataFrame, *, timeframe: str, target: str, calendar: Calendar, holes: str = "drop"
) -> Resampled:
    """Longer bars of one symbol.

    Bars below a day are counted from the session's open (from midnight UTC where a market never closes), so
    the last one of a session may be shorter; a daily bar is the session's and carries its date; weeks begin
    on Monday.

    Args:
        bars: bars.COLUMNS of one symbol, checked, oldest first.
        timeframe: Of `bars`.
        target: Of the result.
        calendar: Which bars belong to which session.
        holes: For a longer bar that lacks a shorter one: `drop` leaves it out, `keep` makes it from those
            there are, `fail` refuses.

    Raises:
        SettingsError: The target is no multiple of the timeframe, or the policy is unknown.
        BarsError: A time appears twice, no bar fits the calendar, or there is a hole and the policy refuses
            it.
    """
    if holes not in HOLE_POLICIES:
        raise SettingsError(f"holes {holes!r} is unknown; use one of {', '.join(HOLE_POLICIES)}")
    source_ns, target_ns = timeframe_ns(timeframe), timeframe_ns(target)
    if target_ns <= source_ns or (target_ns <= DAY_NS and target_ns % source_ns) or source_ns > DAY_NS:
        raise SettingsError(f"to {target!r} makes no sense for bars of {timeframe}; give a longer timeframe")
    if bars["open_time_ns"].is_duplicated().any():
        raise BarsError(f"{bars['symbol'][0]}: a time appears more than once; see `candlewire data check`")
    slots = _slots(bars, timeframe, target, calendar)
    joined = slots.join(bars, on="open_time_ns", how="left", maintain_order="left").with_columns(
        pl.col("symbol").is_not_null().alias("present")
    )
    present = int(joined["present"].sum())
    if present == 0:
        raise BarsError(
            f"{bars['symbol'][0]}: no bar opens at a time that calendar {calendar.name} expects "
            f"(the first opens at {date_text(bars['open_time_ns'][0])}); give another --calendar"
        )
    first, last = bars["open_time_ns"][0], bars["open_time_ns"][-1]
    longer = (
        joined.group_by("bucket_ns", maintain_order=True)
        .agg(
            pl.col("open_time_ns").min().alias("first_slot"),
            pl.col("open_time_ns").max().alias("last_slot"),
            pl.len().alias("expected"),
            pl.col("present").sum().alias("bars"),
            pl.col("open").drop_nulls().first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").drop_nulls().last(),
            pl.col("volume").sum(),
        )
        .filter(pl.col("bars") > 0)
    )
    finished = longer.filter((pl.col("first_slot") >= first) & (pl.col("last_slot") <= last))
    holed = finished.filter(pl.col("bars") < pl.col("expected"))
    if holes == "fail" and not holed.is_empty():
        row = holed.row(0, named=True)
        raise BarsError(
            f"{bars['symbol'][0]}: the {target} bar {date_text(row['bucket_ns'])} has {row['bars']} of"
            f" {row['expected']} bars, one of {holed.height} such; use --holes drop or keep"
        )
    kept = finished if holes == "keep" else finished.filter(pl.col("bars") == pl.col("expected"))
    frame = kept.select(
        pl.lit(bars["symbol"][0]).alias("symbol"), pl.col("bucket_ns").alias("open_time_ns"), *COLUMNS[2:]
    )
    return Resampled(
        frame=frame,
        outside=bars.height - present,
        unfinished=longer.height - finished.height,
        holed=holed.height,
    )


def _slots(bars: pl.DataFrame, timeframe: str, target: str, calendar: Calendar) -> pl.DataFrame:
    """Every time at which a bar is expected, with its longer bar: `open_time_ns`, `bucket_ns`."""
    target_ns = timeframe_ns(target)
    margin = timedelta(days=40 if target_ns > DAY_NS else 2)
    first, last = _date_of(bars["open_time_ns"][0]) - margin, _date_of(bars["open_time_ns"][-1]) + margin
    slots = calendar.slots(first, last, timeframe)
    if target_ns < DAY_NS:
        # Counted from the segment's open; the first slot of a segment is that open.
        anchor = (
            pl.col("open_time_ns") // DAY_NS * DAY_NS
            if calendar.name == ALWAYS
            else pl.col("open_time_ns").min().over("close_ns")
        )
        bucket = anchor + (pl.col("open_time_ns") - anchor) // target_ns * target_ns
    else:
        every = {"1d": "1d", "1w": "1w", "1M": "1mo"}[target]
        bucket = pl.col("session").dt.truncate(every).cast(pl.Datetime("ns")).cast(pl.Int64)
    return slots.select("open_time_ns", bucket.alias("bucket_ns")).sort("open_time_ns")


def _date_of(open_time_ns: int) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=open_time_ns // 1000)).date()


__all__ = ["HOLE_POLICIES", "Resampled", "resample"]
