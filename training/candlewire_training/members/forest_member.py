"""Random forests and extra trees of scikit-learn."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from candlewire_training.arrays import F32, F64
from candlewire_training.errors import SettingsError
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.export.tree_ensemble import Tree, TreeEnsemble, round_down
from candlewire_training.members.boosted_trees import export_two_classes
from candlewire_training.members.contract import FitRows, Member, MemberSettings

# Trees between two calls of `advance`.
TREES_A_STEP = 10
# Rows that a tree is grown on at most: its few leaves are no better for more, and other trees see the others.
MOST_TREE_ROWS = 40_000


@dataclass(kw_only=True)
class ForestMember:
    """Averages the leaf probabilities of many trees, each grown on a sample of the rows."""

    settings: MemberSettings
    classes_: tuple[str, ...] = field(default=(), init=False)
    forest_: Any = field(default=None, init=False, repr=False)

    @property
    def name(self) -> str:
        """Name in the graph."""
        return self.settings.label

    @property
    def steps(self) -> int:
        """Groups of trees."""
        return -(-self.settings.trees // TREES_A_STEP)

    def fit(
        self, rows: FitRows, *, start: Member | None = None, advance: Callable[[], None] = lambda: None
    ) -> Self:
        """Grows the trees, TREES_A_STEP at a time; validation rows are of no use to a forest."""
        if start is not None:
            raise SettingsError(
                f"{self.name} cannot continue from {start.name}; transfer is for xgboost and lightgbm"
            )
        forest = self._unfitted(rows)
        for step in range(1, self.steps + 1):
            forest.set_params(n_estimators=min(step * TREES_A_STEP, self.settings.trees))
            forest.fit(rows.X, rows.target, sample_weight=rows.weight)
            advance()
        # Predictions summed over threads would differ in their last bits from run to run.
        self.forest_, self.classes_ = forest.set_params(n_jobs=1), rows.classes
        return self

    def _unfitted(self, rows: FitRows) -> Any:  # noqa: ANN401 - scikit-learn has no types
        settings, count = self.settings, rows.X.shape[0]
        share = min(settings.row_share, MOST_TREE_ROWS / count)
        parameters = {
            "max_depth": settings.depth,
            "max_features": "sqrt" if settings.feature_share is None else settings.feature_share,
            "min_samples_leaf": max(1, round(count * settings.leaf_share * share / settings.row_share)),
            # Trees of a forest differ by the rows they see.
            "bootstrap": True,
            "max_samples": share,
            "random_state": settings.seed,
            "n_jobs": settings.threads,
            "warm_start": True,
        }
        kind = RandomForestClassifier if settings.kind == "random_forest" else ExtraTreesClassifier
        return kind(**parameters)

    def probabilities(self, X: F32) -> F64:
        """scikit-learn's own probabilities."""
        # scikit-learn sums all of X to look for what is not finite; huge features overflow that sum only.
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(self._fitted().predict_proba(X), dtype=np.float64)

    def ensemble(self) -> TreeEnsemble:
        """The trees, leaf values divided by their number; of two classes only the last is stated."""
        trees = self._fitted().estimators_
        first = 1 if len(self.classes_) == 2 else 0
        # Leaves state how far they lie from the mean root: sums of small numbers keep their last bits.
        mean = np.mean([tree.tree_.value[0, 0, first:] for tree in trees], axis=0).astype(np.float32)
        return TreeEnsemble(
            trees=tuple(
                _tree(tree.tree_, first=first, base=mean.astype(np.float64), share=1.0 / len(trees))
                for tree in trees
            ),
            base=tuple(mean.tolist()),
            or_equal=True,
        )

    def export(self, graph: GraphBuilder, features: str) -> str:
        """One TreeEnsembleRegressor with an output for each class."""
        said = self.ensemble().export(graph, features)
        return export_two_classes(graph, said) if len(self.classes_) == 2 else said

    def split_points(self) -> list[tuple[int, F32]]:
        """Thresholds of all trees."""
        return self.ensemble().split_points()

    def importances(self) -> F64:
        """Mean decrease of impurity."""
        return np.asarray(self._fitted().feature_importances_, dtype=np.float64)

    def _fitted(self) -> Any:  # noqa: ANN401 - scikit-learn has no types
        if self.forest_ is None:
            raise SettingsError(f"{self.name} is not fitted; call fit first")
        return self.forest_


def _tree(tree: Any, *, first: int, base: F64, share: float) -> Tree:  # noqa: ANN401 - scikit-learn has no types
    leaf = tree.children_left < 0
    # scikit-learn compares float32 features with float64 thresholds; its leaves hold shares of the classes.
    value = np.where(leaf[:, None], (tree.value[:, 0, first:] - base) * share, 0.0)
    return Tree(
        left=tree.children_left.astype(np.int32),
        right=tree.children_right.astype(np.int32),
        feature=np.where(leaf, 0, tree.feature).astype(np.int32),
        threshold=np.where(leaf, np.float32(0), round_down(np.where(leaf, 0.0, tree.threshold))),
        missing_left=tree.missing_go_to_left.astype(bool),
        value=value.astype(np.float32),
    )


__all__ = ["ForestMember"]
