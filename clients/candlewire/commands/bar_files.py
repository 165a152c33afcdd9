"""Reads bars from CSV, JSON lines and (where polars is installed) Parquet.

Columns: symbol, timeframe, open_time_ns or ts, open, high, low, close, volume. `ts` (also `open_time`,
`timestamp`, `date`) is ISO 8601; without an offset it is UTC. Further columns are ignored.
"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candlewire.errors import InvalidInputError
from candlewire.types import EPOCH, Bar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TIME_COLUMNS = ("ts", "open_time", "timestamp", "date")
PRICE_COLUMNS = ("open", "high", "low", "close", "volume")
READABLE = (".csv", ".jsonl", ".ndjson", ".parquet")
STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesDefaults:
    """What to use where a file has no such column."""

    symbol: str | None = None
    timeframe: str | None = None


def read_bars(paths: list[str], defaults: SeriesDefaults) -> Iterable[Bar]:
    """Bars of files and folders in the order of their open times; those of standard input as they come.

    Raises:
        InvalidInputError: A file is missing, empty, of another kind, or a row cannot be read; it names which.
    """
    if STANDARD_INPUT in paths:
        if len(paths) > 1:
            raise InvalidInputError("'-' reads JSON lines from standard input and cannot be mixed with files")
        return bars_of(_json_rows("standard input", sys.stdin), "standard input", defaults)
    bars = [bar for path in _files(paths) for bar in bars_of(_rows(path), path.name, defaults)]
    if not bars:
        raise InvalidInputError(f"{', '.join(paths)}: no bars in there")
    return sorted(bars, key=lambda bar: bar.open_time_ns)


def bars_of(rows: Iterable[dict[str, Any]], source: str, defaults: SeriesDefaults) -> Iterator[Bar]:
    """Turns rows into bars; an error names the source and the row, from 1."""
    for number, row in enumerate(rows, start=1):
        try:
            yield _bar(row, defaults)
        except (ValueError, TypeError) as error:
            raise InvalidInputError(f"{source}, bar {number}: {error}") from None


def _bar(row: dict[str, Any], defaults: SeriesDefaults) -> Bar:
    return Bar(
        symbol=_name(row, "symbol", defaults.symbol),
        timeframe=_name(row, "timeframe", defaults.timeframe),
        open_time_ns=_open_time_ns(row),
        open=_number(row, "open"),
        high=_number(row, "high"),
        low=_number(row, "low"),
        close=_number(row, "close"),
        volume=_number(row, "volume"),
        is_final=_flag(row.get("is_final", True)),
    )


def _name(row: dict[str, Any], column: str, default: str | None) -> str:
    value = row.get(column) or default
    if not value:
        raise ValueError(f"no {column}: add the column or pass --{column}")
    return str(value)


def _number(row: dict[str, Any], column: str) -> float:
    value = row.get(column)
    if value is None or value == "":
        raise ValueError(f"no {column}; a bar needs {', '.join(PRICE_COLUMNS)}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{column} is {value!r}; it must be a number") from None


def _flag(value: Any) -> bool:  # noqa: ANN401 - a cell
    return value if isinstance(value, bool) else str(value).strip().lower() not in ("false", "0", "no")


def _open_time_ns(row: dict[str, Any]) -> int:
    if row.get("open_time_ns") not in (None, ""):
        return int(row["open_time_ns"])
    for column in TIME_COLUMNS:
        value = row.get(column)
        if value in (None, ""):
            continue
        if not isinstance(value, datetime):
            try:
                value = datetime.fromisoformat(str(value))
            except ValueError:
                raise ValueError(f"{column} is {value!r}; write ISO 8601, or use open_time_ns") from None
        elapsed = (value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH
        return ((elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds) * 1_000
    raise ValueError(f"no open time; a bar needs open_time_ns or one of {', '.join(TIME_COLUMNS)}")


def _files(paths: list[str]) -> list[Path]:
    found: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            inside = sorted(entry for entry in path.iterdir() if entry.suffix in READABLE)
            if not inside:
                raise InvalidInputError(f"{name}: no {', '.join(READABLE)} file in this folder")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise InvalidInputError(f"{name}: no such file or folder")
    return found


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            return _parquet_rows(path)
        if path.suffix not in READABLE:
            raise InvalidInputError(
                f"{path.name}: cannot read {path.suffix or 'this kind'}; use {', '.join(READABLE)}"
            )
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path.name}: cannot be read: {error}") from None
    if not text.strip():
        raise InvalidInputError(f"{path.name}: the file is empty")
    if path.suffix == ".csv":
        return csv.DictReader(text.splitlines(), skipinitialspace=True)
    return list(_json_rows(path.name, text.splitlines()))


def _json_rows(source: str, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InvalidInputError(f"{source}, line {number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise InvalidInputError(f"{source}, line {number}: a bar is a JSON object")
        yield row


def _parquet_rows(path: Path) -> Iterable[dict[str, Any]]:
    try:
        import polars  # noqa: ICN001 - optional, and slow to import
    except ImportError:
        raise InvalidInputError(
            f"{path.name}: reading Parquet needs polars; `pip install polars`, or convert the file to CSV"
        ) from None
    try:
        return polars.read_parquet(path).iter_rows(named=True)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise InvalidInputError(f"{path.name}: not readable as Parquet: {error}") from None
