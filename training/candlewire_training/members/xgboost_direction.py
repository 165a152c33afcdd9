"""Gradient-boosted trees of XGBoost for direction."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import xgboost as xgb

from candlewire_training.arrays import F32, F64, I32
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.export.tree_ensemble import TreeEnsemble, xgboost_trees


class RoundProgress(xgb.callback.TrainingCallback):
    """Calls back after every boosting round."""

    def __init__(self, advance: Callable[[], None]) -> None:
        self._advance = advance

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: object) -> bool:  # noqa: ARG002 - XGBoost's signature
        """Advances; never stops the training."""
        self._advance()
        return False


@dataclass(kw_only=True)
class XGBoostDirection:
    """Binary XGBoost: shallow, slow-learning, subsampled, as little signal and much noise ask for.

    Attributes:
        trees: Boosting rounds.
        depth: Levels of each tree; the latency of the graph grows with it.
        learning_rate: Shrinkage of each round.
        seed: Seed of the row and column samples.
        threads: Threads of the fit; the trees do not depend on it.
    """

    trees: int = 300
    depth: int = 3
    learning_rate: float = 0.02
    seed: int = 7
    threads: int = 1
    name: str = "xgboost"
    booster_: xgb.Booster | None = field(default=None, init=False, repr=False)

    @property
    def steps(self) -> int:
        """Boosting rounds."""
        return self.trees

    def fit(self, X: F32, up: I32, *, advance: Callable[[], None] = lambda: None) -> Self:
        """Fits the booster."""
        rows = max(X.shape[0], 1)
        parameters = {
            "objective": "binary:logistic",
            # A fixed start: the margin is then the plain sum of the leaves.
            "base_score": 0.5,
            "max_depth": self.depth,
            "eta": self.learning_rate,
            "subsample": 0.5,
            "colsample_bytree": 0.5,
            # A leaf of a hundredth of the rows can still be a real effect, a smaller one hardly.
            "min_child_weight": max(1.0, 0.25 * rows / 100),
            "lambda": 10.0,
            "max_bin": 64,
            "tree_method": "hist",
            "seed": self.seed,
            "nthread": self.threads,
        }
        data = xgb.DMatrix(X, label=up, nthread=self.threads)
        self.booster_ = xgb.train(
            parameters,
            data,
            num_boost_round=self.trees,
            callbacks=[RoundProgress(advance)],
            verbose_eval=False,
        )
        return self

    def margin(self, X: F32) -> F64:
        """XGBoost's own raw score."""
        booster = self._fitted()
        data = xgb.DMatrix(X, nthread=self.threads)
        return np.asarray(booster.predict(data, output_margin=True), dtype=np.float64)

    def export(self, graph: GraphBuilder, features: str) -> str:
        """One TreeEnsembleRegressor."""
        return self.ensemble().export(graph, features)

    def split_points(self) -> list[tuple[int, F32]]:
        """Thresholds of all trees."""
        return self.ensemble().split_points()

    def ensemble(self) -> TreeEnsemble:
        """The trees."""
        return xgboost_trees(self._fitted(), base=0.0)

    def _fitted(self) -> xgb.Booster:
        if self.booster_ is None:
            raise RuntimeError("XGBoostDirection is not fitted; call fit first")
        return self.booster_


__all__ = ["RoundProgress", "XGBoostDirection"]
