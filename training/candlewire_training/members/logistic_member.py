"""Logistic regression of scikit-learn over standardised features."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from candlewire_training.arrays import F32, F64
from candlewire_training.errors import SettingsError
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.members.boosted_trees import shares
from candlewire_training.members.contract import FitRows, Member, MemberSettings

# Standardised values beyond this say no more: one wild feature must not decide, and no product may overflow.
LARGEST_DEVIATION = 8.0


@dataclass(kw_only=True)
class LogisticMember:
    """Median imputation, standardisation, clipping, then multinomial logistic regression."""

    settings: MemberSettings
    classes_: tuple[str, ...] = field(default=(), init=False)
    median_: F64 = field(default_factory=lambda: np.zeros(0), init=False, repr=False)
    mean_: F64 = field(default_factory=lambda: np.zeros(0), init=False, repr=False)
    spread_: F64 = field(default_factory=lambda: np.zeros(0), init=False, repr=False)
    model_: Any = field(default=None, init=False, repr=False)

    @property
    def name(self) -> str:
        """Name in the graph."""
        return self.settings.label

    @property
    def steps(self) -> int:
        """The whole fit."""
        return 1

    def fit(
        self, rows: FitRows, *, start: Member | None = None, advance: Callable[[], None] = lambda: None
    ) -> Self:
        """Fits imputation, scale and coefficients; `l2` is the penalty in units of rows."""
        if start is not None:
            raise SettingsError(
                f"{self.name} cannot continue from {start.name}; transfer is for xgboost and lightgbm"
            )
        known = np.where(np.isfinite(rows.X), rows.X, np.nan).astype(np.float64)
        empty = np.isnan(known).all(axis=0)
        known[:, empty] = 0.0
        # Exact in float32, so that graph and library start from the same numbers.
        self.median_ = _exact(np.nanmedian(known, axis=0))
        filled = np.where(np.isnan(known), self.median_, known)
        self.mean_ = _exact(filled.mean(axis=0))
        spread = filled.std(axis=0)
        self.spread_ = _exact(np.where(spread > 0, spread, 1.0))
        model = LogisticRegression(C=1.0 / max(self.settings.l2, 1e-9), max_iter=1_000)
        # Sums over threads would not be reproducible to the bit.
        with threadpool_limits(limits=1):
            model.fit(self._standard(rows.X), rows.target, sample_weight=rows.weight)
        self.model_, self.classes_ = model, rows.classes
        advance()
        return self

    def _standard(self, X: F32) -> F64:
        filled = np.where(np.isnan(X), self.median_, X.astype(np.float64))
        limit = LARGEST_DEVIATION * self.spread_
        result: F64 = np.clip(filled - self.mean_, -limit, limit) / self.spread_
        return result

    def probabilities(self, X: F32) -> F64:
        """scikit-learn's own probabilities of the standardised rows."""
        with threadpool_limits(limits=1):
            return np.asarray(self._fitted().predict_proba(self._standard(X)), dtype=np.float64)

    def export(self, graph: GraphBuilder, features: str) -> str:
        """Where, Sub, Clip, MatMul with the scale folded into the coefficients, Softmax."""
        model = self._fitted()
        coefficients, intercept = model.coef_, model.intercept_
        if len(self.classes_) == 2:
            # Log-odds of the last class against a first class at 0.
            coefficients = np.concatenate((np.zeros_like(coefficients), coefficients))
            intercept = np.concatenate((np.zeros(1), intercept))
        limit = LARGEST_DEVIATION * self.spread_
        filled = graph.add(
            "Where", graph.add("IsNaN", features), graph.floats(self.median_, (1, -1)), features
        )
        centred = graph.add("Sub", filled, graph.floats(self.mean_, (1, -1)))
        bounded = graph.add("Max", centred, graph.floats(-limit, (1, -1)))
        clipped = graph.add("Min", bounded, graph.floats(limit, (1, -1)))
        sums = graph.weighted_sums(clipped, coefficients / self.spread_)
        return graph.add("Softmax", graph.add("Add", sums, graph.floats(intercept, (1, -1))), axis=1)

    def split_points(self) -> list[tuple[int, F32]]:
        """None: a logistic curve does not jump."""
        return []

    def importances(self) -> F64:
        """Mean size of the standardised coefficients."""
        return shares(np.abs(self._fitted().coef_).mean(axis=0))

    def _fitted(self) -> Any:  # noqa: ANN401 - scikit-learn has no types
        if self.model_ is None:
            raise SettingsError(f"{self.name} is not fitted; call fit first")
        return self.model_


def _exact(values: F64) -> F64:
    return values.astype(np.float32).astype(np.float64)


__all__ = ["LARGEST_DEVIATION", "LogisticMember"]
