"""Typed tables: Parquet, Feather (freqtrade's too) and DuckDB."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from candlewire_training.data.layouts.columns import PRICES, listed, looks_like_header, normalised, parts_of
from candlewire_training.data.layouts.contract import Choices, Hint, Opening, RawBars
from candlewire_training.data.layouts.delimited import bars_of_text
from candlewire_training.data.layouts.symbols import (
    is_pair,
    symbol_of_name,
    symbol_of_pair,
    timeframe_of_name,
)
from candlewire_training.data.layouts.times import within_clock
from candlewire_training.errors import AmbiguousBarsError, BarsError, SettingsError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PARQUET_SUFFIXES = {".parquet", ".pq"}
FEATHER_SUFFIXES = {".feather", ".arrow", ".ipc"}
DUCKDB_SUFFIXES = {".duckdb", ".ddb", ".db"}
# Columns whose name gives the unit; of others the count of digits must tell it.
EPOCH_COLUMNS = {"open_time_ns": pl.Datetime("ns", "UTC"), "open_time_ms": pl.Datetime("ms", "UTC")}
NUMBER_PARTS = (*PRICES, "volume", "adjusted_close", "tick_volume")


def bars_of_table(frame: pl.DataFrame, choices: Choices, *, source: str) -> RawBars:
    """Bars from typed columns; times and numbers that are text are read as text.

    Raises:
        BarsError: A column is missing or of a type that holds no bars.
    """
    parts = parts_of(frame.columns, source=source)
    moment = parts.get("epoch") or parts["date"]
    for part in NUMBER_PARTS:
        if part in parts and not _may_hold_numbers(frame.schema[parts[part]]):
            dtype = frame.schema[parts[part]]
            raise BarsError(f"{source}: column {parts[part]} is {dtype}; make it a number")
    if frame.schema[moment].is_integer() and normalised(moment) in EPOCH_COLUMNS:
        frame = frame.with_columns(pl.col(moment).cast(EPOCH_COLUMNS[normalised(moment)], strict=False))
    dtype = frame.schema[moment]
    as_text = dtype == pl.String or dtype.is_integer()
    if as_text or any(frame.schema[parts[part]] == pl.String for part in NUMBER_PARTS if part in parts):
        if not as_text and not isinstance(dtype, pl.Datetime | pl.Date):
            raise BarsError(f"{source}: column {moment} is {dtype}; make it a timestamp or a date")
        raw = bars_of_text(_as_text(frame, parts), choices, source=source, first_line=1)
    elif isinstance(dtype, pl.Datetime) or dtype == pl.Date:
        raw = _typed(frame, parts, moment, choices, source)
    else:
        raise BarsError(f"{source}: column {moment} is {dtype}; make it a timestamp or a date")
    return RawBars(
        frame=raw.frame,
        timeframe=raw.timeframe or _single_timeframe(frame, parts, choices, source),
        stamp=_stamp_of_name(moment),
        notes=raw.notes,
    )


def _may_hold_numbers(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype in {pl.String, pl.Null}


def _as_text(frame: pl.DataFrame, parts: dict[str, str]) -> pl.DataFrame:
    """The columns that play a part, as the text reader takes them; zoned times keep their offset."""
    columns = []
    for name in parts.values():
        dtype = frame.schema[name]
        column = frame[name]
        if isinstance(dtype, pl.Datetime):
            # The library cannot write every count as a calendar date.
            column = within_clock(column)
        zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
        columns.append(column.dt.strftime("%Y-%m-%d %H:%M:%S%.9f%:z") if zoned else column.cast(pl.String))
    return pl.DataFrame(columns)


def _typed(frame: pl.DataFrame, parts: dict[str, str], moment: str, choices: Choices, source: str) -> RawBars:
    dtype = frame.schema[moment]
    readable = within_clock(frame[moment]).is_not_null()
    if "symbol" in parts:
        readable &= frame[parts["symbol"]].is_not_null()
    unreadable = frame.height - int(readable.sum())
    if unreadable and (choices.unreadable == "fail" or unreadable == frame.height):
        raise BarsError(
            f"{source}: {unreadable} of {frame.height} rows have no time in column {moment}, or no symbol; "
            "repair the table, or leave such rows out with --unreadable drop"
        )
    frame = frame.filter(readable)
    notes = (f"left out {unreadable} rows without a time or a symbol",) if unreadable else ()
    columns = [
        pl.col(parts[part]).cast(pl.Float64, strict=False).fill_null(float("nan")).alias(part)
        for part in NUMBER_PARTS
        if part in parts
    ]
    when = pl.col(moment)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        local = when.dt.replace_time_zone(None).dt.cast_time_unit("ns").alias("local")
        columns += [when.dt.convert_time_zone("UTC").dt.cast_time_unit("ns").alias("when"), local]
    elif isinstance(dtype, pl.Datetime):
        columns.append(when.dt.cast_time_unit("ns").alias("when"))
    else:
        columns.append(when.alias("when"))
    if "symbol" in parts:
        columns.append(pl.col(parts["symbol"]).cast(pl.String).alias("symbol"))
    return RawBars(frame=frame.select(columns), notes=notes)


def _single_timeframe(
    frame: pl.DataFrame, parts: dict[str, str], choices: Choices, source: str
) -> Hint | None:
    if "timeframe" not in parts:
        return None
    present = sorted(frame[parts["timeframe"]].cast(pl.String).drop_nulls().unique().to_list())
    if len(present) == 1:
        return Hint(value=present[0], why=f"column {parts['timeframe']}")
    if choices.timeframe is None:
        question = f"it holds the timeframes {listed(present)}: choose one with --timeframe"
        raise AmbiguousBarsError((question,), source=source)
    return None


def _stamp_of_name(column: str) -> Hint | None:
    name = normalised(column)
    if name.startswith(("open_time", "opentime")):
        return Hint(value="open", why=f"the column is called {column}")
    return None


def read_parquet(path: Path) -> pl.DataFrame:
    """A Parquet file.

    Raises:
        BarsError: It cannot be read.
    """
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BarsError(f"bars {path}: no readable Parquet file ({_first_line(error)})") from error


def read_feather(path: Path) -> pl.DataFrame:
    """A Feather (Arrow IPC) file.

    Raises:
        BarsError: It cannot be read.
    """
    try:
        return pl.read_ipc(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BarsError(f"bars {path}: no readable Feather file ({_first_line(error)})") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """A file that holds one typed table."""

    name: str
    suffixes: frozenset[str]
    reader: Callable[[Path], pl.DataFrame]

    def recognise(self, opening: Opening) -> str | None:
        """Why the file is of this layout; None when it is not."""
        return (
            f"file name ends in {opening.path.suffix}"
            if opening.path.suffix.lower() in self.suffixes
            else None
        )

    def read(self, opening: Opening, choices: Choices) -> RawBars:
        """The file's bars.

        Raises:
            BarsError: The file cannot be read or holds no bars.
        """
        frame = self.reader(opening.path)
        if choices.timeframe is not None and "timeframe" in frame.columns:
            frame = frame.filter(pl.col("timeframe").cast(pl.String) == choices.timeframe)
        raw = bars_of_table(frame, choices, source=f"bars {opening.path.name}")
        stem = opening.path.stem
        own = {"symbol", "timeframe", "ts", *PRICES, "volume"} <= set(frame.columns)
        return RawBars(
            frame=raw.frame,
            symbol=symbol_of_name(stem),
            timeframe=raw.timeframe or timeframe_of_name(stem),
            stamp=(
                Hint(value="open", why="columns are Candlewire's own, which stamp a bar at its open")
                if own
                else raw.stamp
            ),
            notes=raw.notes,
        )


class Freqtrade:
    """freqtrade's downloads: one pair and timeframe a Feather file, both in its name."""

    name = "freqtrade"
    _file_name = re.compile(
        r"^(?P<pair>[A-Z0-9]+_[A-Z0-9]+(?:_[A-Z0-9]+)?)-(?P<timeframe>\d+[mhdwM])(?:-\w+)?$"
    )

    def recognise(self, opening: Opening) -> str | None:
        """Why the file is of this layout; None when it is not."""
        named = self._file_name.match(opening.path.stem)
        feather = opening.path.suffix.lower() in FEATHER_SUFFIXES
        return f"a Feather file named as {named['pair']}-{named['timeframe']}" if named and feather else None

    def read(self, opening: Opening, choices: Choices) -> RawBars:
        """The file's bars.

        Raises:
            BarsError: The file cannot be read or holds no bars.
        """
        raw = bars_of_table(read_feather(opening.path), choices, source=f"bars {opening.path.name}")
        named = self._file_name.match(opening.path.stem)
        pair = "_".join(named["pair"].split("_")[:2]) if named else None
        symbol = (
            Hint(value=symbol_of_pair(pair), why=f"file name, pair {pair}")
            if pair and is_pair(pair)
            else None
        )
        return RawBars(
            frame=raw.frame,
            symbol=symbol,
            timeframe=Hint(value=named["timeframe"], why="file name") if named else None,
            time_zone=Hint(value="UTC", why="freqtrade writes UTC"),
            stamp=Hint(value="open", why="freqtrade stamps a bar at its open"),
            notes=raw.notes,
        )


class DuckDb:
    """A DuckDB database with one table of bars, or with several of which the caller names one."""

    name = "duckdb"

    def recognise(self, opening: Opening) -> str | None:
        """Why the file is of this layout; None when it is not."""
        return (
            f"file name ends in {opening.path.suffix}"
            if opening.path.suffix.lower() in DUCKDB_SUFFIXES
            else None
        )

    def read(self, opening: Opening, choices: Choices) -> RawBars:
        """The table's bars.

        Raises:
            SettingsError: duckdb is not installed, or there is no such table.
            AmbiguousBarsError: Several tables hold bars.
        """
        try:
            import duckdb  # noqa: PLC0415 - optional
        except ImportError as error:
            raise SettingsError(
                "reading DuckDB needs the package duckdb: install candlewire-training[duckdb]"
            ) from error
        try:
            with duckdb.connect(str(opening.path), read_only=True) as connection:
                table = choices.table or self._only_table(connection, opening.path)
                quoted = ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
                # The name is quoted as an identifier; DuckDB has no parameters for those.
                # Zoned times otherwise come on this machine's clock, and a day's label with them.
                connection.execute("SET TimeZone = 'UTC'")
                rows = connection.sql(f"SELECT * FROM {quoted}").to_arrow_table()  # noqa: S608
        except duckdb.Error as error:
            raise BarsError(f"bars {opening.path}: DuckDB says {_first_line(error)}") from error
        frame = pl.from_arrow(rows)
        if not isinstance(frame, pl.DataFrame):
            raise BarsError(f"bars {opening.path}: table {table} has no columns")
        raw = bars_of_table(frame, choices, source=f"bars {opening.path.name} table {table}")
        return RawBars(
            frame=raw.frame,
            symbol=symbol_of_name(table),
            timeframe=raw.timeframe or timeframe_of_name(table),
            stamp=raw.stamp,
            notes=(*raw.notes, f"table {table}"),
        )

    @staticmethod
    def _only_table(connection: "DuckDBPyConnection", path: Path) -> str:
        rows = connection.execute(
            "SELECT table_name, list(column_name) FROM information_schema.columns GROUP BY table_name ORDER"
            " BY 1"
        ).fetchall()
        tables = [str(name) for name, columns in rows if looks_like_header(tuple(columns))]
        if not tables:
            raise BarsError(
                f"bars {path}: no table has columns open, high, low and close; name it with --table"
            )
        if len(tables) > 1:
            question = f"it holds bars in the tables {', '.join(tables)}: choose one with --table"
            raise AmbiguousBarsError((question,), source=f"bars {path.name}")
        return tables[0]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


PARQUET = TableFile(name="parquet", suffixes=frozenset(PARQUET_SUFFIXES), reader=read_parquet)
FEATHER = TableFile(name="feather", suffixes=frozenset(FEATHER_SUFFIXES), reader=read_feather)

__all__ = ["FEATHER", "PARQUET", "DuckDb", "Freqtrade", "bars_of_table", "read_feather", "read_parquet"]
