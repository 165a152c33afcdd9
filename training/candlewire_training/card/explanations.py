"""What any model looks at, whatever its members are: explained through its predictions alone."""

from collections.abc import Callable

import numpy as np

from candlewire_training.arrays import F32, F64
from candlewire_training.members.contract import Member

# Rows that are explained, evenly spaced, and orders of the features that each is explained in.
EXPLAINED_ROWS = 40
ORDERS = 12


def sampled_contributions(
    predict: Callable[[F32], F64], X: F32, background: F32, names: tuple[str, ...], *, seed: int
) -> tuple[tuple[str, float], ...]:
    """Mean absolute SHAP value of each feature on what `predict` says, greatest first.

    A row is walked to from a background row, feature after feature in random order; each feature's mean step
    over the orders estimates its Shapley value, and the steps of an order sum to the whole difference.

    Args:
        predict: One number for each row.
        X: Rows to explain, shape (rows, features).
        background: Rows that stand for not knowing a feature.
        names: Of the features.
        seed: Of orders and background rows.

    Source: Strumbelj and Kononenko (2014), Explaining prediction models and individual predictions with
    feature contributions, Knowledge and Information Systems 41.
    """
    generator = np.random.default_rng(seed)
    features = X.shape[1]
    rows = X[np.unique(np.linspace(0, X.shape[0] - 1, min(EXPLAINED_ROWS, X.shape[0])).astype(int))]
    total = np.zeros(features)
    for row in rows:
        orders = [generator.permutation(features) for _ in range(ORDERS)]
        walks = np.repeat(background[generator.integers(0, len(background), ORDERS)], features + 1, axis=0)
        walks = walks.reshape(ORDERS, features + 1, features)
        for walk, order in zip(walks, orders, strict=True):
            for step, feature in enumerate(order, start=1):
                walk[step:, feature] = row[feature]
        said = predict(np.ascontiguousarray(walks.reshape(-1, features))).reshape(ORDERS, features + 1)
        steps = np.diff(said, axis=1)
        mean = np.zeros(features)
        for order, values in zip(orders, steps, strict=True):
            mean[order] += values / ORDERS
        total += np.abs(mean)
    total /= len(rows)
    best = np.argsort(-total, kind="stable")
    return tuple((names[column], float(total[column])) for column in best.tolist())


def pooled_importances(
    members: tuple[Member, ...], weights: tuple[float, ...], names: tuple[str, ...]
) -> tuple[tuple[str, float], ...]:
    """Share of each feature in what the members learnt, by their weights, greatest first."""
    shares = np.sum(
        [weight * member.importances() for member, weight in zip(members, weights, strict=True)], axis=0
    )
    total = float(shares.sum())
    if total <= 0.0:
        return ()
    best = np.argsort(-shares, kind="stable")
    return tuple((names[column], float(shares[column]) / total) for column in best.tolist())


__all__ = ["pooled_importances", "sampled_contributions"]
