"""Defects of the price level: decimal-point misquotes, spikes, and shifts that look like an unadjusted split.

A bar is judged by its neighbours on both sides (medians of NEIGHBOURS bars), so a lasting move is no outlier
and a misquote that lasts for a few bars is still found. Scales are robust: 1.4826 times the median absolute
return of the SCALE_BARS bars around, and never less than one tick, so that rounding at tiny prices is no
outlier.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from candlewire_training.arrays import F64, I64, Bool
from candlewire_training.data.bars import date_text
from candlewire_training.data.checks.contract import FLAG, Check, Finding, SymbolBars, finding
from candlewire_training.data.timeframes import DAY_NS

NEIGHBOURS = 20
SCALE_BARS = 60
# Decimal point: within this log distance of a power of ten from both sides.
MISQUOTE_TOLERANCE = 0.15
POWERS_OF_TEN = tuple(k * float(np.log(10.0)) for k in (-3, -2, -1, 1, 2, 3))
# Spike: this many robust deviations from both sides, and at least this log distance.
SPIKE_DEVIATIONS = 10.0
SPIKE_FLOOR_DAILY, SPIKE_FLOOR_INTRADAY = 0.2, 0.04
# A spike is entered and left by moves of at least this share of its height.
SPIKE_EDGE = 0.5
LARGE_MOVE = 0.35
# One tick against the price.
COARSE_TICK = 0.05
# Split: log gap overnight; robust deviations; the day's range and volume (in new shares) against the usual
# ones.
SPLIT_GAP = 0.25
SPLIT_DEVIATIONS = 8.0
SPLIT_RANGE, SPLIT_VOLUME = 6.0, 5.0
SPLIT_RATIO_TOLERANCE = 0.03
SPLIT_RATIOS = {
    **{f"{new}:1": float(new) for new in (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50, 100)},
    "3:2": 1.5,
    "4:3": 4 / 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """What surrounds every usable bar: log medians of the closes before and after, scale, tick.

    `rows` are the usable bars' positions; the arrays have their shape. NaN where there is no bar on that
    side.
    """

    rows: I64
    before: F64
    after: F64
    scale: F64
    tick: F64


def neighbourhood(bars: SymbolBars) -> Neighbourhood:
    """Medians and scale around every usable bar, the bar itself left out."""
    rows = np.flatnonzero(bars.usable)
    log_close = pl.Series(np.log(bars.prices[3][rows]))
    before = log_close.shift(1).rolling_median(NEIGHBOURS, min_samples=1)
    after = log_close.reverse().shift(1).rolling_median(NEIGHBOURS, min_samples=1).reverse()
    steps = log_close.diff().abs()
    scale = 1.4826 * steps.rolling_median(SCALE_BARS, min_samples=5, center=True)
    close = pl.Series(bars.prices[3][rows])
    changes = close.diff().abs()
    moved = changes.set(changes == 0, None)
    log_tick = (moved.rolling_min(SCALE_BARS, min_samples=1, center=True) / close).fill_null(0.0).to_numpy()
    return Neighbourhood(
        rows=rows,
        before=before.fill_null(float("nan")).to_numpy(),
        after=after.fill_null(float("nan")).to_numpy(),
        scale=np.fmax(scale.fill_null(float("nan")).to_numpy(), log_tick),
        tick=log_tick,
    )


def misquotes(bars: SymbolBars) -> Finding | None:
    """Bars with a price ten, a hundred or a thousand times off against both sides."""
    around = neighbourhood(bars)
    log_prices = np.log(bars.prices[:, around.rows])
    off_before, off_after = log_prices - around.before, log_prices - around.after
    shifted = np.zeros(around.rows.size, dtype=np.bool_)
    for power in POWERS_OF_TEN:
        near = (np.abs(off_before - power) < MISQUOTE_TOLERANCE) & (
            np.abs(off_after - power) < MISQUOTE_TOLERANCE
        )
        shifted |= near.any(axis=0)
    rows = _spread(bars, around.rows[shifted])
    usual = np.full(bars.time.size, np.nan)
    usual[around.rows] = np.exp(around.before)
    return finding(bars, "misquote", rows, lambda row: f"{bars.bar_text(row)}, usually near {usual[row]:g}")


def spikes(bars: SymbolBars) -> Finding | None:
    """Bars whose close stands away from both sides by many times the usual move; no misquotes."""
    around = neighbourhood(bars)
    log_close = np.log(bars.prices[3][around.rows])
    up, down = log_close - around.before, log_close - around.after
    floor = SPIKE_FLOOR_DAILY if bars.length_ns >= DAY_NS else SPIKE_FLOOR_INTRADAY
    limit = np.fmax(SPIKE_DEVIATIONS * around.scale, floor)
    with np.errstate(invalid="ignore"):
        height = np.where(np.sign(up) == np.sign(down), np.fmin(np.abs(up), np.abs(down)), 0.0)
        away = (height > limit) & np.isfinite(up) & np.isfinite(down)
    rows = _spread(bars, around.rows[_abrupt(away, height, log_close)])
    wrong_point = misquotes(bars)
    if wrong_point is not None:
        rows &= ~wrong_point.rows
    return finding(bars, "outlier", rows)


def _abrupt(away: Bool, height: F64, log_close: F64) -> Bool:
    """Of the rows that stand away, the runs that one move enters and one leaves: no turning points."""
    steps = np.abs(np.diff(log_close))
    result = np.zeros_like(away)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], away.astype(np.int8), [0]))))
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        if first == 0 or end == away.size:
            continue
        needed = SPIKE_EDGE * height[first:end].max()
        result[first:end] = steps[first - 1] >= needed and steps[end - 1] >= needed
    return result


def coarse_prices(bars: SymbolBars) -> Finding | None:
    """Bars at prices so small against their tick that rounding makes the returns."""
    around = neighbourhood(bars)
    rows = _spread(bars, around.rows[around.tick > COARSE_TICK])
    tick = np.zeros(bars.time.size)
    tick[around.rows] = around.tick
    return finding(
        bars, "coarse-price", rows, lambda row: f"{bars.bar_text(row)}, one tick is {tick[row]:.0%}"
    )


def large_moves(bars: SymbolBars) -> Finding | None:
    """Bars whose close moved by more than LARGE_MOVE in log terms; many are genuine."""
    close = bars.prices[3]
    # The close of a bar with an impossible price elsewhere still counts; a missing or impossible close does
    # not.
    with np.errstate(invalid="ignore"):
        good = np.flatnonzero(np.isfinite(close) & (close > 0))
    moves = np.diff(np.log(close[good]))
    moved = good[1:][np.abs(moves) > LARGE_MOVE]
    return finding(bars, "large-move", _spread(bars, moved))


def suspected_splits(bars: SymbolBars) -> Finding | None:
    """Sessions that open at another level and stay there, with a day's range and volume as usual.

    A crash has a wide range and a volume many times the usual one; a split, bonus issue or spin-off has
    neither.
    """
    days = _days(bars)
    if days.height < 3:
        return None
    o, h, l, c = (days[name].to_numpy() for name in ("open", "high", "low", "close"))  # noqa: E741
    volume, first_row = days["volume"].to_numpy(), days["row"].to_numpy()
    gap = np.log(o[1:] / c[:-1])
    moved = np.log(c[1:] / c[:-1])
    suspects: dict[int, str] = {}
    for day in np.flatnonzero((np.abs(gap) > SPLIT_GAP) & (np.abs(moved - gap) < 0.25 * np.abs(gap))) + 1:
        text = _split_text(o, h, l, c, volume, int(day))
        if text is not None:
            suspects[int(first_row[day])] = text
    rows = _spread(bars, np.array(sorted(suspects), dtype=np.int64))
    return finding(bars, "suspected-split", rows, lambda row: f"{date_text(bars.time[row])} {suspects[row]}")


def _split_text(o: F64, h: F64, l: F64, c: F64, volume: F64, day: int) -> str | None:  # noqa: E741
    gap = float(np.log(o[day] / c[day - 1]))
    ratio = float(np.exp(abs(gap)))
    earlier, later = slice(max(0, day - SCALE_BARS), day), slice(day + 1, day + 1 + SCALE_BARS)
    # Of a young series the days after tell what is usual.
    usual = earlier if day >= NEIGHBOURS else later
    steps = np.abs(np.diff(np.log(c[usual])))
    if steps.size < 2:
        return None
    tick = float(steps[steps > 0].min()) if (steps > 0).any() else 0.0
    scale = max(1.4826 * float(np.median(steps)), tick, 0.005)
    span = float(np.median(np.log(h[usual] / l[usual])))
    level = np.log(np.median(c[day : day + NEIGHBOURS]) / np.median(c[max(0, day - NEIGHBOURS) : day]))
    stays = abs(level - gap) < 0.3 * abs(gap)
    calm = np.log(h[day] / l[day]) <= SPLIT_RANGE * max(span, 0.005)
    # Shares after a split are `ratio` times as many; days after it count in new shares already.
    shares = 1.0 if usual is later else ratio if gap < 0 else 1 / ratio
    traded = float(np.median(volume[usual])) * shares
    quiet = traded <= 0 or volume[day] <= SPLIT_VOLUME * traded
    if abs(gap) < SPLIT_DEVIATIONS * scale or not (stays and calm and quiet):
        return None
    lasting = float(np.exp(abs(np.log(c[day] / c[day - 1]))))
    near = [
        name
        for name, simple in SPLIT_RATIOS.items()
        if min(abs(np.log(ratio / simple)), abs(np.log(lasting / simple))) < SPLIT_RATIO_TOLERANCE
    ]
    what = f"near {near[0]}" if near else "no simple ratio: a spin-off or a special dividend?"
    way = "down" if gap < 0 else "up (a reverse split?)"
    return f"close {c[day - 1]:g}, next open {o[day]:g}: {way} by {ratio:.3f}, {what}"


def _days(bars: SymbolBars) -> pl.DataFrame:
    """Usable bars by day, with the row of each day's first bar."""
    frame = bars.frame.with_row_index("row").filter(pl.Series(bars.usable))
    if bars.length_ns >= DAY_NS:
        return frame
    return frame.group_by(pl.col("open_time_ns") // DAY_NS, maintain_order=True).agg(
        pl.col("row").first(),
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )


def _spread(bars: SymbolBars, chosen: I64) -> Bool:
    rows = np.zeros(bars.time.size, dtype=np.bool_)
    rows[chosen] = True
    return rows


LEVEL_CHECKS = (
    Check(defect="misquote", title="a price 10, 100 or 1000 times off", find=misquotes, on_import=FLAG),
    Check(defect="outlier", title="a close far from those before and after", find=spikes, on_import=FLAG),
    Check(defect="large-move", title=f"a log return beyond {LARGE_MOVE:g}, genuine or not", find=large_moves),
    Check(
        defect="coarse-price",
        title=f"one tick is more than {COARSE_TICK:.0%} of the price",
        find=coarse_prices,
    ),
    Check(
        defect="suspected-split",
        title="the level shifts overnight without unusual trading",
        find=suspected_splits,
        on_import=FLAG,
    ),
)

__all__ = ["LARGE_MOVE", "LEVEL_CHECKS", "Neighbourhood", "neighbourhood"]
