"""Defects that one bar shows by itself: missing values, impossible prices, no volume, a flat bar."""

from collections.abc import Callable

import numpy as np

from candlewire_training.arrays import Bool
from candlewire_training.data.bars import date_text
from candlewire_training.data.checks.contract import FAIL, Check, Finding, SymbolBars, finding

# Bars in a row that are flat at one price before the price is called stale.
STALE_RUN = 5


def missing_values(bars: SymbolBars) -> Finding | None:
    """Bars with a price or a volume that is missing or not finite."""
    rows = ~np.isfinite(bars.prices).all(axis=0) | ~np.isfinite(bars.column("volume"))
    return finding(bars, "missing-value", rows)


def nonpositive_prices(bars: SymbolBars) -> Finding | None:
    """Bars with a price of zero or below."""
    with np.errstate(invalid="ignore"):
        rows: Bool = np.asarray((bars.prices <= 0).any(axis=0))
    return finding(bars, "nonpositive-price", rows)


def negative_volume(bars: SymbolBars) -> Finding | None:
    """Bars with a volume below zero."""
    with np.errstate(invalid="ignore"):
        rows: Bool = np.less(bars.column("volume"), 0)
    return finding(bars, "negative-volume", rows)


def ohlc_violations(bars: SymbolBars) -> Finding | None:
    """Bars whose open or close lies outside low..high, or whose high is below their low."""
    o, h, l, c = bars.prices  # noqa: E741 - the field's letters
    with np.errstate(invalid="ignore"):
        rows = (h < l) | (np.maximum(o, c) > h) | (np.minimum(o, c) < l)
    rows &= np.isfinite(bars.prices).all(axis=0) & (bars.prices > 0).all(axis=0)
    return finding(bars, "ohlc-violation", rows)


def zero_volume(bars: SymbolBars) -> Finding | None:
    """Bars without volume; one line when no bar has any, as in quotes."""
    volume = bars.column("volume")
    rows = volume == 0
    if rows.all():
        text = "no bar has volume: quotes or an index, or the file had no volume"
        return Finding(defect="zero-volume", symbol=bars.symbol, count=rows.size, rows=rows, examples=(text,))
    return finding(bars, "zero-volume", rows, _run_texts(bars, rows))


def flat_bars(bars: SymbolBars) -> Finding | None:
    """Bars with one price for open, high, low and close."""
    return finding(bars, "flat-bar", _flat(bars), _run_texts(bars, _flat(bars)))


def stale_prices(bars: SymbolBars) -> Finding | None:
    """Bars in runs of STALE_RUN or more that are flat at one and the same price."""
    close, flat = bars.prices[3], _flat(bars)
    repeats = np.concatenate(([False], np.diff(close) == 0)) & flat & np.concatenate(([False], flat[:-1]))
    rows = np.zeros(close.size, dtype=np.bool_)
    for first, last in _runs(repeats):
        if last - first + 2 >= STALE_RUN:
            rows[first - 1 : last + 1] = True
    return finding(bars, "stale-price", rows, _run_texts(bars, rows))


def _flat(bars: SymbolBars) -> Bool:
    o, h, l, c = bars.prices  # noqa: E741 - the field's letters
    return np.asarray((o == h) & (h == l) & (l == c))


def _runs(rows: Bool) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], rows.astype(np.int8), [0]))))
    return [(int(first), int(end) - 1) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def _run_texts(bars: SymbolBars, rows: Bool) -> Callable[[int], str]:
    ends = dict(_runs(rows))

    def describe(row: int) -> str:
        last = ends.get(row, row)
        count = last - row + 1
        span = date_text(bars.time[row]) + (
            f" to {date_text(bars.time[last])}, {count} bars" if count > 1 else ""
        )
        return f"{span}, close {bars.prices[3][row]:g}"

    return describe


SINGLE_BAR_CHECKS = (
    Check(
        defect="missing-value", title="a price or the volume is missing", find=missing_values, on_import=FAIL
    ),
    Check(
        defect="nonpositive-price", title="a price is zero or below", find=nonpositive_prices, on_import=FAIL
    ),
    Check(defect="negative-volume", title="the volume is below zero", find=negative_volume, on_import=FAIL),
    Check(
        defect="ohlc-violation",
        title="open or close outside low..high, or high below low",
        find=ohlc_violations,
        on_import=FAIL,
    ),
    Check(defect="zero-volume", title="no volume", find=zero_volume),
    Check(defect="flat-bar", title="open, high, low and close are one price", find=flat_bars),
    Check(
        defect="stale-price", title=f"{STALE_RUN} or more flat bars in a row at one price", find=stale_prices
    ),
)

__all__ = ["SINGLE_BAR_CHECKS", "STALE_RUN"]
