"""Weights of the members from predictions that none of them was fitted on.

Ridge stacking: least squares of the classes on the members' probabilities, shrunk towards equal weights, with
weights of 0 or above that sum to 1. Sources: Breiman (1996), Stacked regressions; Hoerl and Kennard (1970),
Ridge regression; solved as a non-negative least-squares problem, Lawson and Hanson (1974).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from candlewire_training.arrays import F64, I32, I64
from candlewire_training.ensemble.contract import Ensemble, equal_weights
from candlewire_training.errors import SettingsError

# Shrinkage towards equal weights, in units of the members' mean squared probability.
RIDGE = 1e-3
# A member below this weight is left out: it would cost microseconds and say nothing.
LEAST_WEIGHT = 0.01
# How strictly the weights must sum to 1 inside the least-squares problem.
SUM_STRENGTH = 1e3
# Contiguous groups of time blocks of a cross-fit.
GROUPS = 5


def fit_weights(oof: F64, target: I32, weight: F64, *, ridge: float = RIDGE) -> F64:
    """Stacking weights, shape (members,), 0 or above, summing to 1.

    Args:
        oof: Out-of-fold probabilities, shape (rows, members, classes).
        target: Class of each row, shape (rows,).
        weight: Weight of each row.
        ridge: Shrinkage towards equal weights; 0 is plain least squares.

    Raises:
        SettingsError: The shapes do not fit one another, or there are no rows.
    """
    if oof.ndim != 3 or oof.shape[0] != target.size or weight.shape != target.shape or target.size == 0:
        raise SettingsError(
            f"stacking: out-of-fold predictions of shape {oof.shape} for {target.size} targets and "
            f"{weight.size} weights; give (rows, members, classes) and one of each a row"
        )
    return _solve(_moments(oof, target, weight), ridge)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moments:
    """Sums that the least-squares problem needs; those of several groups of rows add up."""

    squares: F64
    products: F64
    total: float

    def minus(self, other: "_Moments") -> "_Moments":
        return _Moments(
            squares=self.squares - other.squares,
            products=self.products - other.products,
            total=self.total - other.total,
        )


def _moments(oof: F64, target: I32, weight: F64) -> _Moments:
    happened = np.take_along_axis(oof, target[:, None, None].astype(np.int64), axis=2)[:, :, 0]
    weighted = oof * weight[:, None, None]
    return _Moments(
        squares=np.tensordot(weighted, oof, axes=([0, 2], [0, 2])),
        products=happened.T @ weight,
        total=float(weight.sum()),
    )


def _solve(moments: _Moments, ridge: float) -> F64:
    members = moments.products.size
    squares, products = moments.squares / moments.total, moments.products / moments.total
    penalty = ridge * float(np.trace(squares)) / members
    # |A w - b|^2 with A'A the regularised squares; a heavy row makes the weights sum to 1.
    values, vectors = np.linalg.eigh(squares + penalty * np.eye(members))
    roots = np.sqrt(np.maximum(values, 1e-15))
    left = roots[:, None] * vectors.T
    right = (vectors.T @ (products + penalty / members)) / roots
    strength = SUM_STRENGTH * float(np.sqrt(np.trace(squares)))
    solution, _ = nnls(np.concatenate((left, np.full((1, members), strength))), np.append(right, strength))
    solution[solution < LEAST_WEIGHT] = 0.0
    if not solution.any():
        return np.full(members, 1.0 / members)
    result: F64 = solution / solution.sum()
    return result


def cross_fitted_pool(
    oof: F64, target: I32, weight: F64, blocks: I64, *, ridge: float = RIDGE, groups: int = GROUPS
) -> F64:
    """Pooled probabilities (rows, classes), each row's weights fitted on the other groups of time blocks.

    Args:
        oof: Out-of-fold probabilities, shape (rows, members, classes).
        target: Class of each row.
        weight: Weight of each row.
        blocks: Time block of each row; contiguous blocks form a group.
        ridge: See `fit_weights`.
        groups: Groups.
    """
    group = contiguous_groups(blocks, groups)
    whole = _moments(oof, target, weight)
    pooled = np.empty((oof.shape[0], oof.shape[2]))
    for number in np.unique(group):
        rows = group == number
        part = _moments(oof[rows], target[rows], weight[rows])
        others = whole.minus(part)
        weights = _solve(others if others.total > 0 else whole, ridge)
        pooled[rows] = np.einsum("rmc,m->rc", oof[rows], weights)
    return pooled


def contiguous_groups(blocks: I64, groups: int) -> I64:
    """Group of each row: runs of consecutive blocks of about equal number."""
    _, position = np.unique(blocks, return_inverse=True)
    count = int(position.max()) + 1 if position.size else 0
    result: I64 = (position * min(groups, max(count, 1)) // max(count, 1)).astype(np.int64)
    return result


def make_ensemble(
    kind: str,
    members: int,
    *,
    oof: F64 | None = None,
    target: I32 | None = None,
    weight: F64 | None = None,
    weights: tuple[float, ...] | None = None,
) -> Ensemble:
    """An ensemble by name.

    Args:
        kind: "stack" (ridge stacking), "fixed" (`weights`), "vote" or "soft_vote" (equal weights), or
            "hard_vote" (equal weights of the most probable classes).
        members: Number of members.
        oof: Out-of-fold probabilities, shape (rows, members, classes); "stack" needs them.
        target: Class of each of those rows.
        weight: Weight of each of those rows.
        weights: What "fixed" takes, scaled to sum to 1.

    Raises:
        SettingsError: The kind is unknown, or lacks what it needs.
    """
    if kind == "stack":
        if oof is None or target is None or weight is None:
            raise SettingsError("ensemble stack needs out-of-fold predictions; use --folds 2 or more")
        return Ensemble(weights=tuple(fit_weights(oof, target, weight).tolist()))
    if kind == "fixed":
        if weights is None or len(weights) != members or sum(weights) <= 0 or min(weights) < 0:
            raise SettingsError(
                f"ensemble fixed has weights {weights} for {members} members; give one for each, 0 or above"
            )
        total = sum(weights)
        return Ensemble(weights=tuple(weight / total for weight in weights))
    if kind in {"vote", "soft_vote"}:
        return Ensemble(weights=equal_weights(members))
    if kind == "hard_vote":
        return Ensemble(weights=equal_weights(members), rule="vote")
    raise SettingsError(f"ensemble {kind!r} is unknown; use one of stack, fixed, vote, soft_vote, hard_vote")


__all__ = ["LEAST_WEIGHT", "RIDGE", "contiguous_groups", "cross_fitted_pool", "fit_weights", "make_ensemble"]
