"""Wide tables: a row a time, columns for every symbol: `BTC:open`, or yfinance's two header rows."""

import io
import re
from collections.abc import Iterable

import polars as pl

from candlewire_training.data.layouts.columns import PRICES, listed, normalised
from candlewire_training.data.layouts.contract import Choices, Opening, RawBars
from candlewire_training.data.layouts.delimited import bars_of_text
from candlewire_training.data.layouts.opening import decode, split_cells
from candlewire_training.data.layouts.symbols import timeframe_of_name
from candlewire_training.errors import BarsError

FIELDS = (*PRICES, "volume", "adj_close")
_FIELD_LAST = re.compile(rf"^(?P<symbol>.+?)[:._ |/](?P<field>{'|'.join(FIELDS)}|adj close)$", re.IGNORECASE)
_FIELD_FIRST = re.compile(rf"^(?P<field>{'|'.join(FIELDS)}|adj close)[:._ |/](?P<symbol>.+)$", re.IGNORECASE)


def _split(cell: str) -> tuple[str, str] | None:
    match = _FIELD_LAST.match(cell) or _FIELD_FIRST.match(cell)
    return (match["symbol"].strip(), normalised(match["field"])) if match else None


def _columns(cells: Iterable[str]) -> list[tuple[str, str]] | None:
    """(symbol, field) of every column after the first; None unless every symbol has its prices."""
    pairs = [_split(cell) for cell in cells]
    if not pairs or any(pair is None for pair in pairs):
        return None
    found = [pair for pair in pairs if pair is not None]
    symbols = {symbol for symbol, _ in found}
    complete = all((symbol, price) in found for symbol in symbols for price in PRICES)
    return found if complete else None


def _two_rows(opening: Opening) -> list[tuple[str, str]] | None:
    """Columns of a table whose first two rows are fields and symbols, in either order."""
    if len(opening.lines) < 3:
        return None
    first, second = (split_cells(line, opening.separator) for line in opening.lines[:2])
    if len(first) != len(second) or len(first) < 5:
        return None
    known = {*FIELDS, "adj_close"}
    upper, lower = first[1:], second[1:]
    if any(re.fullmatch(r"[\d.,:/ -]+", cell) for cell in (*upper, *lower)):
        return None  # the second row holds bars already
    if {normalised(cell) for cell in upper} <= known:
        return [(symbol, normalised(field)) for field, symbol in zip(upper, lower, strict=True)]
    if {normalised(cell) for cell in lower} <= known:
        return [(symbol, normalised(field)) for symbol, field in zip(upper, lower, strict=True)]
    return None


class Wide:
    """A table with columns for every symbol."""

    name = "wide"

    def recognise(self, opening: Opening) -> str | None:
        """Why the file is of this layout; None when it is not."""
        if not opening.lines:
            return None
        if columns := _columns(opening.cells[1:]):
            return f"columns name {len({symbol for symbol, _ in columns})} symbols and their fields"
        if columns := _two_rows(opening):
            return f"two header rows name {len({symbol for symbol, _ in columns})} symbols and their fields"
        return None

    def read(self, opening: Opening, choices: Choices) -> RawBars:
        """Bars of every symbol, one below the other.

        A symbol has no bar at a time where all its cells are empty.

        Raises:
            BarsError: The columns do not name symbols and fields, or a row cannot be read.
        """
        columns, header_lines = _columns(opening.cells[1:]), 1
        if columns is None:
            columns = _two_rows(opening)
            header_lines = (
                3 if len(opening.lines) > 2 and not any(opening.lines[2].split(opening.separator)[1:]) else 2
            )
        source = f"bars {opening.path.name}"
        if columns is None:
            raise BarsError(f"{source}: columns must be named as BTC:open; they are {listed(opening.cells)}")
        names = ["date", *(f"{symbol}\0{field}" for symbol, field in columns)]
        table = self._table(opening, names, header_lines, source)
        frames: list[pl.DataFrame] = []
        notes: list[str] = []
        for symbol in dict.fromkeys(symbol for symbol, _ in columns):
            fields = [field for name, field in columns if name == symbol]
            part = table.select("date", *(pl.col(f"{symbol}\0{field}").alias(field) for field in fields))
            present = part.filter(~pl.all_horizontal(pl.col(fields).is_null()))
            if present.height < part.height:
                notes.append(f"{symbol} has no bar at {part.height - present.height} of {part.height} times")
            if present.is_empty():
                continue
            raw = bars_of_text(present, choices, source=f"{source} {symbol}", first_line=header_lines + 1)
            frames.append(raw.frame.with_columns(pl.lit(symbol).alias("symbol")))
            notes += raw.notes
        if not frames:
            raise BarsError(f"{source}: every cell is empty")
        return RawBars(
            frame=pl.concat(frames, how="diagonal"),
            timeframe=timeframe_of_name(opening.path.stem),
            notes=tuple(dict.fromkeys(notes)),
        )

    @staticmethod
    def _table(opening: Opening, names: list[str], header_lines: int, source: str) -> pl.DataFrame:
        try:
            table = pl.read_csv(
                io.BytesIO(decode(opening.path.read_bytes()).encode()),
                has_header=False,
                new_columns=names,
                separator=opening.separator,
                skip_lines=header_lines,
                infer_schema=False,
            )
        except pl.exceptions.PolarsError as error:
            raise BarsError(f"{source}: no readable table ({str(error).strip().splitlines()[0]})") from error
        if table.width != len(names):
            raise BarsError(f"{source}: the rows have {table.width} cells, the header {len(names)}")
        return table.with_columns(pl.all().replace("", None))


__all__ = ["FIELDS", "Wide"]
