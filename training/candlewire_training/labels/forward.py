"""What every kind of label shares: the forward return and variance, their times, and past volatility."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl

from candlewire_training.arrays import F64, I64
from candlewire_training.labels.contract import NEVER_NS

Columns: TypeAlias = Mapping[str, F64 | I64]

# Garman-Klass weight of the body, 2 ln 2 - 1.
BODY_WEIGHT = 2.0 * np.log(2.0) - 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """What the next `horizon` bars bring; arrays of shape (bars,), the last `horizon` are unknown.

    Attributes:
        horizon: Bars ahead.
        log_return: Natural log return over the horizon; NaN where unknown.
        variance: Mean variance a bar over the horizon; NaN where unknown.
        decision_time_ns: Close of the bar.
        known_from_ns: Close of the last bar of the horizon; `NEVER_NS` where unknown.
    """

    horizon: int
    log_return: F64
    variance: F64
    decision_time_ns: I64
    known_from_ns: I64


def forward_of(columns: Columns, *, horizon: int, bar_ns: int) -> Forward:
    """The forward return and variance of one symbol's bars, oldest first."""
    decision = np.asarray(columns["open_time_ns"], dtype=np.int64) + bar_ns
    log_close = np.log(np.asarray(columns["close"], dtype=np.float64))
    bars = log_close.size
    log_return, variance = np.full(bars, np.nan), np.full(bars, np.nan)
    known = np.full(bars, NEVER_NS, dtype=np.int64)
    if bars > horizon:
        log_return[:-horizon] = log_close[horizon:] - log_close[:-horizon]
        known[:-horizon] = decision[horizon:]
        sums = np.concatenate(([0.0], np.cumsum(bar_variance(columns))))
        variance[:-horizon] = (sums[1 + horizon :] - sums[1:-horizon]) / horizon
    return Forward(
        horizon=horizon,
        log_return=log_return,
        variance=variance,
        decision_time_ns=decision,
        known_from_ns=known,
    )


def bar_variance(columns: Columns) -> F64:
    """Variance estimate of each bar, squared log units: half from its return, half from its range and gap.

    Source: Garman and Klass (1980), On the Estimation of Security Price Volatilities; plus the overnight gap.
    """
    opened, high, low, close = (
        np.log(np.asarray(columns[name], dtype=np.float64)) for name in ("open", "high", "low", "close")
    )
    step = np.diff(close, prepend=close[:1])
    gap = opened - np.concatenate((opened[:1], close[:-1]))
    ranged = np.maximum(0.5 * (high - low) ** 2 - BODY_WEIGHT * (close - opened) ** 2, 0.0)
    result: F64 = 0.5 * step**2 + 0.5 * (gap**2 + ranged)
    return result


def past_volatility(columns: Columns, *, bars: int) -> F64:
    """Volatility of one bar, log units, from bars up to and with the row's own; NaN before `bars` returns.

    The root of an exponentially weighted mean of `bar_variance` with span `bars`. It is 0 nowhere: a symbol
    that has not moved at all has no label that volatility scales.

    Source: López de Prado (2018), Advances in Financial Machine Learning, section 3.3 (the daily volatility
    that scales barriers).
    """
    variance = pl.Series(bar_variance(columns)).ewm_mean(span=bars, min_samples=bars + 1).to_numpy()
    result: F64 = np.sqrt(np.where(variance > 0.0, variance, np.nan))
    return result


__all__ = ["Columns", "Forward", "bar_variance", "forward_of", "past_volatility"]
