"""Breaks in volume: a feed that begins to count another set of trades, or another unit."""

import numpy as np
import polars as pl

from candlewire_training.data.bars import date_text
from candlewire_training.data.checks.contract import FAIL, FLAG, KEEP, Check, Finding, SymbolBars, finding
from candlewire_training.data.timeframes import DAY_NS

DAYS_BEFORE, DAYS_AFTER = 20, 5
BREAK = 8.0


def volume_breaks(bars: SymbolBars) -> Finding | None:
    """Days from which on the traded volume is another order of magnitude.

    Every one of DAYS_AFTER days lies beyond every one of DAYS_BEFORE days, and their medians differ by BREAK
    times. Days without volume are left out; of days that all qualify, the one with the largest step is the
    break.
    """
    if bars.length_ns > DAY_NS:
        return None
    days = (
        bars.frame.with_row_index("row")
        .group_by(pl.col("open_time_ns") // DAY_NS, maintain_order=True)
        .agg(pl.col("row").first(), pl.col("volume").sum())
        .filter((pl.col("volume") > 0) & pl.col("volume").is_finite())
    )
    if days.height < DAYS_BEFORE + DAYS_AFTER:
        return None
    volume = days["volume"].log()
    earlier = volume.shift(1)
    later = volume.reverse()
    lowest = later.rolling_min(DAYS_AFTER).reverse()
    highest = later.rolling_max(DAYS_AFTER).reverse()
    step = later.rolling_median(DAYS_AFTER).reverse() - earlier.rolling_median(DAYS_BEFORE)
    above = (lowest > earlier.rolling_max(DAYS_BEFORE)) & (step > np.log(BREAK))
    below = (highest < earlier.rolling_min(DAYS_BEFORE)) & (step < -np.log(BREAK))
    qualify = np.flatnonzero((above | below).fill_null(value=False).to_numpy())
    steps = volume.diff().abs().to_numpy()
    texts: dict[int, str] = {}
    for group in np.split(qualify, np.flatnonzero(np.diff(qualify) > DAYS_AFTER) + 1):
        if group.size:
            day = int(group[np.argmax(steps[group])])
            row = int(days["row"][day])
            texts[row] = (
                f"{date_text(bars.time[row])[:10]} {np.exp(step[day]):.3g} times the volume of before"
            )
    rows = np.zeros(bars.time.size, dtype=np.bool_)
    rows[list(texts)] = True
    return finding(bars, "volume-break", rows, lambda row: texts[row])


VOLUME_CHECKS = (
    Check(
        defect="volume-break",
        title=f"the daily volume changes by {BREAK:g} times or more, and stays",
        find=volume_breaks,
        policies=(KEEP, FLAG, FAIL),
    ),
)

__all__ = ["VOLUME_CHECKS", "volume_breaks"]
