"""The volatility scale: how far the price may move over the horizon, foretold from the row's own features.

A pooled log-linear model of forward variance: heterogeneous horizons of range variance, an exponentially
weighted one, the last falls and, intraday, the hour and the weekday. The band's width is proportional to it,
so the band breathes. Without any volatility feature the scale is constant.

Source: Corsi (2009), A Simple Approximate Long-Memory Model of Realized Volatility, in logarithms.
"""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F32, F64, I32
from candlewire_training.bands.band_inputs import VolatilityColumns
from candlewire_training.export.graph_builder import GraphBuilder

RIDGE = 1e-4
# Beyond this many times the training range the scale no longer grows. A crash worse than any in training must
# widen the band; only what is no price move at all may not.
RANGE_SLACK = float(np.log(10.0))
# Variances below this are taken as this, so that a logarithm stays within float32.
LEAST_VARIANCE = 1e-30


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilityScale:
    """The fitted scale: exp(intercept + weights times terms).

    The terms are the logarithms of `variances`, the columns `linear`, and the products of their `pairs`.

    Attributes:
        variances: Columns whose logarithm is a term.
        floors: Least value of each before its logarithm.
        linear: Columns that are terms as they are.
        bounds: Least and greatest value of each, shape (2, linear); values beyond are taken as these.
        pairs: Index pairs into `linear` whose products are terms, shape (pairs, 2).
        weights: Weight of each term, shape (terms,).
        intercept: Constant.
        limits: Least and greatest logarithm of the scale.
    """

    variances: I32
    floors: F64
    linear: I32
    bounds: F64
    pairs: I32
    weights: F64
    intercept: float
    limits: tuple[float, float]

    @property
    def columns(self) -> I32:
        """Every column that the scale reads."""
        return np.concatenate((self.variances, self.linear)).astype(np.int32)

    def apply(self, X: F32) -> F64:
        """Scale of the forward return over the horizon, shape (rows,), above zero."""
        fitted = self.intercept + self._terms(X) @ self.weights
        result: F64 = np.exp(np.clip(fitted, *self.limits))
        return result

    def _terms(self, X: F32) -> F64:
        logs = np.log(np.maximum(X[:, self.variances].astype(np.float64), self.floors))
        linear = np.clip(X[:, self.linear].astype(np.float64), *self.bounds)
        products = linear[:, self.pairs[:, 0]] * linear[:, self.pairs[:, 1]]
        return np.concatenate((logs, linear, products), axis=1)

    def export(self, graph: GraphBuilder, features: str) -> str:
        """Adds the scale; the result has shape [N, 1]."""
        if self.weights.size == 0:
            zero = graph.add("Mul", graph.columns(features, 0, 1), graph.floats([0.0]))
            return graph.add("Add", zero, graph.floats([np.exp(self.intercept)]))
        parts = []
        if self.variances.size:
            chosen = graph.add("Gather", features, graph.integers(self.variances), axis=1)
            floored = graph.add("Max", chosen, graph.floats(self.floors, (1, -1)))
            # ONNX Runtime's Log gives other bits at the tail of a vector; a log-sum over one element does
            # not.
            column = graph.add("Unsqueeze", floored, graph.integers([2]))
            parts.append(graph.add("ReduceLogSum", column, graph.integers([2]), keepdims=0))
        if self.linear.size:
            chosen = graph.add("Gather", features, graph.integers(self.linear), axis=1)
            least, greatest = (graph.floats(bound, (1, -1)) for bound in self.bounds)
            linear = graph.add("Min", graph.add("Max", chosen, least), greatest)
            parts.append(linear)
            if self.pairs.size:
                sides = [
                    graph.add("Gather", linear, graph.integers(self.pairs[:, side]), axis=1)
                    for side in (0, 1)
                ]
                parts.append(graph.add("Mul", *sides))
        terms = parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)
        total = graph.weighted_sums(terms, self.weights)
        fitted = graph.add("Add", total, graph.floats([self.intercept]))
        limited = graph.add(
            "Clip", fitted, graph.floats(self.limits[0], ()), graph.floats(self.limits[1], ())
        )
        return graph.add("Exp", limited)


def fit_volatility_scale(
    X: F32, forward_variance: F64, *, columns: VolatilityColumns, horizon: int
) -> VolatilityScale:
    """Least squares in logarithms.

    Args:
        X: Features, shape (rows, features).
        forward_variance: Mean variance a bar over the horizon, shape (rows,).
        columns: What foretells volatility; variances that are rarely above zero are left out.
        horizon: Bars ahead; the scale grows with its square root.
    """
    variances = np.array([c for c in columns.variances if np.median(X[:, c]) > 0], dtype=np.int32)
    linear = columns.linear
    target = 0.5 * np.log(np.maximum(forward_variance * horizon, _least_positive(forward_variance * horizon)))
    values = X[:, variances].astype(np.float64)
    floors = [max(_least_positive(values[:, column]), LEAST_VARIANCE) for column in range(variances.size)]
    bounds = X[:, linear].min(axis=0), X[:, linear].max(axis=0)
    unfitted = VolatilityScale(
        variances=variances,
        floors=np.array(floors, dtype=np.float32).astype(np.float64),
        linear=linear,
        bounds=np.array(bounds, dtype=np.float32).astype(np.float64),
        pairs=columns.pairs,
        weights=np.zeros(0),
        intercept=float(target.mean()),
        limits=(float(target.min()), float(target.max())),
    )
    terms = unfitted._terms(X)  # noqa: SLF001 - the same class, before its weights
    if terms.shape[1] == 0:
        return unfitted
    centre, spread = terms.mean(axis=0), np.maximum(terms.std(axis=0), 1e-9)
    design = (terms - centre) / spread
    gram = design.T @ design + RIDGE * target.size * np.eye(terms.shape[1])
    weights = np.linalg.solve(gram, design.T @ (target - target.mean())) / spread
    return _with_weights(unfitted, terms, weights, float(target.mean() - centre @ weights))


def deviation_scale(X: F32, *, columns: VolatilityColumns, horizon: int) -> VolatilityScale | None:
    """The 20-bar standard deviation as a scale, of which only the range is fitted; None where X lacks it."""
    if columns.deviation is None:
        return None
    medium, ratio = (np.array([column], dtype=np.int32) for column in columns.deviation)
    values = X[:, medium].astype(np.float64)
    unweighted = VolatilityScale(
        variances=medium,
        floors=np.array([max(_least_positive(values), LEAST_VARIANCE)], np.float32).astype(np.float64),
        linear=ratio,
        bounds=np.array([X[:, ratio].min(axis=0), X[:, ratio].max(axis=0)], dtype=np.float64),
        pairs=np.zeros((0, 2), dtype=np.int32),
        weights=np.zeros(0),
        intercept=0.0,
        limits=(0.0, 0.0),
    )
    terms = unweighted._terms(X)  # noqa: SLF001 - the same class, before its weights
    return _with_weights(unweighted, terms, np.array([0.5, 0.5]), 0.5 * float(np.log(horizon)))


def constant_scale() -> VolatilityScale:
    """A scale of one, for bands that take their width from elsewhere."""
    none = np.zeros(0, dtype=np.int32)
    return VolatilityScale(
        variances=none,
        floors=np.zeros(0),
        linear=none,
        bounds=np.zeros((2, 0)),
        pairs=np.zeros((0, 2), dtype=np.int32),
        weights=np.zeros(0),
        intercept=0.0,
        limits=(0.0, 0.0),
    )


def _with_weights(scale: VolatilityScale, terms: F64, weights: F64, intercept: float) -> VolatilityScale:
    fitted = intercept + terms @ weights
    return VolatilityScale(
        variances=scale.variances,
        floors=scale.floors,
        linear=scale.linear,
        bounds=scale.bounds,
        pairs=scale.pairs,
        weights=weights,
        intercept=intercept,
        limits=(float(fitted.min()) - RANGE_SLACK, float(fitted.max()) + RANGE_SLACK),
    )


def _least_positive(values: F64) -> float:
    """A floor that keeps logarithms tame: the 0.5 % quantile of the values above zero."""
    positive = values[values > 0]
    return float(np.quantile(positive, 0.005)) if positive.size else 1e-8


__all__ = ["VolatilityScale", "constant_scale", "deviation_scale", "fit_volatility_scale"]
