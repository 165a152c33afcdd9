"""What a check is: it looks at one symbol's bars and says which of them have its defect."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from candlewire_training.arrays import F64, I64, Bool
from candlewire_training.data.bars import date_text
from candlewire_training.data.timeframes import timeframe_ns
from candlewire_training.data.universe_calendar import Calendar

KEEP, DROP, FLAG, FAIL = "keep", "drop", "flag", "fail"
POLICIES = (KEEP, DROP, FLAG, FAIL)


@dataclass(frozen=True, kw_only=True)
class SymbolBars:
    """One symbol's bars, oldest first, with what the checks need to know beside them.

    Attributes:
        symbol: Name.
        frame: bars.COLUMNS and `source_row`, sorted by time; NaN where a value is missing.
        timeframe: Of every bar.
        calendar: When the market trades; None when nobody said.
        sessions: Dates on which at least half of the listed symbols traded; None when too few symbols tell.
        now_ns: A bar that closes later is not complete.
    """

    symbol: str
    frame: pl.DataFrame
    timeframe: str
    calendar: Calendar | None = None
    sessions: pl.Series | None = None
    now_ns: int

    @property
    def length_ns(self) -> int:
        """Length of a bar."""
        return timeframe_ns(self.timeframe)

    @cached_property
    def time(self) -> I64:
        """Open times, shape (bars,)."""
        return self.frame["open_time_ns"].to_numpy()

    def column(self, name: str) -> F64:
        """One column, shape (bars,)."""
        return self.frame[name].to_numpy()

    @cached_property
    def prices(self) -> F64:
        """Open, high, low, close, shape (4, bars)."""
        return np.stack([self.column(name) for name in ("open", "high", "low", "close")])

    @cached_property
    def usable(self) -> Bool:
        """Bars whose prices are finite and above zero, and whose time is not that of the bar before."""
        with np.errstate(invalid="ignore"):
            good: Bool = np.asarray(np.isfinite(self.prices).all(axis=0) & (self.prices > 0).all(axis=0))
        good[1:] &= np.diff(self.time) > 0
        return good

    def bar_text(self, row: int) -> str:
        """A bar for people."""
        o, h, l, c = self.prices[:, row]  # noqa: E741 - the field's letters
        volume = self.column("volume")[row]
        amount = f"{volume:,.0f}" if abs(volume) >= 1000 else f"{volume:g}"
        return f"{date_text(self.time[row])} O {o:g} H {h:g} L {l:g} C {c:g} V {amount}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One defect in one symbol's bars.

    Attributes:
        defect: Name of the defect.
        symbol: Whose bars.
        count: Bars that have it (for gaps: bars that are missing).
        rows: Which of the symbol's bars, shape (bars,).
        examples: The first or worst of them, for people.
    """

    defect: str
    symbol: str
    count: int
    rows: Bool
    examples: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One kind of defect.

    Attributes:
        defect: Its name in policies and reports.
        title: What it is, for people.
        find: The finding in one symbol's bars, or None.
        policies: What may be done about it.
        on_import: What an import does about it unless told otherwise.
    """

    defect: str
    title: str
    find: Callable[[SymbolBars], Finding | None]
    policies: tuple[str, ...] = POLICIES
    on_import: str = KEEP


EXAMPLES = 5


def finding(
    bars: SymbolBars, defect: str, rows: Bool, texts: Callable[[int], str] | None = None
) -> Finding | None:
    """A finding of the rows chosen; None when there are none."""
    chosen = np.flatnonzero(rows)
    if chosen.size == 0:
        return None
    describe = texts or bars.bar_text
    examples = tuple(describe(int(row)) for row in chosen[:EXAMPLES])
    return Finding(defect=defect, symbol=bars.symbol, count=int(chosen.size), rows=rows, examples=examples)


__all__ = [
    "DROP",
    "EXAMPLES",
    "FAIL",
    "FLAG",
    "KEEP",
    "POLICIES",
    "Check",
    "Finding",
    "SymbolBars",
    "finding",
]
