"""Dissimilarity index: distance to the nearest cluster of training rows; 1 is the edge of the training data.

An outlier flag, not a predictor of error. The idea is the dissimilarity index of Meyer and Pebesma (2021),
Predicting into unknown space?, with cluster centres in place of every training row.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from candlewire_training.arrays import F32, F64
from candlewire_training.export.graph_builder import GraphBuilder

CENTRES = 12
# Share of training rows inside the edge.
EDGE_QUANTILE = 0.99
# Rows that are in memory in double precision at a time.
ROWS_AT_ONCE = 16_384
# Standardised values beyond this say no more: keeps squares finite for any float32 input.
LARGEST_DEVIATION = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Dissimilarity:
    """The fitted index.

    Attributes:
        mean: Mean of each feature, shape (features,).
        spread: Standard deviation of each feature.
        centres: Standardised cluster centres, shape (centres, features).
        edge: Distance that counts as 1.
    """

    mean: F64
    spread: F64
    centres: F64
    edge: float

    def apply(self, X: F32) -> F64:
        """Index of each row, shape (rows,), 0 or above."""
        return self._distance(X) / self.edge

    def _distance(self, X: F32) -> F64:
        nearest = np.full(X.shape[0], np.inf)
        for start in range(0, X.shape[0], ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            standard = _standardise(X[rows], self.mean, self.spread)
            for centre in self.centres:
                nearest[rows] = np.minimum(nearest[rows], np.sum((standard - centre) ** 2, axis=1))
        distance: F64 = np.sqrt(nearest)
        return distance

    def export(self, graph: GraphBuilder, features: str) -> str:
        """Adds the index; the result has shape [N, 1]."""
        # Everything is divided by the edge beforehand: fewer nodes.
        spread = self.spread * self.edge
        centred = graph.add("Sub", features, graph.floats(self.mean, (1, -1)))
        scaled = graph.add("Mul", centred, graph.floats(1.0 / spread, (1, -1)))
        limit = LARGEST_DEVIATION / self.edge
        standard = graph.add("Clip", scaled, graph.floats(-limit, ()), graph.floats(limit, ()))
        rows = graph.add("Unsqueeze", standard, graph.integers([1]))
        centres = graph.floats(self.centres / self.edge, (1, *self.centres.shape))
        differences = graph.add("Sub", rows, centres)
        distances = graph.add("ReduceSumSquare", differences, graph.integers([2]), keepdims=0)
        return graph.add("Sqrt", graph.add("ReduceMin", distances, graph.integers([1]), keepdims=1))


def _standardise(X: F32, mean: F64, spread: F64) -> F64:
    return np.clip((X.astype(np.float64) - mean) / spread, -LARGEST_DEVIATION, LARGEST_DEVIATION)


def fit_dissimilarity(X: F32, *, seed: int, centres: int = CENTRES, most_rows: int = 20_000) -> Dissimilarity:
    """Fits centres and edge on train rows.

    Args:
        X: Features of train rows, shape (rows, features).
        seed: Seed of the first centres.
        centres: Cluster centres.
        most_rows: Rows that the centres are fitted on, evenly spaced; the edge uses all.
    """
    # Column by column: a copy of all rows in double precision would be the largest thing in memory.
    mean, spread = (
        np.array([reduce(X[:, column], dtype=np.float64) for column in range(X.shape[1])])
        for reduce in (np.mean, np.std)
    )
    spread = np.where(spread > 0, spread, 1.0)
    thinned = X[:: max(1, X.shape[0] // most_rows)]
    # Sums over threads would not be reproducible to the bit.
    with threadpool_limits(limits=1):
        clusters = KMeans(
            n_clusters=min(centres, thinned.shape[0]), n_init=1, max_iter=50, random_state=seed
        ).fit(np.clip(_standardise(thinned, mean, spread), -8.0, 8.0))
    index = Dissimilarity(
        mean=mean, spread=spread, centres=np.asarray(clusters.cluster_centers_, dtype=np.float64), edge=1.0
    )
    edge = float(np.quantile(index.apply(X), EDGE_QUANTILE))
    return Dissimilarity(mean=mean, spread=spread, centres=index.centres, edge=max(edge, 1e-6))


__all__ = ["CENTRES", "EDGE_QUANTILE", "Dissimilarity", "fit_dissimilarity"]
