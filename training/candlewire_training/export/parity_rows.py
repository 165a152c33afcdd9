"""Rows on which graph and native pipeline must agree: real ones, ones at tree thresholds, and edges."""

from collections.abc import Callable

import numpy as np

from candlewire_training.arrays import F32, F64

MINIMUM_ROWS = 100_000
# Pairs of rows brought together at each decision threshold, and how often each pair's distance is halved.
PAIRS = 64
HALVINGS = 30


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


def rows_beside_decisions(
    up: Callable[[F32], F64], X: F32, thresholds: tuple[float, ...], *, seed: int
) -> F32:
    """Rows on both sides of each threshold on P(last class), as close together as float32 features allow.

    Pairs of rows with a decision each way are brought together by halving the way between them. A threshold
    that no row reaches adds none; nor does one that every row reaches.

    Args:
        up: Native P(last class) of rows.
        X: Real rows, shape (rows, features).
        thresholds: Thresholds at which a decision changes.
        seed: Seed of the choice of pairs.
    """
    generator = np.random.default_rng(seed)
    sample = X[np.sort(generator.choice(X.shape[0], size=min(X.shape[0], 4_000), replace=False))]
    said = up(sample)
    lows, highs, levels = [], [], []
    for threshold in (*thresholds, *np.quantile(said, (0.1, 0.5, 0.9))):
        above = np.flatnonzero(said >= threshold)
        below = np.flatnonzero(said < threshold)
        if above.size and below.size:
            highs.append(sample[generator.choice(above, PAIRS)])
            lows.append(sample[generator.choice(below, PAIRS)])
            levels.append(np.full(PAIRS, threshold))
    if not lows:
        return X[:0]
    low, high, level = np.concatenate(lows), np.concatenate(highs), np.concatenate(levels)
    for _ in range(HALVINGS):
        middle = ((low.astype(np.float64) + high) / 2.0).astype(np.float32)
        reached = (up(middle) >= level)[:, None]
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return np.ascontiguousarray(np.concatenate((low, high)), dtype=np.float32)


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


__all__ = ["MINIMUM_ROWS", "parity_rows", "rows_beside_decisions"]
