"""The volatility scale: how far the price may move over the horizon, foretold from the row's own features.

A log-linear model of forward variance on the logarithms of the spec's volatility features; the band's width
is proportional to it, so the band breathes. Without any volatility feature the scale is constant.
"""

import json
from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F32, F64, I32
from candlewire_training.export.graph_builder import GraphBuilder

# Kernels whose outputs measure volatility in units of return, whatever the symbol's price.
VOLATILITY_OUTPUTS: dict[str, frozenset[str]] = {
    "atr": frozenset({"ratio"}),
    "bbands": frozenset({"width"}),
    "high_low_range": frozenset({"ratio"}),
    "natr": frozenset({"natr"}),
    "realised_volatility": frozenset({"volatility"}),
}
RIDGE = 1e-3
# Beyond this many times the training range the scale no longer grows.
RANGE_SLACK = float(np.log(1.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilityScale:
    """The fitted scale: exp(intercept + sum of weights times the logarithms of floored features).

    Attributes:
        columns: Feature columns used, shape (terms,).
        floors: Least value of each before its logarithm.
        weights: Weight of each logarithm.
        intercept: Constant.
        limits: Least and greatest logarithm of the scale.
    """

    columns: I32
    floors: F64
    weights: F64
    intercept: float
    limits: tuple[float, float]

    def apply(self, X: F32) -> F64:
        """Scale of the forward return over the horizon, shape (rows,), above zero."""
        logs = np.log(np.maximum(X[:, self.columns].astype(np.float64), self.floors))
        fitted = self.intercept + logs @ self.weights
        result: F64 = np.exp(np.clip(fitted, *self.limits))
        return result

    def export(self, graph: GraphBuilder, features: str) -> str:
        """Adds the scale; the result has shape [N, 1]."""
        if self.columns.size == 0:
            zero = graph.add("Mul", graph.columns(features, 0, 1), graph.floats([0.0]))
            return graph.add("Add", zero, graph.floats([np.exp(self.intercept)]))
        chosen = graph.add("Gather", features, graph.integers(self.columns), axis=1)
        floored = graph.add("Max", chosen, graph.floats(self.floors, (1, -1)))
        # ONNX Runtime's Log gives other bits at the tail of a vector; a log-sum over one element does not.
        column = graph.add("Unsqueeze", floored, graph.integers([2]))
        logs = graph.add("ReduceLogSum", column, graph.integers([2]), keepdims=0)
        total = graph.weighted_sums(logs, self.weights)
        fitted = graph.add("Add", total, graph.floats([self.intercept]))
        limited = graph.add(
            "Clip", fitted, graph.floats(self.limits[0], ()), graph.floats(self.limits[1], ())
        )
        return graph.add("Exp", limited)


def volatility_columns(spec_json: str) -> I32:
    """Columns of a feature spec that measure volatility, by kernel and output.

    Args:
        spec_json: The spec's canonical JSON.
    """
    features = json.loads(spec_json)["features"]
    return np.array(
        [
            column
            for column, feature in enumerate(features)
            if feature["output"] in VOLATILITY_OUTPUTS.get(feature["kernel"], frozenset())
        ],
        dtype=np.int32,
    )


def fit_volatility_scale(X: F32, forward_variance: F64, *, columns: I32, horizon: int) -> VolatilityScale:
    """Least squares in logarithms.

    Args:
        X: Features, shape (rows, features).
        forward_variance: Mean variance a bar over the horizon, shape (rows,).
        columns: Columns that measure volatility; those that are rarely above zero are left out.
        horizon: Bars ahead; the scale grows with its square root.
    """
    columns = np.array([column for column in columns if np.median(X[:, column]) > 0], dtype=np.int32)
    target = 0.5 * np.log(np.maximum(forward_variance * horizon, _least_positive(forward_variance * horizon)))
    if columns.size == 0:
        return VolatilityScale(
            columns=columns,
            floors=np.zeros(0),
            weights=np.zeros(0),
            intercept=float(target.mean()),
            limits=(float(target.min()), float(target.max())),
        )
    values = X[:, columns].astype(np.float64)
    floors = np.array([_least_positive(values[:, column]) for column in range(columns.size)])
    logs = np.log(np.maximum(values, floors))
    centre, spread = logs.mean(axis=0), np.maximum(logs.std(axis=0), 1e-9)
    design = (logs - centre) / spread
    gram = design.T @ design + RIDGE * target.size * np.eye(columns.size)
    slopes = np.linalg.solve(gram, design.T @ (target - target.mean())) / spread
    intercept = float(target.mean() - centre @ slopes)
    fitted = intercept + logs @ slopes
    return VolatilityScale(
        columns=columns,
        floors=floors.astype(np.float32).astype(np.float64),
        weights=slopes,
        intercept=intercept,
        limits=(float(fitted.min()) - RANGE_SLACK, float(fitted.max()) + RANGE_SLACK),
    )


def _least_positive(values: F64) -> float:
    """A floor that keeps logarithms tame: the 0.5 % quantile of the values above zero."""
    positive = values[values > 0]
    return float(np.quantile(positive, 0.005)) if positive.size else 1e-8


__all__ = ["VOLATILITY_OUTPUTS", "VolatilityScale", "fit_volatility_scale", "volatility_columns"]
