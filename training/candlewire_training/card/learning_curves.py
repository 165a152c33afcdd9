"""Learning curves of any member that grows tree by tree."""

from collections.abc import Iterator

import numpy as np
import xgboost as xgb

from candlewire_training.arrays import F32, F64, I32
from candlewire_training.calibration.choosing import class_log_loss
from candlewire_training.card.card_data import Curve
from candlewire_training.members.contract import Member
from candlewire_training.members.forest_member import ForestMember

POINTS = 15
# Rows that a curve is measured on at most, evenly spaced.
MOST_ROWS = 2_000


def grows(member: Member) -> bool:
    """Whether a member has rounds or trees to draw a curve over."""
    return _rounds(member) > 1


def learning_curve(member: Member, X: F32, target: I32, *, name: str) -> Curve:
    """Log loss of a member's own probabilities, of any classes, after more and more of its rounds or trees.

    Args:
        member: Fitted, and one that `grows`.
        X: Rows, shape (rows, features).
        target: Class index of each row.
        name: Of the curve.
    """
    step = max(1, -(-X.shape[0] // MOST_ROWS))
    rows, truth = np.ascontiguousarray(X[::step]), target[::step]
    ends = np.unique(np.linspace(1, _rounds(member), POINTS).astype(int)).tolist()
    return Curve(
        name=name,
        points=tuple(
            (float(end), float(class_log_loss(said, truth).mean()))
            for end, said in zip(ends, _stages(member, rows, ends), strict=True)
        ),
    )


def _rounds(member: Member) -> int:
    booster, model = getattr(member, "booster_", None), getattr(member, "model_", None)
    if isinstance(booster, xgb.Booster):
        return booster.num_boosted_rounds()
    if booster is not None:
        return int(booster.current_iteration())
    if isinstance(member, ForestMember):
        return len(member.forest_.estimators_)
    return len(getattr(model, "_predictors", ()))


def _stages(member: Member, X: F32, ends: list[int]) -> Iterator[F64]:
    booster, model = getattr(member, "booster_", None), getattr(member, "model_", None)
    if isinstance(booster, xgb.Booster):
        data = xgb.DMatrix(X, nthread=1)
        for end in ends:
            yield _classes(np.asarray(booster.predict(data, iteration_range=(0, end)), dtype=np.float64))
    elif booster is not None:
        for end in ends:
            yield _classes(np.asarray(booster.predict(X, num_iteration=end, num_threads=1), dtype=np.float64))
    elif isinstance(member, ForestMember):
        total = np.zeros((X.shape[0], len(member.classes_)))
        for number, tree in enumerate(member.forest_.estimators_, start=1):
            total += tree.predict_proba(X)
            if number in ends:
                yield total / number
    else:
        assert model is not None  # noqa: S101 - `grows` has seen it
        for number, said in enumerate(model.staged_predict_proba(X), start=1):
            if number in ends:
                yield np.asarray(said, dtype=np.float64)


def _classes(said: F64) -> F64:
    """Probabilities of all classes, from those of the last of two."""
    return np.column_stack((1.0 - said, said)) if said.ndim == 1 else said


__all__ = ["grows", "learning_curve"]
