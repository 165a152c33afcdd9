"""Gradient-boosted trees of LightGBM."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import lightgbm as lgb
import numpy as np

from candlewire_training.arrays import F32, F64
from candlewire_training.errors import SettingsError
from candlewire_training.export.tree_ensemble import Tree, TreeEnsemble, round_down
from candlewire_training.members.boosted_trees import BoostedTrees, shares
from candlewire_training.members.contract import FitRows, Member

# LightGBM's kZeroThreshold: it predicts as if features of this size or smaller were 0.
LARGEST_ZERO = 1e-35


@dataclass(kw_only=True)
class LightGBMMember(BoostedTrees):
    """LightGBM, tempered as the XGBoost member; a tree a round for each of three or more classes."""

    booster_: lgb.Booster | None = field(default=None, init=False, repr=False)

    def fit(
        self, rows: FitRows, *, start: Member | None = None, advance: Callable[[], None] = lambda: None
    ) -> Self:
        """Fits the booster; with validation rows it keeps the rounds up to the best one."""
        first = self._continued(start)
        data = _dataset(rows)
        validation: list[lgb.Dataset] = []
        callbacks: list[Callable[..., Any]] = [_round_progress(advance)]
        if rows.validation is not None:
            validation = [_dataset(rows.validation, reference=data)]
            callbacks.append(lgb.early_stopping(self.settings.patience, verbose=False))
        booster = lgb.train(
            self._parameters(rows),
            data,
            num_boost_round=self.settings.trees,
            valid_sets=validation,
            callbacks=callbacks,
            init_model=first.fitted if isinstance(first, LightGBMMember) else None,
        )
        if rows.validation is not None:
            # Cut at the best round, so that predictions and the exported trees are the same thing.
            best = max(booster.best_iteration, 1)
            booster = lgb.Booster(model_str=booster.model_to_string(num_iteration=best))
        self.booster_, self.classes_, self.features_ = booster, rows.classes, int(rows.X.shape[1])
        return self

    def _parameters(self, rows: FitRows) -> dict[str, Any]:
        settings, classes = self.settings, len(rows.classes)
        objective = (
            {"objective": "binary"} if classes == 2 else {"objective": "multiclass", "num_class": classes}
        )
        return objective | {
            "num_leaves": 2**settings.depth,
            "max_depth": settings.depth,
            "learning_rate": settings.learning_rate,
            "bagging_fraction": settings.row_share,
            "bagging_freq": 1,
            "feature_fraction": settings.boosted_feature_share,
            "min_data_in_leaf": max(1, round(rows.X.shape[0] * settings.leaf_share)),
            "lambda_l2": settings.l2,
            "max_bin": 63,
            "seed": settings.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": settings.threads,
            "verbosity": -1,
        }

    def raw_scores(self, X: F32) -> F64:
        """LightGBM's own raw scores."""
        raw = self.fitted.predict(X, raw_score=True, num_threads=self.settings.threads)
        return np.asarray(raw, dtype=np.float64).reshape(X.shape[0], -1)

    @property
    def rounds(self) -> int:
        """Rounds of the booster."""
        return self.fitted.num_trees() // self.fitted.num_model_per_iteration()

    def ensembles(self) -> tuple[TreeEnsemble, ...]:
        """The trees, one ensemble for each raw score."""
        dump = self.fitted.dump_model()
        scores = int(dump["num_tree_per_iteration"])
        trees = [lightgbm_tree(tree["tree_structure"]) for tree in dump["tree_info"]]
        return tuple(
            TreeEnsemble(trees=tuple(trees[score::scores]), or_equal=True) for score in range(scores)
        )

    def importances(self) -> F64:
        """Total gain of each feature's splits."""
        return shares(np.asarray(self.fitted.feature_importance(importance_type="gain"), dtype=np.float64))

    @property
    def fitted(self) -> lgb.Booster:
        """The booster.

        Raises:
            SettingsError: `fit` was not called.
        """
        if self.booster_ is None:
            raise SettingsError(f"{self.name} is not fitted; call fit first")
        return self.booster_


def _dataset(rows: FitRows, *, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    return lgb.Dataset(
        rows.X, label=rows.target, weight=rows.weight, reference=reference, free_raw_data=False
    )


def _round_progress(advance: Callable[[], None]) -> Callable[[Any], None]:
    def after_round(_: object) -> None:
        advance()

    return after_round


def lightgbm_tree(structure: dict[str, Any]) -> Tree:
    """One tree from LightGBM's own dump.

    Raises:
        SettingsError: The tree holds splits or leaves that the graph cannot state exactly: categories, zeroes
            as missing, linear leaves.
    """
    nodes: list[dict[str, Any]] = []
    children: list[tuple[int, int]] = []
    waiting = [(structure, -1, 0)]
    while waiting:
        node, parent, side = waiting.pop()
        number = len(nodes)
        nodes.append(node)
        children.append((-1, -1))
        if parent >= 0:
            left, right = children[parent]
            children[parent] = (number, right) if side == 0 else (left, number)
        if "split_feature" in node:
            waiting += [(node["right_child"], number, 1), (node["left_child"], number, 0)]
        elif node.get("leaf_coeff"):
            raise SettingsError("lightgbm linear_tree has no exact graph; leave linear_tree off")
    inner = np.array(["split_feature" in node for node in nodes])
    threshold = np.array([_threshold(node) for node in nodes], dtype=np.float64)
    pairs = np.asarray(children, dtype=np.int32)
    return Tree(
        left=pairs[:, 0],
        right=pairs[:, 1],
        feature=np.array([node.get("split_feature", 0) for node in nodes], dtype=np.int32),
        threshold=_without_tiny(threshold),
        missing_left=np.array([_missing_left(node) for node in nodes], dtype=bool),
        value=np.where(inner, 0.0, [node.get("leaf_value", 0.0) for node in nodes])
        .astype(np.float32)
        .reshape(-1, 1),
    )


def _without_tiny(threshold: F64) -> F32:
    """Thresholds for float32 features, given that LightGBM reads features up to LARGEST_ZERO in size as 0."""
    zero = np.float32(LARGEST_ZERO)
    rounded = round_down(threshold)
    tiny = np.abs(threshold) <= float(zero)
    beside_zero = np.where(threshold >= 0.0, zero, np.nextafter(-zero, np.float32(-np.inf)))
    return np.where(tiny, beside_zero, rounded).astype(np.float32)


def _threshold(node: dict[str, Any]) -> float:
    if "split_feature" not in node:
        return 0.0
    if node["decision_type"] != "<=":
        raise SettingsError(
            f"lightgbm split {node['decision_type']!r} has no exact graph; use numerical features only"
        )
    return float(node["threshold"])


def _missing_left(node: dict[str, Any]) -> bool:
    if "split_feature" not in node:
        return False
    missing = node["missing_type"]
    if missing == "NaN":
        return bool(node["default_left"])
    if missing == "None":
        # Trained without missing values: LightGBM reads NaN as zero.
        return float(node["threshold"]) >= 0.0
    raise SettingsError("lightgbm zero_as_missing has no exact graph; leave zero_as_missing off")


__all__ = ["LARGEST_ZERO", "LightGBMMember", "lightgbm_tree"]
