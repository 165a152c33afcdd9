"""Rows that follow one another in time, for the tree benchmark."""

import os
from dataclasses import dataclass
from pathlib import Path

import candlewire_features as cf
import numpy as np
import polars as pl
from models import F32

FILE = "crypto_1m.parquet"
HORIZON_BARS = 5
SLOW_LAG_BARS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSet:
    """Rows to train on, with a score, and later rows to measure with; float32, row-major."""

    train_rows: F32
    train_score: F32
    test_rows: F32
    description: str


def consecutive(features: int, count: int) -> RowSet:
    """Feature rows of consecutive bars of one symbol; a slow random walk where there are no real bars.

    Args:
        features: Columns of a row: the features of a bar, of the bar five before it and so on.
        count: Rows to train on.
    """
    folder = os.environ.get("CANDLEWIRE_REAL_DATA", "")
    path = Path(folder) / FILE
    if not folder or not path.exists():
        return _random_walk(features, count)
    bars = pl.read_parquet(path)
    symbol = str(bars["symbol"].unique().sort()[0])
    bars = bars.filter(pl.col("symbol") == symbol).sort("ts")
    spec = cf.FeatureSpec.preset("core")
    columns = bars.select(pl.col("ts").alias("open_time"), "open", "high", "low", "close", "volume")
    values = cf.compute(columns, spec)[spec.warmup_bars :].astype(np.float32)
    close = bars["close"].to_numpy()[spec.warmup_bars :]
    lags = [0, HORIZON_BARS, SLOW_LAG_BARS, 2 * SLOW_LAG_BARS]
    deepest = max(lags)
    parts = [values[deepest - lag : len(values) - lag] for lag in lags]
    rows = np.ascontiguousarray(np.hstack(parts)[:, :features])
    score = np.zeros(len(rows), dtype=np.float32)
    score[:-HORIZON_BARS] = np.log(close[deepest + HORIZON_BARS :] / close[deepest:-HORIZON_BARS])
    middle = min(count, len(rows) // 2)
    return RowSet(
        train_rows=rows[:middle],
        train_score=score[:middle],
        test_rows=rows[middle:],
        description=f"features of consecutive one-minute bars of {symbol}, {len(spec)} a bar at several lags",
    )


def _random_walk(features: int, count: int) -> RowSet:
    random = np.random.default_rng(5)
    persistence = np.float32(0.999)
    steps = random.standard_normal((2 * count, features), dtype=np.float32)
    steps *= np.sqrt(1 - persistence**2)
    rows = np.empty_like(steps)
    state = random.standard_normal(features, dtype=np.float32)
    for at, step in enumerate(steps):
        state = persistence * state + step
        rows[at] = state
    score = np.tanh(rows[:, :8]).sum(axis=1) + random.standard_normal(len(rows), dtype=np.float32)
    return RowSet(
        train_rows=rows[:count],
        train_score=score[:count].astype(np.float32),
        test_rows=rows[count:],
        description="a random walk (0.999 of the last value), not real bars: CANDLEWIRE_REAL_DATA is not set",
    )
