"""What a layout is: it recognises a file and hands back its bars and what the format says of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl

OPEN_STAMP, CLOSE_STAMP = "open", "close"
STAMPS = (OPEN_STAMP, CLOSE_STAMP)
SIDES = ("mid", "bid", "ask")
UNREADABLE_POLICIES = ("fail", "drop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Something the format says, and how it says it."""

    value: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the caller says about a file; None leaves it to the file.

    Attributes:
        layout: Name of the layout.
        symbol: Symbol of every bar.
        timeframe: One of the contract's timeframes.
        time_zone: Zone of naive times: an IANA name, or one with a shift such as `America/New_York+7h`.
        fallback_time_zone: Zone of naive times of a file whose layout fixes none.
        stamp: `open` or `close`: the end of the bar that its time names.
        date_format: `day-first` or `month-first` for dates such as 03/04/2020.
        member: File inside an archive.
        table: Table of a database, or split of a dataset.
        side: Quotes: `mid`, `bid` or `ask`.
        price_scale: Factor from the file's prices to the real ones.
        adjusted: Scale prices so that close becomes the file's adjusted close.
        unreadable: `fail` refuses a file with rows that cannot be read, `drop` leaves such rows out and
            counts them.
    """

    layout: str | None = None
    symbol: str | None = None
    timeframe: str | None = None
    time_zone: str | None = None
    fallback_time_zone: Hint | None = None
    stamp: str | None = None
    date_format: str | None = None
    member: str | None = None
    table: str | None = None
    side: str | None = None
    price_scale: float | None = None
    adjusted: bool = False
    unreadable: str = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The beginning of a file, enough to recognise it.

    Attributes:
        path: The file or folder.
        lines: The first lines of a text file, without line ends; empty for anything else.
        cells: The first line's cells as written, without quotes.
        separator: Between cells.
    """

    path: Path
    lines: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    separator: str = ","

    @property
    def header(self) -> tuple[str, ...]:
        """The first line's cells in lower case."""
        return tuple(cell.strip().lower() for cell in self.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawBars:
    """Bars as a layout read them.

    Attributes:
        frame: `when` (Date, naive Datetime as written, or Datetime in UTC), prices and volume as float64,
            `symbol` when the file names it, and `local` (naive Datetime) beside a UTC `when` where the file
            wrote an offset.
        symbol: From the file's name.
        timeframe: From the file's name or a column.
        time_zone: Of naive times.
        stamp: `open` or `close`.
        notes: What was done to the rows on the way in.
    """

    frame: pl.DataFrame
    symbol: Hint | None = None
    timeframe: Hint | None = None
    time_zone: Hint | None = None
    stamp: Hint | None = None
    notes: tuple[str, ...] = field(default=())


class Layout(Protocol):
    """One kind of file. A new format implements this, is listed in `catalogue.LAYOUTS`, and nothing else."""

    @property
    def name(self) -> str:
        """What --layout calls it."""
        ...

    def recognise(self, opening: Opening) -> str | None:
        """Why the file is of this layout; None when it is not."""
        ...

    def read(self, opening: Opening, choices: Choices) -> RawBars:
        """The file's bars.

        Raises:
            BarsError: The file cannot be read.
            AmbiguousBarsError: The file leaves open what only the caller can say.
        """
        ...


__all__ = [
    "CLOSE_STAMP",
    "OPEN_STAMP",
    "SIDES",
    "STAMPS",
    "UNREADABLE_POLICIES",
    "Choices",
    "Hint",
    "Layout",
    "Opening",
    "RawBars",
]
