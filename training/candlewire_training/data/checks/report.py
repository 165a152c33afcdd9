"""The report on a set of bars: every symbol in turn, every check, one symbol in memory at a time."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from candlewire_training.arrays import F64, I64
from candlewire_training.data.checks.catalogue import CHECKS
from candlewire_training.data.checks.contract import Finding, SymbolBars
from candlewire_training.data.checks.stationarity import Stationarity, measure_stationarity
from candlewire_training.data.symbol_stream import SymbolStream
from candlewire_training.data.timeframes import DAY_NS
from candlewire_training.data.universe_calendar import Calendar

FEWEST_PEERS = 3
PEER_SHARE = 0.5
# Points of a symbol's chart; a chart is some 800 pixels wide.
CHART_POINTS = 800


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A symbol's closes, thinned, and the closes that a defect marks: times in ns and prices."""

    time: I64
    close: F64
    marks: dict[str, tuple[I64, F64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolReport:
    """What was found in one symbol's bars."""

    symbol: str
    bars: int
    first_ns: int
    last_ns: int
    findings: tuple[Finding, ...]
    stationarity: Stationarity | None
    chart: Chart | None = None

    def count(self, defect: str) -> int:
        """Bars with the defect."""
        return sum(found.count for found in self.findings if found.defect == defect)


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectReport:
    """What was found in a set of bars.

    Attributes:
        source: What the bars are called.
        timeframe: Of the bars.
        gap_basis: What gaps were held against.
        symbols: By symbol, in order of name.
    """

    source: str
    timeframe: str
    gap_basis: str
    symbols: tuple[SymbolReport, ...] = field(default=())

    @property
    def bars(self) -> int:
        """Bars of all symbols."""
        return sum(symbol.bars for symbol in self.symbols)

    def findings(self) -> Iterable[Finding]:
        """All findings, symbol by symbol."""
        for symbol in self.symbols:
            yield from symbol.findings


def symbol_bars(
    symbol: str,
    frame: pl.DataFrame,
    *,
    timeframe: str,
    calendar: Calendar | None,
    sessions: pl.Series | None,
    now_ns: int,
) -> SymbolBars:
    """One symbol's bars as the checks take them: sorted by time, with their rows in the source."""
    ordered = frame.with_row_index("source_row").sort("open_time_ns", "source_row")
    return SymbolBars(
        symbol=symbol, frame=ordered, timeframe=timeframe, calendar=calendar, sessions=sessions, now_ns=now_ns
    )


def check_symbol(bars: SymbolBars) -> tuple[Finding, ...]:
    """Every check on one symbol."""
    found = (check.find(bars) for check in CHECKS)
    return tuple(one for one in found if one is not None)


def check_stream(
    stream: SymbolStream,
    *,
    calendar: Calendar | None = None,
    stationarity: bool = True,
    charts: bool = False,
    now_ns: int | None = None,
    each: Callable[[SymbolBars, tuple[Finding, ...]], None] | None = None,
) -> DefectReport:
    """Every check on every symbol.

    Args:
        stream: The bars.
        calendar: What gaps are held against; without one daily bars are held against their peers.
        stationarity: Whether to run ADF and KPSS, the slow part.
        charts: Whether to keep thinned closes for charts.
        now_ns: What the clock says; None asks it.
        each: Called with each symbol's bars and findings.
    """
    sessions = peer_sessions(stream) if calendar is None else None
    clock = time.time_ns() if now_ns is None else now_ns
    reports: list[SymbolReport] = []
    for symbol, frame in stream:
        bars = symbol_bars(
            symbol, frame, timeframe=stream.timeframe, calendar=calendar, sessions=sessions, now_ns=clock
        )
        findings = check_symbol(bars)
        if each is not None:
            each(bars, findings)
        reports.append(
            SymbolReport(
                symbol=symbol,
                bars=frame.height,
                first_ns=int(bars.time[0]),
                last_ns=int(bars.time[-1]),
                findings=tuple(_without_rows(found) for found in findings),
                stationarity=measure_stationarity(bars) if stationarity else None,
                chart=_chart(bars, findings) if charts and findings else None,
            )
        )
    return DefectReport(
        source=stream.source,
        timeframe=stream.timeframe,
        gap_basis=_gap_basis(calendar, sessions),
        symbols=tuple(reports),
    )


def peer_sessions(stream: SymbolStream) -> pl.Series | None:
    """Dates on which at least half of the symbols then listed have a bar; None for too few symbols."""
    if stream.timeframe != "1d" or len(stream.symbols) < FEWEST_PEERS:
        return None
    spans: list[tuple[int, int]] = []
    traded: dict[int, int] = {}
    for _, frame in stream:
        days = np.unique(frame["open_time_ns"].to_numpy() // DAY_NS)
        spans.append((int(days[0]), int(days[-1])))
        for day in days.tolist():
            traded[day] = traded.get(day, 0) + 1
    days = np.array(sorted(traded))
    listed = np.zeros(days.size)
    for first, last in spans:
        listed += (days >= first) & (days <= last)
    counts = np.array([traded[day] for day in days.tolist()])
    return pl.Series("session", days[counts >= PEER_SHARE * listed].astype("datetime64[D]"))


def _gap_basis(calendar: Calendar | None, sessions: pl.Series | None) -> str:
    if calendar is not None:
        return f"calendar {calendar.name}"
    if sessions is not None:
        return "sessions on which at least half of the listed symbols traded"
    return "nothing: gaps are not judged, give --calendar or --universe"


def _without_rows(found: Finding) -> Finding:
    """The finding without its rows, which would keep a report of many symbols large."""
    return Finding(
        defect=found.defect,
        symbol=found.symbol,
        count=found.count,
        rows=np.empty(0, dtype=np.bool_),
        examples=found.examples,
    )


def _chart(bars: SymbolBars, findings: tuple[Finding, ...]) -> Chart:
    close = bars.prices[3]
    step = max(1, close.size // CHART_POINTS)
    marks: dict[str, tuple[I64, F64]] = {}
    for found in findings:
        rows = np.flatnonzero(found.rows & np.isfinite(close))
        if 0 < rows.size <= CHART_POINTS:
            marks[found.defect] = (bars.time[rows], close[rows])
    return Chart(time=bars.time[::step], close=close[::step], marks=marks)


__all__ = [
    "Chart",
    "DefectReport",
    "SymbolReport",
    "check_stream",
    "check_symbol",
    "peer_sessions",
    "symbol_bars",
]
