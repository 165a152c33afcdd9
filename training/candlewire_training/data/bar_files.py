"""Bars on disk: one Parquet file a symbol and timeframe, written whole or not at all."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl

from candlewire_training.data.bars import COLUMNS
from candlewire_training.data.symbol_stream import SymbolStream
from candlewire_training.errors import BarsError


def bar_file(timeframe: str, symbol: str) -> Path:
    """Where a symbol's bars lie below the folder; marks that file systems dislike are percent-encoded."""
    name = quote(symbol, safe="^=&+ -_")
    return Path(timeframe) / f"{'%2E' + name[1:] if name.startswith('.') else name}.parquet"


def write_symbol(frame: pl.DataFrame, folder: Path, *, timeframe: str, symbol: str) -> Path:
    """One symbol's bars as Parquet, in Candlewire's columns, with `defects` if any are flagged.

    Raises:
        BarsError: The file cannot be written.
    """
    path = folder / bar_file(timeframe, symbol)
    time = pl.col("open_time_ns").cast(pl.Datetime("ns")).dt.cast_time_unit("us").dt.replace_time_zone("UTC")
    extra = [name for name in frame.columns if name == "defects"]
    table = frame.select(
        "symbol", pl.lit(timeframe).alias("timeframe"), time.alias("ts"), *COLUMNS[2:], *extra
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write_parquet(path)
    except OSError as error:
        raise BarsError(f"bars {path}: cannot be written ({error.strerror})") from error
    return path


@contextmanager
def whole_folder(out: Path, *, replace: bool) -> Iterator[Path]:
    """A folder to write to; its files move to `out` when the block ends well, else they vanish.

    Args:
        out: Where the files go.
        replace: Whether a file that is there already may be replaced.

    Raises:
        BarsError: A file is there already, or the folder cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise BarsError(f"bars {out}: is a file; give a folder")
    try:
        # Beside the folder and not in it: if the process is killed, no reader takes the remains for bars.
        beside = out.resolve().parent
        beside.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".candlewire-", dir=beside))
    except OSError as error:
        raise BarsError(f"bars {out}: cannot be written ({error.strerror})") from error
    try:
        yield staging
        files = sorted(path.relative_to(staging) for path in staging.rglob("*.parquet"))
        present = [file for file in files if (out / file).exists()]
        if present and not replace:
            raise BarsError(
                f"bars {out / present[0]} is there already ({len(present)} such files); give --replace"
            )
        _move(files, staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move(files: list[Path], staging: Path, out: Path) -> None:
    try:
        for file in files:
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            # A folder may be a file system of its own, to which nothing can be renamed.
            shutil.move(staging / file, out / file)
    except OSError as error:
        raise BarsError(f"bars {out}: cannot be written ({error.strerror})") from error


def stream_fingerprint(stream: SymbolStream) -> str:
    """SHA-256 of a stream's values: that of the BarTable of the same bars, without holding them all."""
    digest = hashlib.sha256(stream.timeframe.encode())
    for symbol, frame in stream:
        ordered = frame.sort("open_time_ns", maintain_order=True)
        digest.update(f"\n{symbol}\n".encode())
        for name in COLUMNS[1:]:
            digest.update(np.ascontiguousarray(ordered[name].to_numpy()).tobytes())
    return digest.hexdigest()


__all__ = ["bar_file", "stream_fingerprint", "whole_folder", "write_symbol"]
