"""Weights of rows: less for labels that overlap, more for classes that are rare."""

import numpy as np

from candlewire_training.arrays import F64, I32, I64, Bool


def uniqueness(start: I64, end: I64, labelled: Bool) -> F64:
    """Average uniqueness of each label within one symbol: 1 when no other label shares its bars.

    A label lives on the bars `start + 1 .. end`; a bar that n labels share counts 1 / n for each of them.

    Args:
        start: Bar of each decision, shape (bars,).
        end: Bar that settles it, above `start`.
        labelled: Which bars have a label; the others weigh 1 and share nothing.

    Source: López de Prado (2018), Advances in Financial Machine Learning, sections 4.3 and 4.4.
    """
    weight = np.ones(start.size)
    first, last = start[labelled] + 1, end[labelled] + 1
    if first.size == 0:
        return weight
    steps = np.zeros(int(last.max()) + 1)
    np.add.at(steps, first, 1.0)
    np.add.at(steps, last, -1.0)
    sharing = np.cumsum(steps)
    shares = np.concatenate(([0.0], np.cumsum(np.where(sharing > 0, 1.0 / np.maximum(sharing, 1.0), 0.0))))
    weight[labelled] = (shares[last] - shares[first]) / (last - first)
    return weight


def balanced_weights(target: I32, weight: F64, *, classes: int) -> F64:
    """Weights under which every class present weighs the same in sum; their mean is 1.

    To be fitted on train rows alone: the share of a class is something to learn, too.

    Args:
        target: Class index of each row, shape (rows,), 0 or above.
        weight: Weight of each row before.
        classes: Classes there are.
    """
    sums = np.bincount(target, weights=weight, minlength=classes)
    scaled = weight / sums[target]
    result: F64 = scaled * (scaled.size / scaled.sum())
    return result


__all__ = ["balanced_weights", "uniqueness"]
