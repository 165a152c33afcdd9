"""Tree ensembles: one form for every library's trees, exported as TreeEnsembleRegressor."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost as xgb

from candlewire_training.arrays import F32, I32, Bool
from candlewire_training.export.graph_builder import ML_DOMAIN, GraphBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One binary tree; arrays of shape (nodes,), the root first.

    Attributes:
        left: Child where `x < threshold`; -1 at leaves.
        right: The other child; -1 at leaves.
        feature: Feature tested.
        threshold: Threshold, float32, exactly as the library compares it.
        missing_left: True where NaN goes left.
        value: Leaf value; 0 at inner nodes.
    """

    left: I32
    right: I32
    feature: I32
    threshold: F32
    missing_left: Bool
    value: F32


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEnsemble:
    """Trees whose leaf values are summed onto `base`."""

    trees: tuple[Tree, ...]
    base: float

    def split_points(self) -> list[tuple[int, F32]]:
        """Thresholds of each feature tested, sorted, without repeats."""
        points: dict[int, list[np.float32]] = {}
        for tree in self.trees:
            inner = tree.left >= 0
            for feature, threshold in zip(tree.feature[inner], tree.threshold[inner], strict=True):
                points.setdefault(int(feature), []).append(threshold)
        return [
            (feature, np.unique(np.asarray(points[feature], dtype=np.float32))) for feature in sorted(points)
        ]

    def export(self, graph: GraphBuilder, features: str) -> str:
        """Adds the ensemble as one node; its result has shape [N, 1]."""
        if not any(tree.left[0] >= 0 for tree in self.trees):
            return self._export_constant(graph, features)
        columns = _NodeColumns()
        for number, tree in enumerate(self.trees):
            columns.add(number, tree)
        attributes: dict[str, Any] = dict(columns.attributes())
        return graph.add(
            "TreeEnsembleRegressor",
            features,
            domain=ML_DOMAIN,
            n_targets=1,
            aggregate_function="SUM",
            post_transform="NONE",
            base_values=[float(np.float32(self.base))],
            **attributes,
        )

    def _export_constant(self, graph: GraphBuilder, features: str) -> str:
        # Stumps without a split say the same of every row; a tree node would have nothing to test.
        total = np.float32(self.base)
        for tree in self.trees:
            total = np.float32(total + tree.value[0])
        zero = graph.add("Mul", graph.columns(features, 0, 1), graph.floats([0.0]))
        return graph.add("Add", zero, graph.floats([total]))


class _NodeColumns:
    """Attributes of a TreeEnsembleRegressor node, filled tree by tree."""

    def __init__(self) -> None:
        self._lists: dict[str, list[Any]] = {
            name: []
            for name in (
                "nodes_treeids",
                "nodes_nodeids",
                "nodes_featureids",
                "nodes_modes",
                "nodes_values",
                "nodes_truenodeids",
                "nodes_falsenodeids",
                "nodes_missing_value_tracks_true",
                "target_treeids",
                "target_nodeids",
                "target_ids",
                "target_weights",
            )
        }

    def add(self, number: int, tree: Tree) -> None:
        for node in range(tree.left.size):
            is_leaf = tree.left[node] < 0
            self._node(
                nodes_treeids=number,
                nodes_nodeids=node,
                nodes_featureids=0 if is_leaf else int(tree.feature[node]),
                nodes_modes="LEAF" if is_leaf else "BRANCH_LT",
                nodes_values=0.0 if is_leaf else float(tree.threshold[node]),
                nodes_truenodeids=0 if is_leaf else int(tree.left[node]),
                nodes_falsenodeids=0 if is_leaf else int(tree.right[node]),
                nodes_missing_value_tracks_true=0 if is_leaf else int(tree.missing_left[node]),
            )
            if is_leaf:
                self._node(
                    target_treeids=number,
                    target_nodeids=node,
                    target_ids=0,
                    target_weights=float(tree.value[node]),
                )

    def _node(self, **values: Any) -> None:  # noqa: ANN401 - columns are of several types
        for name, value in values.items():
            self._lists[name].append(value)

    def attributes(self) -> dict[str, list[Any]]:
        return self._lists


def xgboost_trees(booster: xgb.Booster, *, base: float) -> TreeEnsemble:
    """Trees of a booster with one output a round, exactly as XGBoost compares and sums them.

    Args:
        booster: The booster; all of its rounds are taken, so cut an early-stopped one first
            (`booster[:best]`).
        base: Value the leaves are added to, in the space of the raw score.
    """
    learner = json.loads(booster.save_raw("json").decode())["learner"]
    model = learner["gradient_booster"]["model"]
    return TreeEnsemble(trees=tuple(_xgboost_tree(tree) for tree in model["trees"]), base=base)


def _xgboost_tree(tree: dict[str, Any]) -> Tree:
    left = np.asarray(tree["left_children"], dtype=np.int32)
    conditions = np.asarray(tree["split_conditions"], dtype=np.float32)
    is_leaf = left < 0
    return Tree(
        left=left,
        right=np.asarray(tree["right_children"], dtype=np.int32),
        feature=np.asarray(tree["split_indices"], dtype=np.int32),
        threshold=np.where(is_leaf, np.float32(0), conditions),
        missing_left=np.asarray(tree["default_left"], dtype=bool),
        value=np.where(is_leaf, conditions, np.float32(0)),
    )


__all__ = ["Tree", "TreeEnsemble", "xgboost_trees"]
