"""Gradient boosting of scikit-learn, over histograms."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from candlewire_training.arrays import F32, F64
from candlewire_training.errors import SettingsError
from candlewire_training.export.tree_ensemble import Tree, TreeEnsemble, round_down
from candlewire_training.members.boosted_trees import BoostedTrees, shares
from candlewire_training.members.contract import FitRows, Member


@dataclass(kw_only=True)
class HistogramBoostingMember(BoostedTrees):
    """HistGradientBoostingClassifier; one tree a round for each of three or more classes.

    scikit-learn tells nobody of its rounds, so the progress bar takes one step.
    """

    model_: Any = field(default=None, init=False, repr=False)

    @property
    def steps(self) -> int:
        """The whole fit."""
        return 1

    def fit(
        self, rows: FitRows, *, start: Member | None = None, advance: Callable[[], None] = lambda: None
    ) -> Self:
        """Fits the trees; with validation rows it keeps the rounds up to the best one."""
        if start is not None:
            raise SettingsError(
                f"{self.name} cannot continue from {start.name}; transfer is for xgboost and lightgbm"
            )
        settings, validation = self.settings, rows.validation
        model = HistGradientBoostingClassifier(
            max_iter=settings.trees,
            max_depth=settings.depth,
            max_leaf_nodes=None,
            learning_rate=settings.learning_rate,
            max_features=settings.boosted_feature_share,
            min_samples_leaf=max(1, round(rows.X.shape[0] * settings.leaf_share)),
            l2_regularization=settings.l2,
            max_bins=63,
            random_state=settings.seed,
            early_stopping=validation is not None,
            scoring="loss",
            n_iter_no_change=settings.patience,
            tol=0.0,
        )
        held_back = (
            {}
            if validation is None
            else {
                "X_val": validation.X,
                "y_val": validation.target,
                "sample_weight_val": validation.weight,
            }
        )
        with threadpool_limits(limits=settings.threads):
            model.fit(rows.X, rows.target, sample_weight=rows.weight, **held_back)
        if validation is not None:
            # The first score is that of no trees at all. scikit-learn keeps the rounds after the best one.
            best = max(int(np.argmax(model.validation_score_[1:])) + 1, 1)
            model._predictors = model._predictors[:best]  # noqa: SLF001 - the trees have no public name
        self.model_, self.classes_, self.features_ = model, rows.classes, int(rows.X.shape[1])
        advance()
        return self

    def raw_scores(self, X: F32) -> F64:
        """scikit-learn's own raw scores."""
        # scikit-learn sums all of X to look for what is not finite; huge features overflow that sum only.
        with threadpool_limits(limits=1), np.errstate(over="ignore", invalid="ignore"):
            raw = self._fitted().decision_function(X)
        return np.asarray(raw, dtype=np.float64).reshape(X.shape[0], -1)

    @property
    def rounds(self) -> int:
        """Rounds of the model."""
        return len(self._rounds())

    def ensembles(self) -> tuple[TreeEnsemble, ...]:
        """The trees, one ensemble for each raw score."""
        model = self._fitted()
        base = np.asarray(model._baseline_prediction, dtype=np.float64).ravel()  # noqa: SLF001
        rounds = self._rounds()
        return tuple(
            TreeEnsemble(
                trees=tuple(_tree(trees[score].nodes) for trees in rounds),
                base=(float(base[score]),),
                or_equal=True,
            )
            for score in range(base.size)
        )

    def importances(self) -> F64:
        """Total gain of each feature's splits."""
        gains = np.zeros(self.features_)
        for trees in self._rounds():
            for tree in trees:
                inner = tree.nodes[tree.nodes["is_leaf"] == 0]
                np.add.at(gains, inner["feature_idx"], inner["gain"])
        return shares(gains)

    def _rounds(self) -> list[list[Any]]:
        rounds: list[list[Any]] = self._fitted()._predictors  # noqa: SLF001 - the trees have no public name
        return rounds

    def _fitted(self) -> Any:  # noqa: ANN401 - scikit-learn has no types
        if self.model_ is None:
            raise SettingsError(f"{self.name} is not fitted; call fit first")
        return self.model_


def _tree(nodes: Any) -> Tree:  # noqa: ANN401 - scikit-learn has no types
    leaf = nodes["is_leaf"].astype(bool)
    if nodes["is_categorical"].any():
        raise SettingsError("gradient_boosting over categories has no exact graph; use numerical features")
    return Tree(
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)).astype(np.int32),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)).astype(np.int32),
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int32),
        threshold=round_down(np.where(leaf, 0.0, nodes["num_threshold"])),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        value=np.where(leaf, nodes["value"], 0.0).astype(np.float32).reshape(-1, 1),
    )


__all__ = ["HistogramBoostingMember"]
