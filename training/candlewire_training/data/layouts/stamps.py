"""What a bar's time names: its open or its close, told from the first and last bars of exchange sessions."""

import polars as pl

from candlewire_training.data.layouts.contract import CLOSE_STAMP, OPEN_STAMP, Hint

# Zone -> sessions as (first minute, last minute) of the local day, longest first.
SESSIONS: dict[str, tuple[tuple[int, int], ...]] = {
    "America/New_York": ((4 * 60, 20 * 60), (9 * 60 + 30, 16 * 60)),
    "America/Chicago": ((8 * 60 + 30, 15 * 60),),
    "America/Toronto": ((9 * 60 + 30, 16 * 60),),
    "Asia/Kolkata": ((9 * 60 + 15, 15 * 60 + 30),),
    "Asia/Tokyo": ((9 * 60, 15 * 60 + 30), (9 * 60, 15 * 60)),
    "Asia/Hong_Kong": ((9 * 60 + 30, 16 * 60),),
    "Asia/Shanghai": ((9 * 60 + 30, 15 * 60),),
    "Australia/Sydney": ((10 * 60, 16 * 60),),
    "Europe/Berlin": ((9 * 60, 17 * 60 + 30),),
    "Europe/London": ((8 * 60, 16 * 60 + 30),),
    "Europe/Paris": ((9 * 60, 17 * 60 + 30),),
    "Europe/Warsaw": ((9 * 60, 17 * 60),),
}
MINUTE_NS = 60_000_000_000
# Days that begin or end a session as one convention says, and as the other one says, out of all days.
ENOUGH, TOO_MANY = 0.5, 0.1


def stamp_of_sessions(local: pl.Series, *, zone: str, bar_ns: int) -> Hint | None:
    """The convention under which the days' first and last bars lie at a session's ends.

    Args:
        local: Naive local times of the bars.
        zone: The exchange's zone.
        bar_ns: Length of a bar.

    Returns:
        None when the zone's exchange hours are unknown, or the days do not tell.
    """
    bar = bar_ns // MINUTE_NS
    if bar == 0 or bar >= 24 * 60:
        return None
    minute = (pl.col("local").dt.hour().cast(pl.Int64) * 60 + pl.col("local").dt.minute()).alias("minute")
    days = (
        pl.DataFrame({"local": local})
        .group_by(pl.col("local").dt.date().alias("day"))
        .agg(minute.min().alias("first"), minute.max().alias("last"))
    )
    for opens, closes in SESSIONS.get(zone, ()):
        inside = days.filter((pl.col("first") >= opens) & (pl.col("last") <= closes))
        if inside.height * 2 < days.height:
            continue
        at_open = _share(inside, (pl.col("first") == opens) | (pl.col("last") == closes - bar))
        at_close = _share(inside, (pl.col("first") == opens + bar) | (pl.col("last") == closes))
        session = f"{_clock(opens)}-{_clock(closes)} {zone}"
        if at_open >= ENOUGH and at_close <= TOO_MANY:
            return Hint(value=OPEN_STAMP, why=f"{at_open:.0%} of days begin at the open of {session}")
        if at_close >= ENOUGH and at_open <= TOO_MANY:
            return Hint(value=CLOSE_STAMP, why=f"{at_close:.0%} of days end at the close of {session}")
    return None


def _share(days: pl.DataFrame, condition: pl.Expr) -> float:
    return days.filter(condition).height / max(1, days.height)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


__all__ = ["SESSIONS", "stamp_of_sessions"]
