"""Bars that break careless arithmetic, and the precision in which truth is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Exact = npt.NDArray[np.longdouble]
Bars = dict[str, Any]

DAY_NS = 86_400_000_000_000


def _bars(opening: Floats, high: Floats, low: Floats, close: Floats, volume: Floats) -> Bars:
    return {
        "open_time_ns": np.arange(len(close), dtype=np.int64) * DAY_NS,
        "open": opening,
        "high": high,
        "low": low,
        "close": close,
        "volume": volume,
    }


def _around(base: float, step: float, count: int = 400) -> Bars:
    """Prices that wander within a few steps of `base`."""
    random = np.random.default_rng(11)
    opening, close = (base + step * random.uniform(-1, 1, count) for _ in range(2))
    high = np.maximum(opening, close) + step * random.uniform(0, 1, count)
    low = np.minimum(opening, close) - step * random.uniform(0, 1, count)
    return _bars(opening, high, low, close, random.uniform(1e3, 1e6, count))


def _after_outlier() -> Bars:
    bars = _around(100.0, 1.0)
    for name in ("open", "high", "low", "close", "volume"):
        bars[name][150] = 1e8 if name != "volume" else 1e15
    return bars


def _zero_volume() -> Bars:
    bars = _around(100.0, 1.0)
    bars["volume"][100:200] = 0.0
    bars["volume"][200:300:2] = 0.0
    return bars


def _flat_after_moves() -> Bars:
    bars = _around(100.0, 1.0)
    for name in ("open", "high", "low", "close"):
        bars[name][200:] = bars["close"][200]
    return bars


def _constant() -> Bars:
    one = np.ones(400)
    return _bars(0.1 * one, 0.1 * one, 0.1 * one, 0.1 * one, 7.0 * one)


ADVERSARIAL: dict[str, Bars] = {
    "constant": _constant(),
    "1e9 +- 0.01": _around(1e9, 0.01),
    "6e4 +- 1e-4": _around(6e4, 1e-4),
    "after an outlier": _after_outlier(),
    "flat after moves": _flat_after_moves(),
    "tiny": _around(1e-280, 1e-282),
    "zero volume": _zero_volume(),
}

Windowed = Callable[..., Any]


def over_windows(statistic: Windowed, period: int, *series: Exact) -> Exact:
    """A statistic of each window of `period` values; NaN before the first full one.

    Args:
        statistic: Of matrices of shape (windows, period), one for each series; gives shape (windows,).
        period: Values in a window.
        series: In extended precision, shape (bars,); NaN at the first bars only.
    """
    result = np.full(len(series[0]), np.nan, dtype=np.longdouble)
    first = max(int(np.isnan(values).sum()) for values in series)
    if len(series[0]) - first >= period:
        views = [np.lib.stride_tricks.sliding_window_view(values[first:], period) for values in series]
        result[first + period - 1 :] = statistic(*views)
    return result


def log_ratio(a: Any, b: Any) -> Exact:
    """`ln(a / b)` of shape (bars,), with the digits of a small move on a large price."""
    a, b = np.asarray(a, np.longdouble), np.asarray(b, np.longdouble)
    return np.asarray(np.where(abs(a - b) < b / 2, np.log1p((a - b) / b), np.log(a / b)))


def after_first(values: Exact) -> Exact:
    """The values with a NaN before them, for the bar that has no bar before it."""
    return np.concatenate([np.array([np.nan], np.longdouble), values])


def assert_agree(name: str, ours: Floats, truth: Any, floor: Any = 0.0, tolerance: float = 1e-9) -> None:
    """Same NaN, and errors relative to the truth, or to `floor` where that is larger."""
    truth = np.asarray(truth, np.longdouble)
    assert np.array_equal(np.isnan(ours), np.isnan(truth)), f"{name}: first valid bar"
    scale = np.maximum(np.abs(truth), np.asarray(floor, np.longdouble))
    error = np.abs(ours - truth)
    bad = np.flatnonzero(error > tolerance * scale)
    assert bad.size == 0, f"{name} bar {bad[0]}: {ours[bad[0]]!r}, truth {truth[bad[0]]!r}"
