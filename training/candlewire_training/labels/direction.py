"""Direction over a horizon of bars, with the forward return and the forward variance for the bands."""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F64, I32, I64

# Garman-Klass weight of the body, 2 ln 2 - 1.
BODY_WEIGHT = 2.0 * np.log(2.0) - 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionLabels:
    """Labels of one symbol, arrays of shape (bars,); the last `horizon` bars have none.

    Attributes:
        up: 1 when the close after `horizon` bars lies above this close, else 0; -1 where unknown.
        forward_return: Natural log return over the horizon; NaN where unknown.
        forward_variance: Mean variance a bar over the horizon, half from squared returns and half from
            ranges; NaN where unknown.
        decision_time_ns: Close of the bar: a decision on it cannot be made before.
        known_from_ns: Close of the bar that settles the label; the largest integer where unknown.
    """

    up: I32
    forward_return: F64
    forward_variance: F64
    decision_time_ns: I64
    known_from_ns: I64


def direction_labels(columns: dict[str, F64 | I64], *, horizon: int, bar_ns: int) -> DirectionLabels:
    """Labels of one symbol's bars.

    Args:
        columns: `open_time_ns` and prices, shape (bars,), oldest first.
        horizon: Bars ahead, at least 1.
        bar_ns: Length of a bar in nanoseconds.
    """
    open_time = np.asarray(columns["open_time_ns"], dtype=np.int64)
    log_close = np.log(np.asarray(columns["close"], dtype=np.float64))
    bars = log_close.size
    decision = open_time + bar_ns
    up = np.full(bars, -1, dtype=np.int32)
    forward = np.full(bars, np.nan)
    variance = np.full(bars, np.nan)
    known = np.full(bars, np.iinfo(np.int64).max, dtype=np.int64)
    if bars > horizon:
        forward[:-horizon] = log_close[horizon:] - log_close[:-horizon]
        up[:-horizon] = forward[:-horizon] > 0.0
        known[:-horizon] = decision[horizon:]
        sums = np.concatenate(([0.0], np.cumsum(bar_variance(columns))))
        variance[:-horizon] = (sums[1 + horizon :] - sums[1:-horizon]) / horizon
    return DirectionLabels(
        up=up,
        forward_return=forward,
        forward_variance=variance,
        decision_time_ns=decision,
        known_from_ns=known,
    )


def bar_variance(columns: dict[str, F64 | I64]) -> F64:
    """Variance estimate of each bar, squared log units: half from its return, half from its range and gap.

    Source: Garman and Klass (1980), On the Estimation of Security Price Volatilities; plus the overnight gap.
    """
    opened, high, low, close = (
        np.log(columns[name].astype(np.float64)) for name in ("open", "high", "low", "close")
    )
    step = np.diff(close, prepend=close[:1])
    gap = opened - np.concatenate((opened[:1], close[:-1]))
    ranged = np.maximum(0.5 * (high - low) ** 2 - BODY_WEIGHT * (close - opened) ** 2, 0.0)
    result: F64 = 0.5 * step**2 + 0.5 * (gap**2 + ranged)
    return result


__all__ = ["DirectionLabels", "bar_variance", "direction_labels"]
