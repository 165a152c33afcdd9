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
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.validation.block_bootstrap import design_effect

KNOTS = 24
# Steepest piece of a curve over probabilities: float32 sums then stay far within the tolerance of the gate.
STEEPEST = 40.0


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
        if self.knots.size == 1:
            zero = graph.add("Mul", margin, graph.floats([0.0]))
            low = graph.add("Add", zero, graph.floats(self.low))
            high = graph.add("Add", zero, graph.floats(self.high))
        else:
            # Both curves are sums of non-negative steps along the knots: each step is the part of the segment
            # passed.
            knots = self.knots.astype(np.float32)
            starts, ends = graph.floats(knots[:-1], (1, -1)), graph.floats(knots[1:], (1, -1))
            inside = graph.add("Min", graph.add("Max", margin, starts), ends)
            passed = graph.add("Sub", inside, starts)
            gaps = np.diff(knots.astype(np.float64))
            slopes = np.stack((np.diff(self.low) / gaps, np.diff(self.high) / gaps))
            steps = graph.weighted_sums(passed, slopes)
            curves = graph.add("Add", steps, graph.floats([self.low[0], self.high[0]], (1, 2)))
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
        steepest: Steepest piece of either curve; knots that would make a steeper one are left out. Give
            STEEPEST when the score is a probability.
    """
    effect = design_effect(up.astype(np.float64), blocks)
    scores, group = np.unique(margin, return_inverse=True)
    counts = np.bincount(group).astype(np.float64)
    ups = np.bincount(group, weights=up.astype(np.float64))
    grid = _knot_grid(margin, knots)
    curves = [
        np.array([_isotonic_with(scores, ups / counts, counts / effect, knot, label) for knot in grid])
        for label in (0.0, 1.0)
    ]
    # Isotonic regression is monotone in the knot up to rounding; make it exactly so.
    low, high = (np.maximum.accumulate(np.clip(curve, 0.0, 1.0)) for curve in curves)
    low = np.minimum(low, high)
    kept = _gentle(grid, np.stack((low, high)), steepest)
    return VennAbers(
        knots=grid[kept], low=low[kept], high=high[kept], rows=int(margin.size), design_effect=effect
    )


def _gentle(grid: F64, curves: F64, steepest: float) -> I64:
    """Knots to keep so that no curve, shape (curves, knots), rises more steeply than `steepest`."""
    kept = [0]
    for knot in range(1, grid.size):
        rise = float((curves[:, knot] - curves[:, kept[-1]]).max())
        if rise <= steepest * (grid[knot] - grid[kept[-1]]):
            kept.append(knot)
    return np.array(kept, dtype=np.int64)


def _knot_grid(margin: F64, knots: int) -> F64:
    """Quantiles of the margins, exact in float32, at least a hundredth of their range apart.

    Close knots would make steep segments, and steep segments turn rounding into differences of probability.
    """
    quantiles = np.unique(np.quantile(margin, np.linspace(0.0, 1.0, knots)).astype(np.float32)).astype(
        np.float64
    )
    least_gap = (quantiles[-1] - quantiles[0]) / 100.0
    kept = [float(quantiles[0])]
    for quantile in quantiles[1:]:
        if quantile - kept[-1] >= least_gap:
            kept.append(float(quantile))
    return np.array(kept)


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


__all__ = ["KNOTS", "STEEPEST", "VennAbers", "fit_venn_abers"]
