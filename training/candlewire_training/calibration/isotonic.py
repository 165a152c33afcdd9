"""Isotonic calibration: one rising curve for each class, then scaled to sum to 1.

Source: Zadrozny and Elkan (2002), Transforming classifier scores into accurate multiclass probability
estimates.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.isotonic import isotonic_regression

from candlewire_training.arrays import F64, I32
from candlewire_training.calibration.rising_curve import RisingCurve, gentle_middle, knot_grid
from candlewire_training.export.graph_builder import GraphBuilder

KNOTS = 24
# No class is ever impossible: the logarithm of what happens stays finite.
LEAST = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Isotonic:
    """A curve for each class; of two classes only the last has one."""

    curves: tuple[RisingCurve, ...]
    kind: str = "isotonic"

    def apply(self, probabilities: F64) -> F64:
        """Calibrated probabilities."""
        if len(self.curves) == 1:
            last = self.curves[0].apply(probabilities[:, 1])
            return np.stack((1.0 - last, last), axis=1)
        said = np.stack(
            [curve.apply(probabilities[:, number]) for number, curve in enumerate(self.curves)], axis=1
        )
        result: F64 = said / said.sum(axis=1, keepdims=True)
        return result

    def export(self, graph: GraphBuilder, probabilities: str) -> str:
        """Each curve as a sum of steps, then a division."""
        if len(self.curves) == 1:
            last = self.curves[0].export(graph, graph.columns(probabilities, 1, 2))
            return graph.add("Concat", graph.add("Sub", graph.floats([1.0]), last), last, axis=1)
        said = [
            curve.export(graph, graph.columns(probabilities, number, number + 1))
            for number, curve in enumerate(self.curves)
        ]
        beside = graph.add("Concat", *said, axis=1)
        total = graph.weighted_sums(beside, np.ones((len(said), len(said))))
        return graph.add("Div", beside, total)

    def record(self) -> dict[str, Any]:
        """Knots of each curve."""
        return {"curve_knots": [int(curve.knots.size) for curve in self.curves]}


def fit_isotonic(probabilities: F64, target: I32, weight: F64) -> Isotonic:
    """One class against the rest, at no more than KNOTS knots joined linearly."""
    classes = range(1, 2) if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    return Isotonic(
        curves=tuple(_curve(probabilities[:, number], target == number, weight) for number in classes)
    )


def _curve(said: F64, happened: F64, weight: F64) -> RisingCurve:
    values, group = np.unique(said, return_inverse=True)
    weights = np.bincount(group, weights=weight)
    means = np.bincount(group, weights=weight * happened) / weights
    fitted = np.clip(isotonic_regression(means, sample_weight=weights), LEAST, 1.0 - LEAST)
    grid = knot_grid(said, KNOTS)
    # A knot takes the mean of the fit between the midpoints to its neighbours: a knot on the edge of
    # a step would take one side of it.
    edges = np.concatenate(([-np.inf], (grid[1:] + grid[:-1]) / 2.0, [np.inf]))
    place = np.searchsorted(edges, values, side="right") - 1
    mass = np.bincount(place, weights=weights, minlength=grid.size)
    sums = np.bincount(place, weights=weights * fitted, minlength=grid.size)
    filled = mass > 0
    grid, heights = grid[filled], np.maximum.accumulate(sums[filled] / mass[filled])
    return RisingCurve(knots=grid, heights=gentle_middle(grid, heights))


__all__ = ["Isotonic", "fit_isotonic"]
