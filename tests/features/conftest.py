"""Bars for the tests of the features room."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

Columns = dict[str, npt.NDArray[np.float64]]
PRICES = ("open", "high", "low", "close", "volume")
# Rows that an admission would not refuse.
SOUND = (
    pl.all_horizontal(pl.col(name).is_finite() for name in PRICES)
    & (pl.col("low") > 0)
    & (pl.col("low") <= pl.min_horizontal("open", "close"))
    & (pl.col("high") >= pl.max_horizontal("open", "close"))
    & (pl.col("volume") >= 0)
)


def real_data() -> Path:
    """The folder of real bars, or a skip that says why."""
    folder = os.environ.get("CANDLEWIRE_REAL_DATA")
    if not folder:
        pytest.skip("CANDLEWIRE_REAL_DATA names no folder of real bars")
    path = Path(folder)
    if not path.is_absolute() or not path.is_dir():
        pytest.skip(f"CANDLEWIRE_REAL_DATA is {folder}: give the absolute path of a folder")
    return path


def load(file: str, symbol: str) -> pl.DataFrame:
    """Bars of one symbol, oldest first, without the rows that an admission would refuse."""
    frame = pl.scan_parquet(real_data() / file).filter(pl.col("symbol") == symbol).sort("ts").collect()
    return frame.unique("ts", keep="first", maintain_order=True).filter(SOUND)


@pytest.fixture
def walk() -> dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]]:
    """A random walk of 400 daily bars."""
    random = np.random.default_rng(7)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, 400)))
    opening = np.roll(close, 1)
    opening[0] = 100.0
    spread = 1.0 + np.abs(random.normal(0.0, 0.003, 400))
    return {
        "open_time_ns": np.arange(400, dtype=np.int64) * 86_400_000_000_000,
        "open": opening,
        "high": np.maximum(opening, close) * spread,
        "low": np.minimum(opening, close) / spread,
        "close": close,
        "volume": random.uniform(1e5, 1e6, 400),
    }
