"""Figures of the card that need rows: accuracy by group, confusion, rank correlation, contributions."""

import itertools
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl
import xgboost as xgb

from candlewire_training.arrays import F32, F64, I32, I64
from candlewire_training.card.card_data import ReliabilityBin, Share
from candlewire_training.validation.block_bootstrap import Estimate, block_estimate

# A group with fewer rows says nothing that its interval would not swallow.
LEAST_GROUP_ROWS = 30
# Fewer blocks than this have no spread to speak of: their interval would look certain.
LEAST_GROUP_BLOCKS = 3
# Rows that contributions and curves are measured on, evenly spaced.
MOST_ROWS = 2_000


def shares_of_groups(
    happened: F64, groups: npt.NDArray[np.int64], names: Iterable[str], blocks: I64, *, seed: int
) -> tuple[Share, ...]:
    """Share of each group, in the order of `names`; groups with too few rows or blocks are left out.

    Args:
        happened: 1 or 0 a row.
        groups: Index into `names` a row.
        names: Names of the groups.
        blocks: Block of each row.
        seed: Seed of the bootstrap.
    """
    result = []
    for index, name in enumerate(names):
        mask = groups == index
        if mask.sum() >= LEAST_GROUP_ROWS and np.unique(blocks[mask]).size >= LEAST_GROUP_BLOCKS:
            share = block_estimate(happened[mask], blocks[mask], seed=seed)
            result.append(Share(name=name, rows=int(mask.sum()), share=share))
    return tuple(result)


def by_confidence(
    probabilities: F64, target: I32, blocks: I64, *, seed: int, groups: int = 5
) -> tuple[Share, ...]:
    """Accuracy of the likeliest class by how likely it is, in groups of about equal size."""
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == target).astype(np.float64)
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, groups + 1)))
    if edges.size < 2:
        edges = np.array([edges[0], np.nextafter(edges[0], 2.0)])
    index = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, edges.size - 2)
    names = [f"{low:.3f}-{high:.3f}" for low, high in itertools.pairwise(edges)]
    return shares_of_groups(right, index.astype(np.int64), names, blocks, seed=seed)


def by_time(
    right: F64, decision_time_ns: I64, blocks: I64, *, seed: int, most: int = 24
) -> tuple[Share, ...]:
    """Shares by calendar quarter, or by year when there are many."""
    months = decision_time_ns.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    quarters = months // 3
    if np.unique(quarters).size <= most:
        numbers, index = np.unique(quarters, return_inverse=True)
        names = [f"{1970 + number // 4} Q{number % 4 + 1}" for number in numbers.tolist()]
    else:
        numbers, index = np.unique(months // 12, return_inverse=True)
        names = [str(1970 + number) for number in numbers.tolist()]
    return shares_of_groups(right, index.astype(np.int64), names, blocks, seed=seed)


def reliability_bins(
    probability: F64, happened: I32, blocks: I64, *, seed: int, bins: int = 8
) -> tuple[ReliabilityBin, ...]:
    """Bins of about equal size, from the least to the greatest forecast."""
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1))[1:-1])
    index = np.searchsorted(edges, probability, side="right")
    result = []
    for number in range(edges.size + 1):
        mask = index == number
        if mask.sum() >= LEAST_GROUP_ROWS:
            share = block_estimate(happened[mask].astype(np.float64), blocks[mask], seed=seed)
            result.append(
                ReliabilityBin(rows=int(mask.sum()), forecast=float(probability[mask].mean()), happened=share)
            )
    return tuple(result)


def confusion_matrix(probabilities: F64, target: I32) -> tuple[tuple[int, ...], ...]:
    """Rows by what happened (outer) and the likeliest class (inner)."""
    classes = probabilities.shape[1]
    codes = target.astype(np.int64) * classes + probabilities.argmax(axis=1)
    counts = np.bincount(codes, minlength=classes * classes).reshape(classes, classes)
    return tuple(tuple(row) for row in counts.tolist())


def information_coefficient(forecast: F64, forward_return: F64, blocks: I64, *, seed: int) -> Estimate:
    """Spearman's rank correlation over all rows, with a block-bootstrap interval of its mean product."""
    first, second = (pl.Series(values).rank().to_numpy() for values in (forecast, forward_return))
    spread = first.std() * second.std()
    if spread == 0.0:
        return Estimate(value=0.0, low=0.0, high=0.0)
    products = (first - first.mean()) * (second - second.mean()) / spread
    return block_estimate(products, blocks, seed=seed)


def contributions(booster: xgb.Booster, X: F32, names: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    """Mean absolute SHAP value of each feature on the margin, greatest first.

    Source: Lundberg et al. (2020), From local explanations to global understanding with explainable AI for
    trees (exact for trees, computed by XGBoost).
    """
    rows = X[:: max(1, X.shape[0] // MOST_ROWS)]
    try:
        values = np.abs(np.asarray(booster.predict(xgb.DMatrix(rows, nthread=1), pred_contribs=True)))
    except xgb.core.XGBoostError:
        # XGBoost explains no trees whose leaves are vectors: the section is left out.
        return ()
    # One margin, or one for each class; the last column is the bias.
    means = values.reshape(-1, len(names) + 1)[:, :-1].mean(axis=0)
    order = np.argsort(-means)
    return tuple((names[column], float(means[column])) for column in order.tolist())


__all__ = [
    "by_confidence",
    "by_time",
    "confusion_matrix",
    "contributions",
    "information_coefficient",
    "reliability_bins",
    "shares_of_groups",
]
