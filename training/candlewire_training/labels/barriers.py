"""Which of three barriers the price meets first: profit, stop, or the end of the horizon.

Source: López de Prado (2018), Advances in Financial Machine Learning, sections 3.4 and 3.5.
"""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F64, I32, I64, Bool
from candlewire_training.labels.contract import NEVER_NS, UNKNOWN, Labels, LabelSettings
from candlewire_training.labels.forward import Columns, Forward, forward_of, past_volatility
from candlewire_training.labels.weights import uniqueness

PROFIT, TIME_OUT, STOP, BOTH = 1, 0, -1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trades:
    """One trade from each bar's close; arrays of shape (bars,).

    Attributes:
        exit: `PROFIT`, `STOP` or `TIME_OUT`; `BOTH` when one bar spans both barriers, which hides the order.
        exit_bar: Bar at whose close the exit is known.
        r_multiple: Log return by the distance of the stop; where a bar spans both barriers, the stop's.
        valid: Whether the whole horizon and the volatility are known.
    """

    exit: I32
    exit_bar: I64
    r_multiple: F64
    valid: Bool


def follow_trades(
    columns: Columns,
    side: I32,
    volatility: F64,
    *,
    horizon: int,
    profit_multiple: float,
    stop_multiple: float,
) -> Trades:
    """Follows a trade from the close of every bar.

    A bar that opens beyond a barrier is left at its open. A bar near the end of the history has no trade,
    even if it met a barrier: only quick trades would be known there.

    Args:
        columns: Prices, shape (bars,), oldest first.
        side: 1 for long and -1 for short, shape (bars,).
        volatility: Past volatility over the horizon, log units.
        horizon: Bars after which a trade ends at the close.
        profit_multiple: Distance of the profit barrier in units of `volatility`.
        stop_multiple: Distance of the stop barrier.
    """
    opened, high, low, close = (
        np.log(np.asarray(columns[name], dtype=np.float64)) for name in ("open", "high", "low", "close")
    )
    bars = close.size
    numbers = np.arange(bars)
    profit, stop = profit_multiple * volatility, stop_multiple * volatility
    valid = np.isfinite(volatility) & (numbers + horizon < bars)
    outcome = np.full(bars, TIME_OUT, dtype=np.int32)
    exit_bar = numbers + horizon
    gain = np.zeros(bars)
    pending = valid.copy()
    for ahead in range(1, horizon + 1):
        rows = np.flatnonzero(pending)
        bar = rows + ahead
        long = side[rows] > 0
        # Seen from the trade: above zero is a gain, whatever its side.
        at_open, at_close = (side[rows] * (values[bar] - close[rows]) for values in (opened, close))
        best = np.where(long, high[bar] - close[rows], close[rows] - low[bar])
        worst = np.where(long, low[bar] - close[rows], close[rows] - high[bar])
        won, lost = best >= profit[rows], worst <= -stop[rows]
        opened_won, opened_lost = at_open >= profit[rows], at_open <= -stop[rows]
        verdict = np.select(
            [opened_won, opened_lost, won & lost, won, lost], [PROFIT, STOP, BOTH, PROFIT, STOP], TIME_OUT
        )
        made = np.select(
            [verdict == PROFIT, verdict != TIME_OUT],
            [np.maximum(at_open, profit[rows]), np.minimum(at_open, -stop[rows])],
            at_close,
        )
        ended = verdict != TIME_OUT
        outcome[rows], gain[rows] = verdict, made
        exit_bar[rows[ended]] = bar[ended]
        pending[rows[ended]] = False
    with np.errstate(invalid="ignore", divide="ignore"):
        r_multiple = np.where(valid, gain / stop, np.nan)
    return Trades(exit=outcome, exit_bar=exit_bar, r_multiple=r_multiple, valid=valid)


def triple_barrier_labels(columns: Columns, *, horizon: int, bar_ns: int, settings: LabelSettings) -> Labels:
    """UP when the upper barrier is met first, DOWN when the lower is, SIDEWAYS when neither is.

    SIDEWAYS too when one bar spans both: which came first is not in the bars. `profit_multiple` places the
    upper barrier, `stop_multiple` the lower one.

    Args:
        columns: `open_time_ns` and prices, shape (bars,), oldest first.
        horizon: Bars of the third barrier, at least 1.
        bar_ns: Length of a bar in nanoseconds.
        settings: Barriers.
    """
    forward = forward_of(columns, horizon=horizon, bar_ns=bar_ns)
    trades = _trades(columns, np.ones(forward.log_return.size, dtype=np.int32), settings, horizon=horizon)
    side = np.where(trades.exit == BOTH, TIME_OUT, trades.exit)
    target = np.where(trades.valid, 1 + side, UNKNOWN).astype(np.int32)
    return labels_of_trades(target, trades, forward, settings)


def entry_quality_labels(columns: Columns, *, horizon: int, bar_ns: int, settings: LabelSettings) -> Labels:
    """WIN when a trade entered at the bar's close ends with a gain, at a barrier or at the horizon.

    Arguments as for `triple_barrier_labels`; `side` says which trade. Where a bar spans both barriers the
    stop is taken to come first.
    """
    forward = forward_of(columns, horizon=horizon, bar_ns=bar_ns)
    side = np.full(forward.log_return.size, 1 if settings.side == "long" else -1, dtype=np.int32)
    trades = _trades(columns, side, settings, horizon=horizon)
    target = np.where(trades.valid, trades.r_multiple > 0.0, UNKNOWN).astype(np.int32)
    return labels_of_trades(target, trades, forward, settings)


def _trades(columns: Columns, side: I32, settings: LabelSettings, *, horizon: int) -> Trades:
    return follow_trades(
        columns,
        side,
        past_volatility(columns, bars=settings.volatility_bars) * np.sqrt(horizon),
        horizon=horizon,
        profit_multiple=settings.profit_multiple,
        stop_multiple=settings.stop_multiple,
    )


def labels_of_trades(target: I32, trades: Trades, forward: Forward, settings: LabelSettings) -> Labels:
    """Labels whose targets are settled where their trades end."""
    labelled = target >= 0
    last = forward.decision_time_ns.size - 1
    settled = forward.decision_time_ns[np.minimum(trades.exit_bar, last)]
    return Labels(
        kind=settings.kind,
        classes=settings.classes,
        target=target,
        forward_return=forward.log_return,
        forward_variance=forward.variance,
        r_multiple=trades.r_multiple,
        decision_time_ns=forward.decision_time_ns,
        known_from_ns=forward.known_from_ns,
        settled_from_ns=np.where(labelled, settled, NEVER_NS),
        weight=uniqueness(np.arange(target.size), trades.exit_bar, labelled)
        if settings.unique_rows
        else np.ones(target.size),
    )


__all__ = [
    "BOTH",
    "PROFIT",
    "STOP",
    "TIME_OUT",
    "Trades",
    "entry_quality_labels",
    "follow_trades",
    "labels_of_trades",
    "triple_barrier_labels",
]
