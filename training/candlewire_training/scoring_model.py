"""The whole fitted pipeline: what the graph must say, computed by the libraries that fitted it."""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F32, F64
from candlewire_training.bands.return_band import ReturnBand
from candlewire_training.calibration.venn_abers import VennAbers
from candlewire_training.members.contract import DirectionMember
from candlewire_training.trust.dissimilarity import Dissimilarity

CLASSES = ("DOWN", "UP")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What the model says of rows; every array has one element a row unless told otherwise.

    Attributes:
        probabilities: Shape (rows, classes).
        probability_low, probability_high: Interval of P(up).
        band_low, band_mid, band_high: Forward log return over the horizon.
        dissimilarity: 1 is the edge of the training data.
        member_probabilities: Shape (rows, members, classes).
    """

    probabilities: F64
    probability_low: F64
    probability_high: F64
    band_low: F64
    band_mid: F64
    band_high: F64
    dissimilarity: F64
    member_probabilities: F64

    @property
    def up(self) -> F64:
        """P(up), shape (rows,)."""
        result: F64 = self.probabilities[:, -1]
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringModel:
    """Members, their weights, calibration, band and dissimilarity."""

    members: tuple[DirectionMember, ...]
    weights: tuple[float, ...]
    calibration: VennAbers
    band: ReturnBand
    dissimilarity: Dissimilarity

    def score(self, X: F32) -> Scores:
        """Scores rows of shape (rows, features) natively, in float64 where the libraries allow."""
        margins = np.stack([member.margin(X) for member in self.members], axis=1)
        up, low, high = self.calibration.apply(stack(margins, self.weights))
        member_up = 1.0 / (1.0 + np.exp(-margins))
        band_low, band_mid, band_high = self.band.apply(X)
        return Scores(
            probabilities=np.stack((1.0 - up, up), axis=1),
            probability_low=low,
            probability_high=high,
            band_low=band_low,
            band_mid=band_mid,
            band_high=band_high,
            dissimilarity=self.dissimilarity.apply(X),
            member_probabilities=np.stack((1.0 - member_up, member_up), axis=2),
        )

    def split_points(self) -> list[tuple[int, F32]]:
        """(feature, thresholds) at which any tree of the model may jump."""
        return [
            point
            for part in (*(member.split_points() for member in self.members), self.band.split_points())
            for point in part
        ]


def stack(margins: F64, weights: tuple[float, ...]) -> F64:
    """Weighted sum of the members' margins, shape (rows,), from shape (rows, members)."""
    result: F64 = margins @ np.asarray(weights, dtype=np.float64)
    return result


__all__ = ["CLASSES", "Scores", "ScoringModel", "stack"]
