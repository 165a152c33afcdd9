"""Direction over a horizon of bars, plain or with a neutral zone as wide as volatility asks."""

import numpy as np

from candlewire_training.arrays import F64, I32
from candlewire_training.labels.contract import UNKNOWN, Labels, LabelSettings
from candlewire_training.labels.forward import Columns, Forward, forward_of, past_volatility
from candlewire_training.labels.weights import uniqueness


def direction_labels(
    columns: Columns, *, horizon: int, bar_ns: int, settings: LabelSettings | None = None
) -> Labels:
    """Sign of the forward return; inside the neutral zone, where the kind has one, the middle class.

    The zone reaches `neutral_width` times the past volatility over the horizon to either side of zero. A bar
    without that much history has no label.

    Args:
        columns: `open_time_ns` and prices, shape (bars,), oldest first.
        horizon: Bars ahead, at least 1.
        bar_ns: Length of a bar in nanoseconds.
        settings: Kind and neutral zone; up or down when absent.
    """
    settings = settings or LabelSettings()
    forward = forward_of(columns, horizon=horizon, bar_ns=bar_ns)
    known = np.isfinite(forward.log_return)
    volatility = past_volatility(columns, bars=settings.volatility_bars) * np.sqrt(horizon)
    target = np.full(known.size, UNKNOWN, dtype=np.int32)
    if len(settings.classes) == 2:
        target[known] = forward.log_return[known] > 0.0
    else:
        known &= np.isfinite(volatility)
        zone = settings.neutral_width * volatility[known]
        step = forward.log_return[known]
        target[known] = 1 + (step > zone).astype(np.int32) - (step < -zone).astype(np.int32)
    return labels_of(target, forward, settings=settings, r_multiple=forward.log_return / volatility)


def labels_of(target: I32, forward: Forward, *, settings: LabelSettings, r_multiple: F64) -> Labels:
    """Labels that are settled at the end of the horizon."""
    bars = np.arange(target.size)
    labelled = target >= 0
    return Labels(
        kind=settings.kind,
        classes=settings.classes,
        target=target,
        forward_return=forward.log_return,
        forward_variance=forward.variance,
        r_multiple=r_multiple,
        decision_time_ns=forward.decision_time_ns,
        known_from_ns=forward.known_from_ns,
        settled_from_ns=forward.known_from_ns,
        weight=uniqueness(bars, bars + forward.horizon, labelled)
        if settings.unique_rows
        else np.ones(target.size),
    )


__all__ = ["direction_labels", "labels_of"]
