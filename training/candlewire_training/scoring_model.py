"""The whole fitted pipeline: what the graph must say, computed by the libraries that fitted it."""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F32, F64, Bool
from candlewire_training.bands.return_band import ReturnBand
from candlewire_training.calibration.contract import Calibrator
from candlewire_training.calibration.venn_abers import VennAbers
from candlewire_training.ensemble.contract import Ensemble
from candlewire_training.members.contract import BinaryMarginMember, Member
from candlewire_training.trust.dissimilarity import Dissimilarity


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What the model says of rows; every array has one element a row unless told otherwise.

    Attributes:
        probabilities: Shape (rows, classes).
        probability_low, probability_high: Interval of P(last class).
        band_low, band_mid, band_high: Forward log return over the horizon.
        dissimilarity: 1 is the edge of the training data.
        member_probabilities: Shape (rows, members, classes).
        near_ties: True where a member's vote hangs on the last bits of its probabilities (hard voting only).
    """

    probabilities: F64
    probability_low: F64
    probability_high: F64
    band_low: F64
    band_mid: F64
    band_high: F64
    dissimilarity: F64
    member_probabilities: F64
    near_ties: Bool

    @property
    def up(self) -> F64:
        """P(last class), shape (rows,)."""
        result: F64 = self.probabilities[:, -1]
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """Members, how they are pooled, and the calibration of the pool.

    Attributes:
        members: At least one, fitted.
        ensemble: Their weights.
        classes: Names, the most bearish first, the most bullish last.
        interval: Venn-Abers interval of P(last class), over `score_of` of calibration rows.
        calibrator: What makes the pool honest; None leaves that to Venn-Abers itself, the other classes
            sharing what it leaves over.
        candidates: Calibrators that were tried, each with its log loss out of fold; empty when none was.
    """

    members: tuple[Member, ...]
    ensemble: Ensemble
    classes: tuple[str, ...]
    interval: VennAbers
    calibrator: Calibrator | None = None
    candidates: tuple[tuple[str, float], ...] = ()

    def member_probabilities(self, X: F32) -> F64:
        """Each member's own probabilities, shape (rows, members, classes)."""
        return np.stack([member.probabilities(X) for member in self.members], axis=1)

    def apply(self, X: F32) -> tuple[F64, F64, F64, F64]:
        """Probabilities (rows, classes), the interval's low and high (rows,), the members' probabilities."""
        members = self.member_probabilities(X)
        probabilities, score = calibrated_pool(X, members, self.members, self.ensemble, self.calibrator)
        last, low, high = self.interval.apply(score)
        if self.calibrator is not None:
            stated = probabilities[:, -1]
            return probabilities, np.minimum(low, stated), np.maximum(high, stated), members
        if len(self.classes) == 2:
            return np.stack((1.0 - last, last), axis=1), low, high, members
        rest = probabilities[:, :-1] / probabilities[:, :-1].sum(axis=1, keepdims=True)
        return np.concatenate((rest * (1.0 - last)[:, None], last[:, None]), axis=1), low, high, members


def has_margin(members: tuple[Member, ...], ensemble: Ensemble, classes: int) -> bool:
    """True when a lone member of two classes can hand its log-odds straight to Venn-Abers."""
    return classes == 2 and ensemble.single and isinstance(members[0], BinaryMarginMember)


def calibrated_pool(
    X: F32,
    member_probabilities: F64,
    members: tuple[Member, ...],
    ensemble: Ensemble,
    calibrator: Calibrator | None,
) -> tuple[F64, F64]:
    """The pool after its calibrator (rows, classes), and the score that Venn-Abers ranks (rows,).

    The score is P(last class), or the log-odds of a lone member of two classes without a calibrator.
    """
    pooled = ensemble.pool(member_probabilities)
    if calibrator is not None:
        pooled = calibrator.apply(pooled)
    elif has_margin(members, ensemble, pooled.shape[1]):
        first = members[0]
        assert isinstance(first, BinaryMarginMember)  # noqa: S101 - has_margin has seen it
        return pooled, first.margin(X)
    last: F64 = pooled[:, -1]
    return pooled, last


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringModel:
    """Direction, band and dissimilarity."""

    direction: Direction
    band: ReturnBand
    dissimilarity: Dissimilarity

    @property
    def members(self) -> tuple[Member, ...]:
        """The members, in the order of `member_probabilities`."""
        return self.direction.members

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of `probabilities`."""
        return self.direction.classes

    def score(self, X: F32) -> Scores:
        """Scores rows of shape (rows, features) natively, in float64 where the libraries allow."""
        probabilities, low, high, members = self.direction.apply(X)
        band_low, band_mid, band_high = self.band.apply(X)
        return Scores(
            probabilities=probabilities,
            probability_low=low,
            probability_high=high,
            band_low=band_low,
            band_mid=band_mid,
            band_high=band_high,
            dissimilarity=self.dissimilarity.apply(X),
            member_probabilities=members,
            near_ties=self.direction.ensemble.near_ties(members),
        )

    def split_points(self) -> list[tuple[int, F32]]:
        """(feature, thresholds) at which any tree of the model may jump."""
        return [
            point
            for part in (*(member.split_points() for member in self.members), self.band.split_points())
            for point in part
        ]


__all__ = ["Direction", "Scores", "ScoringModel", "calibrated_pool", "has_margin"]
