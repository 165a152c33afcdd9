"""Bars from Parquet files, and bars written as Parquet."""

from pathlib import Path

import polars as pl

from candlewire_training.data.bars import BarTable, canonical_bars
from candlewire_training.errors import BarsError


def read_bars(path: Path, *, timeframe: str | None = None, bad_bars: str = "fail") -> BarTable:
    """Bars of one Parquet file, or of every Parquet file below a folder.

    Raises:
        BarsError: A file is missing, empty, truncated or holds bad bars.
        SettingsError: The timeframe or the policy is unknown.
    """
    if path.is_dir():
        files = sorted(path.rglob("*.parquet"))
        if not files:
            raise BarsError(f"bars {path}: the folder holds no .parquet file")
        frames = [_read_file(file) for file in files]
        try:
            frame = pl.concat(frames, how="diagonal_relaxed")
        except pl.exceptions.PolarsError as error:
            raise BarsError(f"bars {path}: the files' columns cannot be put together") from error
    else:
        frame = _read_file(path)
    return canonical_bars(frame, source=f"bars {path.name}", timeframe=timeframe, bad_bars=bad_bars)


def _read_file(path: Path) -> pl.DataFrame:
    if not path.exists():
        raise BarsError(f"bars {path}: no such file or folder")
    if path.stat().st_size == 0:
        raise BarsError(f"bars {path}: the file is empty")
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BarsError(f"bars {path}: no readable Parquet file, perhaps truncated ({reason})") from error


def write_bars(bars: BarTable, path: Path) -> None:
    """One Parquet file with `symbol`, `timeframe`, `ts` (bar open, UTC), prices and volume.

    Raises:
        BarsError: The file cannot be written.
    """
    frame = bars.frame.select(
        "symbol",
        pl.lit(bars.timeframe).alias("timeframe"),
        pl.col("open_time_ns")
        .cast(pl.Datetime("ns"))
        .dt.cast_time_unit("us")
        .dt.replace_time_zone("UTC")
        .alias("ts"),
        "open",
        "high",
        "low",
        "close",
        "volume",
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)
    except OSError as error:
        raise BarsError(f"bars {path}: cannot be written ({error.strerror})") from error


__all__ = ["read_bars", "write_bars"]
