"""Rows on which graph and native pipeline must agree: real ones, ones at tree thresholds, and edges."""

import numpy as np

from candlewire_training.arrays import F32

MINIMUM_ROWS = 10_000


def parity_rows(X: F32, split_points: list[tuple[int, F32]], *, seed: int, rows: int = MINIMUM_ROWS) -> F32:
    """At least `rows` rows: a third at thresholds and their float32 neighbours, the rest real, and edges.

    Args:
        X: Real rows, shape (rows, features).
        split_points: Features and thresholds at which trees jump.
        seed: Seed of the choice.
        rows: Least rows.
    """
    generator = np.random.default_rng(seed)
    at_thresholds = _threshold_rows(X, split_points, generator, most=max(rows // 3, 3))
    edges = _edge_rows(X)
    wanted = max(rows - at_thresholds.shape[0] - edges.shape[0], 1)
    if X.shape[0] >= wanted:
        real = X[np.sort(generator.choice(X.shape[0], size=wanted, replace=False))]
    else:
        # Too few real rows: the rest mixes the values of real rows, column by column.
        mixed = np.stack(
            [generator.choice(X[:, column], size=wanted - X.shape[0]) for column in range(X.shape[1])], axis=1
        )
        real = np.concatenate((X, mixed))
    return np.ascontiguousarray(np.concatenate((real, at_thresholds, edges)), dtype=np.float32)


def _threshold_rows(
    X: F32, split_points: list[tuple[int, F32]], generator: np.random.Generator, *, most: int
) -> F32:
    pairs = [(feature, threshold) for feature, thresholds in split_points for threshold in thresholds]
    if not pairs:
        return X[:0]
    if len(pairs) * 3 > most:
        chosen = np.sort(generator.choice(len(pairs), size=most // 3, replace=False))
        pairs = [pairs[index] for index in chosen]
    base = X[generator.integers(0, X.shape[0], size=3 * len(pairs))].copy()
    infinity = np.float32(np.inf)
    for number, (feature, threshold) in enumerate(pairs):
        neighbours = (np.nextafter(threshold, -infinity), threshold, np.nextafter(threshold, infinity))
        for offset, value in enumerate(neighbours):
            base[3 * number + offset, feature] = value
    return base


def _edge_rows(X: F32) -> F32:
    """Least, greatest, zero, tiny and huge values, all columns together and one column at a time."""
    typical = np.median(X, axis=0).astype(np.float32)
    low, high = X.min(axis=0), X.max(axis=0)
    tiny = np.full_like(typical, np.float32(1e-40))
    huge = np.full_like(typical, np.float32(3e38))
    zero = np.zeros_like(typical)
    whole = [low, high, zero, -zero, tiny, -tiny, huge, -huge, typical]
    rows = []
    for column in range(X.shape[1]):
        for extreme in (low, high, zero, huge, -huge):
            row = typical.copy()
            row[column] = extreme[column]
            rows.append(row)
    return np.stack([*whole, *rows])


__all__ = ["MINIMUM_ROWS", "parity_rows"]
