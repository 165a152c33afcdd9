"""Bars of many symbols, a few symbols in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from candlewire_training.data.bars import PRICES
from candlewire_training.data.timeframes import TIMEFRAME_NS, detect_timeframe, timeframe_ns
from candlewire_training.data.universe import Universe
from candlewire_training.errors import BarsError

ROWS_IN_MEMORY = 1_000_000
_COLUMNS = ("symbol", *PRICES, "volume")


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolStream:
    """Parquet files in Candlewire's columns, read symbol by symbol.

    Attributes:
        source: What to call the bars in messages.
        files: The Parquet files.
        timeframe: Of every bar.
        bars: Symbol -> count of its bars, in order of name.
    """

    source: str
    files: tuple[Path, ...]
    timeframe: str
    bars: dict[str, int]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols in order of name."""
        return tuple(self.bars)

    def __iter__(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """(symbol, bars.COLUMNS in the file's order); about ROWS_IN_MEMORY rows are read at a time."""
        for group in self._groups():
            frame = (
                _scan(self.files, self.source, self.timeframe).filter(pl.col("symbol").is_in(group)).collect()
            )
            parts = frame.partition_by("symbol", as_dict=True, maintain_order=True)
            for symbol in group:
                yield symbol, parts[(symbol,)]

    def within(self, universe: Universe) -> "SymbolStream":
        """Only the symbols that the universe holds.

        Raises:
            BarsError: It holds none of them.
        """
        bars = {symbol: count for symbol, count in self.bars.items() if symbol in universe}
        if not bars:
            raise BarsError(
                f"{self.source}: universe {universe.name} holds none of its {len(self.bars)} symbols"
            )
        return replace(self, bars=bars)

    def spans(self) -> dict[str, tuple[int, int, int]]:
        """Symbol -> count of bars, first and last open time in ns."""
        time = pl.col("open_time_ns")
        lines = (
            _scan(self.files, self.source, self.timeframe)
            .filter(pl.col("symbol").is_in(list(self.bars)))
            .group_by("symbol")
            .agg(pl.len(), time.min().alias("first"), time.max().alias("last"))
            .sort("symbol")
            .collect(engine="streaming")
        )
        return {
            str(symbol): (int(count), int(first), int(last))
            for symbol, count, first, last in lines.iter_rows()
        }

    def _groups(self) -> Iterator[list[str]]:
        group: list[str] = []
        rows = 0
        for symbol, count in self.bars.items():
            if group and rows + count > ROWS_IN_MEMORY:
                yield group
                group, rows = [], 0
            group.append(symbol)
            rows += count
        if group:
            yield group


def open_stream(path: Path, *, timeframe: str | None = None, symbols: tuple[str, ...] = ()) -> SymbolStream:
    """A stream of a Parquet file's or folder's bars.

    Args:
        path: The file or folder.
        timeframe: Which of several timeframes; None takes the only one, or detects it.
        symbols: Only these; empty means all.

    Raises:
        BarsError: There is no file, it is not in Candlewire's columns, or it holds several timeframes.
    """
    files, source = _files(path), f"bars {path.name}"
    chosen = timeframe or _timeframe(files, source)
    timeframe_ns(chosen)
    counts = _scan(files, source, chosen).group_by("symbol").len().sort("symbol").collect(engine="streaming")
    bars = {
        str(symbol): int(count) for symbol, count in counts.iter_rows() if not symbols or symbol in symbols
    }
    absent = sorted(set(symbols) - set(bars))
    if absent:
        raise BarsError(f"{source}: symbol {', '.join(absent)} is not there")
    if not bars:
        raise BarsError(f"{source} holds no bars of timeframe {chosen}")
    return SymbolStream(source=source, files=files, timeframe=chosen, bars=bars)


def timeframes_of(path: Path) -> tuple[str, ...]:
    """The timeframes of a Parquet file's or folder's bars, shortest first.

    Raises:
        BarsError: There is no file, or it is not in Candlewire's columns.
    """
    files, source = _files(path), f"bars {path.name}"
    named, unnamed = _named_timeframes(files, source)
    if unnamed:
        return (_timeframe(files, source),)
    return tuple(sorted(named, key=timeframe_ns)) if named <= set(TIMEFRAME_NS) else tuple(sorted(named))


def _files(path: Path) -> tuple[Path, ...]:
    if not path.exists():
        raise BarsError(f"bars {path}: no such file or folder")
    files = tuple(sorted(path.rglob("*.parquet"))) if path.is_dir() else (path,)
    if not files:
        raise BarsError(
            f"bars {path}: the folder holds no .parquet file; make some with `candlewire data import`"
        )
    return files


def _scan(files: tuple[Path, ...], source: str, timeframe: str | None) -> pl.LazyFrame:
    try:
        scans = [pl.scan_parquet(file) for file in files]
        return pl.concat([_canonical(scan, source, timeframe) for scan in scans])
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BarsError(f"{source}: no readable Parquet file, perhaps truncated ({reason})") from error


def _canonical(scan: pl.LazyFrame, source: str, timeframe: str | None) -> pl.LazyFrame:
    schema = scan.collect_schema()
    missing = [name for name in _COLUMNS if name not in schema]
    if missing or not {"ts", "open_time_ns"} & set(schema):
        wanted = ", ".join(missing or ["ts"])
        raise BarsError(
            f"{source}: column {wanted} is missing; bring the file into Candlewire's columns with `candlewire"
            " data import`"
        )
    if "open_time_ns" in schema:
        time = pl.col("open_time_ns").cast(pl.Int64)
    elif isinstance(schema["ts"], pl.Datetime):
        time = pl.col("ts").dt.convert_time_zone("UTC") if schema["ts"].time_zone else pl.col("ts")
        time = time.dt.replace_time_zone(None).cast(pl.Datetime("ns")).cast(pl.Int64)
    else:
        raise BarsError(f"{source}: column ts is {schema['ts']}; make it a timestamp")
    if timeframe is not None and "timeframe" in schema:
        scan = scan.filter(pl.col("timeframe") == timeframe)
    numbers = [pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in (*PRICES, "volume")]
    return scan.select(pl.col("symbol").cast(pl.String), time.alias("open_time_ns"), *numbers)


def _named_timeframes(files: tuple[Path, ...], source: str) -> tuple[set[str], bool]:
    """The timeframes that a column names, and whether a file has no such column."""
    try:
        scans = [pl.scan_parquet(file) for file in files]
        with_column = [scan for scan in scans if "timeframe" in scan.collect_schema()]
        column = pl.col("timeframe").cast(pl.String)
        named = {
            str(name)
            for scan in with_column
            for name in scan.select(column.unique()).collect()["timeframe"].drop_nulls()
        }
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BarsError(f"{source}: no readable Parquet file, perhaps truncated ({reason})") from error
    return named, len(with_column) < len(files)


def _timeframe(files: tuple[Path, ...], source: str) -> str:
    named, unnamed = _named_timeframes(files, source)
    if len(named) > 1:
        raise BarsError(
            f"{source} holds several timeframes ({', '.join(sorted(named))}); choose one with --timeframe"
        )
    if named and not unnamed:
        return named.pop()
    times = _scan(files, source, None)
    longest = times.group_by("symbol").len().sort("len", "symbol", descending=[True, False]).first().collect()
    if longest.is_empty():
        raise BarsError(f"{source} holds no bars")
    one = (
        times.filter(pl.col("symbol") == longest["symbol"][0])
        .select("open_time_ns")
        .unique()
        .sort("open_time_ns")
    )
    return detect_timeframe(one.collect()["open_time_ns"].to_numpy())


__all__ = ["ROWS_IN_MEMORY", "SymbolStream", "open_stream", "timeframes_of"]
