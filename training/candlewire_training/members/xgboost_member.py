"""Gradient-boosted trees of XGBoost."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import xgboost as xgb

from candlewire_training.arrays import F32, F64
from candlewire_training.errors import SettingsError
from candlewire_training.export.tree_ensemble import TreeEnsemble, xgboost_ensembles
from candlewire_training.members.boosted_trees import BoostedTrees, shares
from candlewire_training.members.contract import FitRows, Member


class RoundProgress(xgb.callback.TrainingCallback):
    """Calls back after every boosting round."""

    def __init__(self, advance: Callable[[], None]) -> None:
        self._advance = advance

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: object) -> bool:  # noqa: ARG002 - XGBoost's signature
        """Advances; never stops the training."""
        self._advance()
        return False


@dataclass(kw_only=True)
class XGBoostMember(BoostedTrees):
    """XGBoost: shallow, slow-learning, subsampled, as little signal and much noise ask for."""

    booster_: xgb.Booster | None = field(default=None, init=False, repr=False)

    def fit(
        self, rows: FitRows, *, start: Member | None = None, advance: Callable[[], None] = lambda: None
    ) -> Self:
        """Fits the booster; with validation rows it keeps the rounds up to the best one."""
        first = self._continued(start)
        validation = []
        callbacks: list[xgb.callback.TrainingCallback] = [RoundProgress(advance)]
        if rows.validation is not None:
            validation = [(self._matrix(rows.validation), "validation")]
            # The booster that comes back ends at its best round, so that what is exported is what is meant.
            callbacks.append(xgb.callback.EarlyStopping(rounds=self.settings.patience, save_best=True))
        self.booster_ = xgb.train(
            self._parameters(rows),
            self._matrix(rows),
            num_boost_round=self.settings.trees,
            evals=validation,
            callbacks=callbacks,
            verbose_eval=False,
            xgb_model=first.fitted if isinstance(first, XGBoostMember) else None,
        )
        self.classes_, self.features_ = rows.classes, int(rows.X.shape[1])
        return self

    def _matrix(self, rows: FitRows) -> xgb.DMatrix:
        plain = bool((rows.weight == 1.0).all())
        return xgb.DMatrix(
            rows.X,
            label=rows.target,
            weight=None if plain else rows.weight,
            nthread=self.settings.threads,
        )

    def _parameters(self, rows: FitRows) -> dict[str, Any]:
        settings, classes = self.settings, len(rows.classes)
        # Least sum of second derivatives in a leaf, from the share of the rows it must hold: p (1 - p) a row
        # at even odds, twice that for softmax.
        curvature = 0.25 if classes == 2 else 2.0 * (1.0 / classes) * (1.0 - 1.0 / classes)
        parameters: dict[str, Any] = {
            "max_depth": settings.depth,
            "eta": settings.learning_rate,
            "subsample": settings.row_share,
            "colsample_bytree": settings.boosted_feature_share,
            "min_child_weight": max(1.0, curvature * float(rows.weight.sum()) * settings.leaf_share),
            "lambda": settings.l2,
            "max_bin": 64,
            "tree_method": "hist",
            "seed": settings.seed,
            "nthread": settings.threads,
        }
        if classes == 2:
            # A fixed start: the margin is then the plain sum of the leaves.
            return parameters | {"objective": "binary:logistic", "base_score": 0.5}
        parameters |= {"objective": "multi:softprob", "num_class": classes, "base_score": 0.0}
        if settings.multi_output:
            parameters["multi_strategy"] = "multi_output_tree"
        return parameters

    def raw_scores(self, X: F32) -> F64:
        """XGBoost's own raw scores."""
        data = xgb.DMatrix(X, nthread=self.settings.threads)
        raw = np.asarray(self.fitted.predict(data, output_margin=True), dtype=np.float64)
        return raw.reshape(X.shape[0], -1)

    @property
    def rounds(self) -> int:
        """Rounds of the booster."""
        return self.fitted.num_boosted_rounds()

    def ensembles(self) -> tuple[TreeEnsemble, ...]:
        """The trees."""
        return xgboost_ensembles(self.fitted)

    def importances(self) -> F64:
        """Total gain of each feature's splits."""
        gains = np.zeros(self.features_)
        # Trees with a vector at each leaf keep no gains that XGBoost would sum: count their splits.
        for kind in ("total_gain", "weight"):
            try:
                scores = self.fitted.get_score(importance_type=kind)
            except xgb.core.XGBoostError:
                continue
            for feature, gain in scores.items():
                gains[int(feature[1:])] = float(np.sum(gain))
            break
        return shares(gains)

    @property
    def fitted(self) -> xgb.Booster:
        """The booster.

        Raises:
            SettingsError: `fit` was not called.
        """
        if self.booster_ is None:
            raise SettingsError(f"{self.name} is not fitted; call fit first")
        return self.booster_


__all__ = ["RoundProgress", "XGBoostMember"]
