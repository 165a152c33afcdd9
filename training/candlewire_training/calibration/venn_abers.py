"""Venn-Abers calibration: a probability with the interval of its own uncertainty.

The inductive Venn-Abers predictor fits isotonic regression twice, once with the new row labelled 0 and once
1. Here that is done at knots over the calibration margins and joined linearly, so that no rounding of a
margin can make the probability jump. Calibration rows overlap in time and move together: each counts for 1 /
(design effect), which keeps the interval honest.
Source: Vovk, Petej and Fedorova (2015), Large-scale probabilistic predictors with and without guarantees of
validity.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import isotonic_regression

from candlewire_training.arrays import F64, I32, I64
from candlewire_training.calibration.rising_curve import export_curves, gentle_above, gentle_below, knot_grid
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.validation.block_bootstrap import design_effect

KNOTS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class VennAbers:
    """The fitted calibrator.

    Attributes:
        knots: Margins, increasing, shape (knots,).
        low: P(up) if the row were down, at each knot; not decreasing.
        high: P(up) if the row were up, at each knot; not below `low`.
        rows: Calibration rows.
        design_effect: How many of them count as one.
    """

    knots: F64
    low: F64
    high: F64
    rows: int
    design_effect: float

    def apply(self, margin: F64) -> tuple[F64, F64, F64]:
        """Probability of up, and the low and high ends of its interval, each of shape (rows,)."""
        low = np.interp(margin, self.knots, self.low)
        high = np.interp(margin, self.knots, self.high)
        return high / (1.0 - low + high), low, high

    def export(self, graph: GraphBuilder, margin: str) -> tuple[str, str, str]:
        """Adds the calibration of a margin [N, 1]; results have shape [N, 1]."""
        curves = export_curves(graph, margin, self.knots, np.stack((self.low, self.high)))
        low, high = graph.columns(curves, 0, 1), graph.columns(curves, 1, 2)
        # Rounding must not turn the interval over.
        high = graph.add("Max", low, high)
        complement = graph.add("Sub", graph.floats([1.0]), low)
        probability = graph.add("Div", high, graph.add("Add", complement, high))
        inside_interval = graph.add("Min", graph.add("Max", probability, low), high)
        return inside_interval, low, high


def fit_venn_abers(
    margin: F64, up: I32, blocks: I64, *, knots: int = KNOTS, steepest: float = np.inf
) -> VennAbers:
    """Fits the calibrator.

    Args:
        margin: Margins of calibration rows, shape (rows,), or any score that ranks them, as probabilities do.
        up: 1 where the last class happened.
        blocks: Time block of each row.
        knots: Most knots.
        steepest: Steepest piece of either curve; where one would be steeper the interval is wider. Give
            STEEPEST when the score is a probability.
    """
    effect = design_effect(up.astype(np.float64), blocks)
    scores, group = np.unique(margin, return_inverse=True)
    counts = np.bincount(group).astype(np.float64)
    ups = np.bincount(group, weights=up.astype(np.float64))
    grid = knot_grid(margin, knots)
    curves = [
        np.array([_isotonic_with(scores, ups / counts, counts / effect, knot, label) for knot in grid])
        for label in (0.0, 1.0)
    ]
    # Isotonic regression is monotone in the knot up to rounding; make it exactly so.
    low, high = (np.maximum.accumulate(np.clip(curve, 0.0, 1.0)) for curve in curves)
    low = np.minimum(low, high)
    # What is too steep for float32 widens the interval.
    low = gentle_below(grid, low, steepest=steepest)
    high = gentle_above(grid, high, steepest=steepest)
    return VennAbers(knots=grid, low=low, high=high, rows=int(margin.size), design_effect=effect)


def _isotonic_with(scores: F64, means: F64, weights: F64, knot: float, label: float) -> float:
    """Isotonic regression at `knot` with one more row there, of weight 1 and the given label."""
    place = int(np.searchsorted(scores, knot))
    if place < scores.size and scores[place] == knot:
        weight = weights[place] + 1.0
        means, weights = means.copy(), weights.copy()
        means[place] = (means[place] * weights[place] + label) / weight
        weights[place] = weight
    else:
        means = np.insert(means, place, label)
        weights = np.insert(weights, place, 1.0)
    return float(isotonic_regression(means, sample_weight=weights)[place])


__all__ = ["KNOTS", "VennAbers", "fit_venn_abers"]
