"""Candlestick patterns: does the price go where the pattern points?"""

import candlewire_features as cf
import numpy as np

from candlewire_training.arrays import F64, I32
from candlewire_training.errors import BarsError
from candlewire_training.labels.barriers import PROFIT, follow_trades, labels_of_trades
from candlewire_training.labels.contract import UNKNOWN, Labels, LabelSettings
from candlewire_training.labels.forward import Columns, forward_of, past_volatility

BAR_COLUMNS = ("open_time_ns", "open", "high", "low", "close", "volume")


def pattern_sides(columns: Columns, patterns: tuple[str, ...]) -> I32:
    """Where the patterns of each bar point: 1 up, -1 down, 0 where none fires or as many point each way.

    Args:
        columns: `open_time_ns`, prices and volume, shape (bars,), oldest first.
        patterns: Kernels of candlewire_features with an output `signal`.

    Raises:
        BarsError: The bars do not fit.
    """
    spec = cf.FeatureSpec([(name, name, {}, "signal") for name in patterns])
    try:
        signals: F64 = cf.compute({name: np.asarray(columns[name]) for name in BAR_COLUMNS}, spec)
    except cf.FeaturesError as error:
        raise BarsError(f"patterns cannot be computed: {error}") from error
    sides: I32 = np.sign(np.nansum(np.sign(signals), axis=1)).astype(np.int32)
    return sides


def pattern_success_labels(columns: Columns, *, horizon: int, bar_ns: int, settings: LabelSettings) -> Labels:
    """WIN when the profit barrier on the side of the pattern is met before the stop and within the horizon.

    Only bars where a pattern fires have a label. Where a bar spans both barriers the stop is taken to come
    first.

    Args:
        columns: `open_time_ns`, prices and volume, shape (bars,), oldest first.
        horizon: Bars within which the pattern must come true, at least 1.
        bar_ns: Length of a bar in nanoseconds.
        settings: Patterns and barriers.
    """
    forward = forward_of(columns, horizon=horizon, bar_ns=bar_ns)
    side = pattern_sides(columns, settings.patterns)
    trades = follow_trades(
        columns,
        np.where(side == 0, 1, side).astype(np.int32),
        past_volatility(columns, bars=settings.volatility_bars) * np.sqrt(horizon),
        horizon=horizon,
        profit_multiple=settings.profit_multiple,
        stop_multiple=settings.stop_multiple,
    )
    target = np.where(trades.valid & (side != 0), trades.exit == PROFIT, UNKNOWN).astype(np.int32)
    return labels_of_trades(target, trades, forward, settings)


__all__ = ["pattern_sides", "pattern_success_labels"]
