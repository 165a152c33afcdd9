"""Every kind of label by its name."""

from collections.abc import Callable

from candlewire_training.labels.barriers import entry_quality_labels, triple_barrier_labels
from candlewire_training.labels.contract import Labels, LabelSettings
from candlewire_training.labels.direction import direction_labels
from candlewire_training.labels.forward import Columns
from candlewire_training.labels.patterns import pattern_success_labels

LABELLERS: dict[str, Callable[..., Labels]] = {
    "up_down": direction_labels,
    "up_down_sideways": direction_labels,
    "bull_neutral_bear": direction_labels,
    "triple_barrier": triple_barrier_labels,
    "pattern_success": pattern_success_labels,
    "entry_quality": entry_quality_labels,
}


def label_bars(columns: Columns, settings: LabelSettings, *, horizon: int, bar_ns: int) -> Labels:
    """Labels of one symbol.

    Args:
        columns: `open_time_ns` and prices, shape (bars,), oldest first.
        settings: Which label.
        horizon: Bars ahead that it looks at most, at least 1.
        bar_ns: Length of a bar in nanoseconds.
    """
    return LABELLERS[settings.kind](columns, horizon=horizon, bar_ns=bar_ns, settings=settings)


__all__ = ["LABELLERS", "label_bars"]
