"""Members of zero weight are left out of the graph: they cost microseconds and change nothing."""

from collections.abc import Sequence

import numpy as np

from candlewire_training.ensemble.contract import Ensemble
from candlewire_training.members.contract import Member


def pruned(members: Sequence[Member], ensemble: Ensemble) -> tuple[tuple[Member, ...], Ensemble]:
    """Members of weight above zero, and the ensemble of them."""
    weights = np.asarray(ensemble.weights, dtype=np.float64)
    kept = np.flatnonzero(weights > 0)
    left = weights[kept] / weights[kept].sum()
    return tuple(members[index] for index in kept.tolist()), Ensemble(
        weights=tuple(left.tolist()), rule=ensemble.rule
    )


__all__ = ["pruned"]
