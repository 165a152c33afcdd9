"""Which calibrator: the one with the best log loss on rows it was not fitted on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from candlewire_training.arrays import F64, I32, I64
from candlewire_training.calibration.contract import SMALLEST_PROBABILITY, Calibrator
from candlewire_training.calibration.isotonic import fit_isotonic
from candlewire_training.calibration.linear_log import fit_platt, fit_temperature
from candlewire_training.ensemble.stacking import GROUPS, contiguous_groups
from candlewire_training.errors import SettingsError
from candlewire_training.export.graph_builder import GraphBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Leaves the probabilities as they are."""

    kind: str = "identity"

    def apply(self, probabilities: F64) -> F64:
        """The same."""
        return probabilities

    def export(self, graph: GraphBuilder, probabilities: str) -> str:  # noqa: ARG002 - the contract's signature
        """No node."""
        return probabilities

    def record(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def _fit_identity(probabilities: F64, target: I32, weight: F64) -> Identity:  # noqa: ARG001 - as the others
    return Identity()


# The simplest first: it wins a tie.
CALIBRATORS: dict[str, Callable[[F64, I32, F64], Calibrator]] = {
    "identity": _fit_identity,
    "temperature": fit_temperature,
    "platt": fit_platt,
    "isotonic": fit_isotonic,
}
# A more complicated calibrator must be better by this many nats.
LEAST_GAIN = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratorChoice:
    """What was chosen, and the out-of-fold log loss of each candidate, nats."""

    calibrator: Calibrator
    log_loss: dict[str, float]


def fit_calibrator(kind: str, probabilities: F64, target: I32, weight: F64) -> Calibrator:
    """A calibrator by name.

    Args:
        kind: One of CALIBRATORS.
        probabilities: Pooled probabilities of rows that no member was fitted on, shape (rows, classes).
        target: Class of each row.
        weight: Weight of each row.

    Raises:
        SettingsError: There is no such kind.
    """
    if kind not in CALIBRATORS:
        raise SettingsError(f"calibrator {kind!r} is unknown; use one of {', '.join(CALIBRATORS)}")
    return CALIBRATORS[kind](probabilities, target, weight)


def choose_calibrator(
    probabilities: F64,
    target: I32,
    weight: F64,
    blocks: I64,
    *,
    kinds: tuple[str, ...] = tuple(CALIBRATORS),
) -> CalibratorChoice:
    """The kind with the best cross-fitted log loss, fitted on all rows.

    Args:
        probabilities: Pooled probabilities of rows that no member was fitted on, shape (rows, classes).
        target: Class of each row.
        weight: Weight of each row.
        blocks: Time block of each row: a fold of the cross-fit is a run of whole blocks.
        kinds: Candidates, the simplest first.
    """
    group = contiguous_groups(blocks, GROUPS)
    losses = {kind: _cross_fitted_loss(kind, probabilities, target, weight, group) for kind in kinds}
    best = kinds[0]
    for kind in kinds[1:]:
        if losses[kind] < losses[best] - LEAST_GAIN:
            best = kind
    return CalibratorChoice(calibrator=fit_calibrator(best, probabilities, target, weight), log_loss=losses)


def _cross_fitted_loss(kind: str, probabilities: F64, target: I32, weight: F64, group: I64) -> float:
    total = 0.0
    for number in np.unique(group):
        held, rest = group == number, group != number
        rest = rest if rest.any() else held
        fitted = fit_calibrator(kind, probabilities[rest], target[rest], weight[rest])
        total += float(class_log_loss(fitted.apply(probabilities[held]), target[held]) @ weight[held])
    return total / float(weight.sum())


def class_log_loss(probabilities: F64, target: I32) -> F64:
    """Negative log likelihood of each row, nats, from probabilities (rows, classes)."""
    happened = np.take_along_axis(probabilities, target[:, None].astype(np.int64), axis=1)[:, 0]
    result: F64 = -np.log(np.clip(happened, SMALLEST_PROBABILITY, 1.0))
    return result


__all__ = [
    "CALIBRATORS",
    "CalibratorChoice",
    "Identity",
    "choose_calibrator",
    "class_log_loss",
    "fit_calibrator",
]
