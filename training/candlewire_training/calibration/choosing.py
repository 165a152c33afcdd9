"""Which calibrator: the one with the best log loss on rows it was not fitted on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from candlewire_training.arrays import F64, I32, I64
from candlewire_training.calibration.contract import SMALLEST_PROBABILITY, Calibrator
from candlewire_training.calibration.isotonic import fit_isotonic
from candlewire_training.calibration.linear_log import fit_platt, fit_temperature
from candlewire_training.calibration.rising_curve import STEEPEST
from candlewire_training.calibration.venn_abers import fit_venn_abers
from candlewire_training.ensemble.stacking import GROUPS, contiguous_groups
from candlewire_training.errors import SettingsError, TooFewBarsError
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
# Not a calibrator of its own: the interval of P(last class) states the probability too.
VENN_ABERS = "venn_abers"
# Out-of-fold rows below which there is nothing to choose by.
LEAST_ROWS = 500
# Rows that a choice looks at, evenly spaced: curves of a few dozen knots need no more.
CHOICE_ROWS = 50_000
# A more complicated calibrator must be better by this many nats.
LEAST_GAIN = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratorChoice:
    """What was chosen, and the cross-fitted log loss of each candidate, nats.

    Attributes:
        kind: Name of the choice.
        calibrator: Fitted on all rows; None where Venn-Abers states the probability.
        log_loss: By candidate.
    """

    kind: str
    calibrator: Calibrator | None
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
        kinds: Candidates, the one that wins a tie first; VENN_ABERS may be among them.
    """
    group = contiguous_groups(blocks, GROUPS)
    losses = {kind: _cross_fitted_loss(kind, probabilities, target, weight, blocks, group) for kind in kinds}
    best = kinds[0]
    for kind in kinds[1:]:
        if losses[kind] < losses[best] - LEAST_GAIN:
            best = kind
    fitted = None if best == VENN_ABERS else fit_calibrator(best, probabilities, target, weight)
    return CalibratorChoice(kind=best, calibrator=fitted, log_loss=losses)


class Judged(Protocol):
    """Rows that predictions are held against."""

    @property
    def target(self) -> I32:
        """Class of each row."""

    @property
    def weight(self) -> F64:
        """Weight of each row."""

    @property
    def blocks(self) -> I64:
        """Time block of each row."""


def calibrator_of(kind: str, probabilities: F64, rows: Judged) -> CalibratorChoice:
    """The calibrator that the settings ask for: one by name, or with `auto` the best of all.

    Args:
        kind: `auto`, VENN_ABERS or one of CALIBRATORS.
        probabilities: Pooled out-of-fold probabilities, shape (rows, classes).
        rows: What happened.

    Raises:
        TooFewBarsError: There are too few rows for a calibrator asked for by name; `auto` leaves few rows to
            Venn-Abers.
    """
    few = probabilities.shape[0] < LEAST_ROWS
    if kind == "auto":
        if few:
            return CalibratorChoice(kind=VENN_ABERS, calibrator=None, log_loss={})
        kinds: tuple[str, ...] = (VENN_ABERS, *CALIBRATORS)
    elif few:
        raise TooFewBarsError(
            f"calibrator {kind}: only {probabilities.shape[0]} out-of-fold rows are settled before the "
            f"calibration part begins, at least {LEAST_ROWS} are needed; use venn_abers, or longer history"
        )
    else:
        kinds = (kind,)
    chosen = slice(None, None, max(1, probabilities.shape[0] // CHOICE_ROWS))
    return choose_calibrator(
        probabilities[chosen], rows.target[chosen], rows.weight[chosen], rows.blocks[chosen], kinds=kinds
    )


def _cross_fitted_loss(
    kind: str, probabilities: F64, target: I32, weight: F64, blocks: I64, group: I64
) -> float:
    total = 0.0
    for number in np.unique(group):
        held, rest = group == number, group != number
        rest = rest if rest.any() else held
        if kind == VENN_ABERS:
            said = _by_venn_abers(probabilities[rest], target[rest], blocks[rest], probabilities[held])
        else:
            fitted = fit_calibrator(kind, probabilities[rest], target[rest], weight[rest])
            said = fitted.apply(probabilities[held])
        total += float(class_log_loss(said, target[held]) @ weight[held])
    return total / float(weight.sum())


def _by_venn_abers(probabilities: F64, target: I32, blocks: I64, unseen: F64) -> F64:
    """What Venn-Abers makes of `unseen`; the other classes share what the last one leaves over."""
    happened = (target == probabilities.shape[1] - 1).astype(np.int32)
    interval = fit_venn_abers(probabilities[:, -1], happened, blocks, steepest=STEEPEST)
    last, _, _ = interval.apply(unseen[:, -1])
    rest = unseen[:, :-1] / np.maximum(unseen[:, :-1].sum(axis=1, keepdims=True), SMALLEST_PROBABILITY)
    return np.concatenate((rest * (1.0 - last)[:, None], last[:, None]), axis=1)


def class_log_loss(probabilities: F64, target: I32) -> F64:
    """Negative log likelihood of each row, nats, from probabilities (rows, classes)."""
    happened = np.take_along_axis(probabilities, target[:, None].astype(np.int64), axis=1)[:, 0]
    result: F64 = -np.log(np.clip(happened, SMALLEST_PROBABILITY, 1.0))
    return result


__all__ = [
    "CALIBRATORS",
    "VENN_ABERS",
    "CalibratorChoice",
    "Identity",
    "calibrator_of",
    "choose_calibrator",
    "class_log_loss",
    "fit_calibrator",
]
