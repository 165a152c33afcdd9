"""Time zones: IANA names, with a fixed shift where a broker keeps its own clock; naive times to UTC."""

import re
import zoneinfo
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from candlewire_training.errors import BarsError, SettingsError

_WITH_SHIFT = re.compile(r"^(?P<name>[A-Za-z_/]+(?:-[A-Za-z_]+)?)(?P<sign>[+-])(?P<hours>\d{1,2})h?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A clock: that of an IANA zone, `shift` ahead of it."""

    name: str
    shift: timedelta = timedelta()

    def __str__(self) -> str:
        hours = round(self.shift.total_seconds() / 3600)
        return f"{self.name}{hours:+d}h" if hours else self.name


def parse_zone(text: str) -> Zone:
    """A zone from `America/New_York` or, for a broker's server time, `America/New_York+7h`.

    Raises:
        SettingsError: There is no such zone.
    """
    shifted = _WITH_SHIFT.match(text)
    name = shifted["name"] if shifted else text
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(
            f"time zone {text!r} is unknown; write it as America/New_York, UTC, or America/New_York+7h for a"
            " clock seven hours ahead of New York's"
        ) from error
    if not shifted:
        return Zone(name=name)
    return Zone(name=name, shift=timedelta(hours=int(shifted["sign"] + shifted["hours"])))


def to_utc(local: pl.Series, zone: Zone, *, descending: bool, source: str) -> pl.Series:
    """Instants of naive times on a zone's clock.

    Of an hour that the clock shows twice, the first rows in time order are the earlier one: a time that is
    not later than the row before it has passed the change.

    Args:
        local: Naive Datetime, of one symbol.
        zone: The clock.
        descending: The rows run from new to old.
        source: What to call the bars in messages.

    Raises:
        BarsError: A time does not exist on that clock, so the zone is wrong.
    """
    clock = (local - zone.shift).alias("clock")
    frame = pl.DataFrame({"clock": clock})
    earliest = pl.col("clock").dt.replace_time_zone(zone.name, ambiguous="earliest", non_existent="null")
    latest = pl.col("clock").dt.replace_time_zone(zone.name, ambiguous="latest", non_existent="null")
    frame = frame.with_columns(
        earliest.dt.convert_time_zone("UTC").alias("earliest"),
        latest.dt.convert_time_zone("UTC").alias("latest"),
    )
    absent = frame.filter(pl.col("clock").is_not_null() & pl.col("earliest").is_null())
    if absent.height:
        moment = (absent["clock"][0] + zone.shift).strftime("%Y-%m-%d %H:%M:%S")
        raise BarsError(
            f"{source}: the time {moment} does not exist in {zone}, the clocks skip it ({absent.height} such"
            " rows); the time zone is another one: give --time-zone"
        )
    if frame.filter(pl.col("earliest") != pl.col("latest")).is_empty():
        return frame["earliest"].alias("when")
    return _with_repeated_hours(frame, descending=descending)


def _with_repeated_hours(frame: pl.DataFrame, *, descending: bool) -> pl.Series:
    ordered = frame.reverse() if descending else frame
    repeated = (pl.col("earliest") != pl.col("latest")).fill_null(value=False)
    # Within one change of the clocks: once a time fails to advance, the second pass of the hour has begun.
    ordered = ordered.with_columns(repeated.alias("repeated")).with_columns(
        pl.col("repeated").rle_id().alias("change"),
        (pl.col("clock") <= pl.col("clock").shift(1)).fill_null(value=False).alias("back"),
    )
    second = (pl.col("back") & pl.col("repeated")).cast(pl.Int32).cum_sum().over("change") > 0
    when = ordered.select(pl.when(second).then("latest").otherwise("earliest").alias("when"))["when"]
    return when.reverse() if descending else when


__all__ = ["Zone", "parse_zone", "to_utc"]
