"""Rising piecewise linear curves over a probability or margin, exact enough for float32."""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F64
from candlewire_training.export.graph_builder import GraphBuilder

# Steepest piece of a curve over probabilities: a pool of forests is off by up to 4e-7 in float32, and the
# gate allows 1e-5.
STEEPEST = 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RisingCurve:
    """Heights at knots, joined linearly, constant outside.

    Attributes:
        knots: Increasing, exact in float32, shape (knots,).
        heights: Not decreasing.
    """

    knots: F64
    heights: F64

    def apply(self, values: F64) -> F64:
        """Heights at `values`."""
        return np.interp(values, self.knots, self.heights)

    def export(self, graph: GraphBuilder, values: str) -> str:
        """Adds the curve over a tensor [N, 1]; the result has shape [N, 1]."""
        return export_curves(graph, values, self.knots, self.heights[None, :])


def export_curves(graph: GraphBuilder, values: str, knots: F64, heights: F64) -> str:
    """Adds curves that share their knots: [N, 1] becomes [N, curves].

    Each curve is a sum of non-negative steps along the knots: each step is the part of the segment passed.

    Args:
        graph: The graph.
        values: Tensor [N, 1].
        knots: Shape (knots,).
        heights: Shape (curves, knots).
    """
    if knots.size == 1:
        zero = graph.add("Mul", values, graph.floats([0.0]))
        return graph.add("Add", zero, graph.floats(heights[:, 0], (1, -1)))
    exact = knots.astype(np.float32)
    starts, ends = graph.floats(exact[:-1], (1, -1)), graph.floats(exact[1:], (1, -1))
    passed = graph.add("Sub", graph.add("Min", graph.add("Max", values, starts), ends), starts)
    slopes = np.diff(heights, axis=1) / np.diff(exact.astype(np.float64))
    return graph.add("Add", graph.weighted_sums(passed, slopes), graph.floats(heights[:, 0], (1, -1)))


def knot_grid(values: F64, knots: int) -> F64:
    """Quantiles of the values, exact in float32, at least a hundredth of their range apart.

    Close knots would make steep segments, and steep segments turn rounding into differences of probability.
    """
    quantiles = np.unique(np.quantile(values, np.linspace(0.0, 1.0, knots)).astype(np.float32)).astype(
        np.float64
    )
    least_gap = (quantiles[-1] - quantiles[0]) / 100.0
    kept = [float(quantiles[0])]
    for quantile in quantiles[1:]:
        if quantile - kept[-1] >= least_gap:
            kept.append(float(quantile))
    return np.array(kept)


def gentle_below(grid: F64, curve: F64, *, steepest: float = STEEPEST) -> F64:
    """The greatest curve at or below this one that rises no more steeply than `steepest`, shape (knots,)."""
    if not np.isfinite(steepest):
        return curve
    reach = steepest * np.abs(grid[:, None] - grid[None, :])
    result: F64 = (curve[None, :] + reach).min(axis=1)
    return result


def gentle_above(grid: F64, curve: F64, *, steepest: float = STEEPEST) -> F64:
    """The least curve at or above this one that rises no more steeply than `steepest`, shape (knots,)."""
    return -gentle_below(grid, -curve, steepest=steepest)


def gentle_middle(grid: F64, curve: F64, *, steepest: float = STEEPEST) -> F64:
    """Midway between `gentle_below` and `gentle_above`."""
    below, above = (side(grid, curve, steepest=steepest) for side in (gentle_below, gentle_above))
    return (below + above) / 2.0


__all__ = [
    "STEEPEST",
    "RisingCurve",
    "export_curves",
    "gentle_above",
    "gentle_below",
    "gentle_middle",
    "knot_grid",
]
