"""Direction from fitted members: their pool, its calibrator and the Venn-Abers interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F32, F64, I32, I64
from candlewire_training.calibration.contract import Calibrator
from candlewire_training.calibration.rising_curve import STEEPEST
from candlewire_training.calibration.venn_abers import fit_venn_abers
from candlewire_training.ensemble.contract import Ensemble
from candlewire_training.ensemble.pruning import pruned
from candlewire_training.members.contract import Member
from candlewire_training.scoring_model import Direction, calibrated_pool, has_margin


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRows:
    """Rows that no member was fitted on.

    Attributes:
        X: Features, shape (rows, features).
        target: Class of each row, shape (rows,).
        weight: Weight of each row.
        blocks: Time block of each row.
        classes: Names of the classes.
    """

    X: F32
    target: I32
    weight: F64
    blocks: I64
    classes: tuple[str, ...]


def fit_direction(
    members: Sequence[Member],
    ensemble: Ensemble,
    rows: CalibrationRows,
    *,
    calibrator: Calibrator | None = None,
    candidates: tuple[tuple[str, float], ...] = (),
) -> Direction:
    """Leaves out members of zero weight and fits the Venn-Abers interval of P(last class) on `rows`.

    Args:
        members: Fitted members.
        ensemble: Their weights.
        rows: Rows that neither members nor calibrator were fitted on.
        calibrator: Chosen on out-of-fold predictions (`choose_calibrator`); None lets Venn-Abers itself state
            the probability.
        candidates: What the choice was among, for the card.
    """
    kept, left = pruned(members, ensemble)
    said = np.stack([member.probabilities(rows.X) for member in kept], axis=1)
    _, score = calibrated_pool(rows.X, said, kept, left, calibrator)
    margin = calibrator is None and has_margin(kept, left, len(rows.classes))
    interval = fit_venn_abers(
        score,
        (rows.target == len(rows.classes) - 1).astype(np.int32),
        rows.blocks,
        steepest=np.inf if margin else STEEPEST,
    )
    return Direction(
        members=kept,
        ensemble=left,
        classes=rows.classes,
        interval=interval,
        calibrator=calibrator,
        candidates=candidates,
    )


__all__ = ["CalibrationRows", "fit_direction"]
