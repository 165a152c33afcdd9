"""Defects of the bars' times: repeated, out of order, missing, off the calendar, not yet over."""

from datetime import date

import numpy as np
import polars as pl

from candlewire_training.arrays import I64, Bool
from candlewire_training.data.bars import date_text
from candlewire_training.data.checks.contract import (
    DROP,
    FAIL,
    FLAG,
    KEEP,
    Check,
    Finding,
    SymbolBars,
    finding,
)
from candlewire_training.data.timeframes import DAY_NS
from candlewire_training.data.universe_calendar import ALWAYS, CURRENCIES

VALUES = ["open", "high", "low", "close", "volume"]
# A hole in currencies longer than this is a weekend or a holiday.
LONGEST_CURRENCY_HOLE_NS = 6 * 3_600_000_000_000


def repeated_bars(bars: SymbolBars) -> Finding | None:
    """Bars that repeat an earlier one, value for value."""
    rows = ~bars.frame.select(pl.struct("open_time_ns", *VALUES).is_first_distinct()).to_series().to_numpy()
    return finding(bars, "repeated-bar", rows)


def conflicting_bars(bars: SymbolBars) -> Finding | None:
    """Bars that share their time with another one of other values."""
    distinct = bars.frame.group_by("open_time_ns").agg(pl.struct(VALUES).n_unique().alias("versions"))
    times = distinct.filter(pl.col("versions") > 1)["open_time_ns"]
    rows = bars.frame["open_time_ns"].is_in(times.implode()).to_numpy()

    def describe(row: int) -> str:
        return f"{bars.bar_text(row)} (row {bars.frame['source_row'][row] + 1})"

    found = finding(bars, "conflicting-bar", rows, describe)
    if found is None:
        return None
    text = f"{times.len()} times have bars with different prices or volume"
    return Finding(
        defect=found.defect,
        symbol=found.symbol,
        count=found.count,
        rows=rows,
        examples=(text, *found.examples),
    )


def out_of_order(bars: SymbolBars) -> Finding | None:
    """Bars that open before the bar above them in the file."""
    source = bars.frame.sort("source_row")["open_time_ns"].to_numpy()
    back = np.concatenate(([False], np.diff(source) < 0))
    rows: Bool = back[bars.frame["source_row"].to_numpy()]
    return finding(bars, "out-of-order", rows)


def gaps(bars: SymbolBars) -> Finding | None:
    """Times at which a bar is expected and missing; the rows are the bars after a gap.

    Daily bars are held against the sessions on which at least half of the listed symbols traded, where there
    are enough symbols to tell, else against the calendar; without either nothing is said.
    """
    missing = missing_times(bars)
    if missing is None or missing.size == 0:
        return None
    after = np.searchsorted(bars.time, missing)
    rows = np.zeros(bars.time.size, dtype=np.bool_)
    rows[after[after < rows.size]] = True
    # A gap per bar that follows one: its first missing time and its length.
    starts, counts = np.unique(after, return_counts=True)
    firsts = missing[np.searchsorted(after, starts)]
    longest = np.argsort(-counts, kind="stable")[:5]
    examples = tuple(f"{counts[i]} missing from {date_text(firsts[i])}" for i in longest)
    return Finding(defect="gap", symbol=bars.symbol, count=int(missing.size), rows=rows, examples=examples)


def missing_times(bars: SymbolBars) -> I64 | None:
    """Open times that are expected and missing; None when nothing says what to expect."""
    times = np.unique(bars.time)
    if bars.length_ns == DAY_NS and bars.sessions is not None:
        labels = bars.sessions.cast(pl.Datetime("ns")).cast(pl.Int64).to_numpy()
        sessions = labels[(labels >= times[0]) & (labels <= times[-1])]
        absent: I64 = np.setdiff1d(sessions, times // DAY_NS * DAY_NS)
        return absent
    if bars.calendar is None or bars.length_ns > DAY_NS:
        return None
    if bars.calendar.name == CURRENCIES and bars.length_ns < DAY_NS:
        return _short_holes(times, bars.length_ns)
    expected = _expected(bars, times)
    if bars.calendar.name == CURRENCIES:
        # A day may be labelled by its date or by its opening hour; Sunday's short session is a day for some.
        times = times // DAY_NS * DAY_NS
    missing: I64 = np.setdiff1d(expected, times)
    return missing


def _expected(bars: SymbolBars, times: I64) -> I64:
    calendar = bars.calendar
    if calendar is None:
        return times
    slots = calendar.slots(_date(times[0]), _date(times[-1]), bars.timeframe)
    expected: I64 = slots.filter(pl.col("open_time_ns").is_between(times[0], times[-1]))[
        "open_time_ns"
    ].to_numpy()
    return expected


def _short_holes(times: I64, length_ns: int) -> I64:
    """Times inside holes too short to be a weekend or a holiday."""
    steps = np.diff(times)
    parts = [
        np.arange(times[i] + length_ns, times[i + 1], length_ns)
        for i in np.flatnonzero((steps > length_ns) & (steps < LONGEST_CURRENCY_HOLE_NS))
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def outside_sessions(bars: SymbolBars) -> Finding | None:
    """Bars that open when the calendar's market is closed."""
    if bars.calendar is None or bars.calendar.name in {ALWAYS, CURRENCIES} or bars.length_ns > DAY_NS:
        return None
    first, last = _date(bars.time[0]), _date(bars.time[-1])
    if bars.length_ns == DAY_NS:
        labels = bars.calendar.sessions(first, last).cast(pl.Datetime("ns")).cast(pl.Int64).to_numpy()
        return finding(bars, "outside-session", ~np.isin(bars.time // DAY_NS * DAY_NS, labels))
    segments = bars.calendar.segments(first, last)
    opens, closes = segments["open_ns"].to_numpy(), segments["close_ns"].to_numpy()
    at = np.searchsorted(opens, bars.time, side="right") - 1
    inside = (at >= 0) & (bars.time < closes[np.maximum(at, 0)])
    return finding(bars, "outside-session", ~inside)


def off_grid(bars: SymbolBars) -> Finding | None:
    """Bars whose open is no whole number of bars from where most of the symbol's bars open."""
    if bars.length_ns > DAY_NS or bars.time.size < 2:
        return None
    phase = bars.time % bars.length_ns
    phases, counts = np.unique(phase, return_counts=True)
    # Clocks that change with the seasons shift longer bars by an hour or a half: those are grids of their
    # own.
    own = phases[counts >= max(2, 0.02 * bars.time.size)]
    return finding(bars, "off-grid", ~np.isin(phase, own))


def partial_last_bar(bars: SymbolBars) -> Finding | None:
    """A last bar that is not over yet, or whose time is the moment of download and not that of a bar."""
    rows = np.zeros(bars.time.size, dtype=np.bool_)
    unfinished = bars.time + bars.length_ns > bars.now_ns
    rows |= unfinished
    grid = off_grid(bars)
    if grid is not None and grid.rows[-1]:
        rows[-1] = True

    def describe(row: int) -> str:
        why = "it closes in the future" if unfinished[row] else "its time is no bar's"
        return f"{bars.bar_text(row)}: {why}"

    return finding(bars, "partial-last-bar", rows, describe)


def _date(open_time_ns: int) -> date:
    return date.fromisoformat(date_text(open_time_ns)[:10])


TIME_CHECKS = (
    Check(defect="repeated-bar", title="the same bar again", find=repeated_bars, on_import=DROP),
    Check(
        defect="conflicting-bar",
        title="two bars of one time with different values",
        find=conflicting_bars,
        on_import=FAIL,
    ),
    Check(defect="out-of-order", title="opens before the bar above it in the file", find=out_of_order),
    Check(defect="gap", title="a bar is expected and missing", find=gaps, policies=(KEEP, FLAG, FAIL)),
    Check(defect="outside-session", title="opens when the market is closed", find=outside_sessions),
    Check(defect="off-grid", title="opens between the others' open times", find=off_grid),
    Check(defect="partial-last-bar", title="the last bar is not over", find=partial_last_bar, on_import=DROP),
)

__all__ = ["LONGEST_CURRENCY_HOLE_NS", "TIME_CHECKS", "missing_times"]
