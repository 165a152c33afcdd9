"""Tree ensembles: one form for every library's trees, exported as TreeEnsembleRegressor."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from candlewire_training.arrays import F32, F64, I32, Bool
from candlewire_training.export.graph_builder import ML_DOMAIN, GraphBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One binary tree; arrays of shape (nodes,) unless told otherwise, the root first.

    Attributes:
        left: Child where the test of the ensemble (`<` or `<=`) holds; -1 at leaves.
        right: The other child; -1 at leaves.
        feature: Feature tested.
        threshold: Threshold, float32, exactly as the library compares float32 features.
        missing_left: True where NaN goes left.
        value: Leaf values, shape (nodes, outputs); 0 at inner nodes.
    """

    left: I32
    right: I32
    feature: I32
    threshold: F32
    missing_left: Bool
    value: F32


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEnsemble:
    """Trees whose leaf values are summed onto `base`.

    Attributes:
        trees: The trees, in the order of the sum.
        base: What the leaves are added to, one for each output.
        or_equal: True when a row goes left at `x <= threshold`, False at `x < threshold`.
    """

    trees: tuple[Tree, ...]
    base: tuple[float, ...] = (0.0,)
    or_equal: bool = False

    @property
    def outputs(self) -> int:
        """Sums that each row gets."""
        return len(self.base)

    def split_points(self) -> list[tuple[int, F32]]:
        """Thresholds of each feature tested, sorted, without repeats.

        A threshold beyond every finite value tells only missing values from others: no row stands at it.
        """
        if not self.trees:
            return []
        thresholds = np.concatenate([tree.threshold for tree in self.trees])
        inner = np.concatenate([tree.left >= 0 for tree in self.trees])
        inner &= np.abs(thresholds) < np.finfo(np.float32).max
        features = np.concatenate([tree.feature for tree in self.trees])[inner]
        thresholds = thresholds[inner]
        return [
            (int(feature), np.unique(thresholds[features == feature]).astype(np.float32))
            for feature in np.unique(features)
        ]

    def export(self, graph: GraphBuilder, features: str) -> str:
        """Adds the ensemble as one node; its result has shape [N, outputs]."""
        if not any(tree.left[0] >= 0 for tree in self.trees):
            return self._export_constant(graph, features)
        columns: dict[str, Any] = dict(
            _node_columns(self.trees, mode="BRANCH_LEQ" if self.or_equal else "BRANCH_LT")
        )
        return graph.add(
            "TreeEnsembleRegressor",
            features,
            domain=ML_DOMAIN,
            n_targets=self.outputs,
            aggregate_function="SUM",
            post_transform="NONE",
            base_values=[float(np.float32(value)) for value in self.base],
            **columns,
        )

    def _export_constant(self, graph: GraphBuilder, features: str) -> str:
        # Stumps without a split say the same of every row; a tree node would have nothing to test.
        total = np.asarray(self.base, dtype=np.float32)
        for tree in self.trees:
            total = (total + tree.value[0]).astype(np.float32)
        # Not times zero: an infinite feature would make it NaN.
        nothing = graph.add("IsNaN", graph.columns(features, 0, 1))
        zero = graph.add("Sub", *[graph.add("Cast", nothing, to=1)] * 2)
        return graph.add("Add", zero, graph.floats(total, (1, -1)))


def _node_columns(trees: Sequence[Tree], *, mode: str) -> dict[str, list[Any]]:
    """Attributes of a TreeEnsembleRegressor node. Leaves are listed tree by tree, node by node."""
    sizes = [tree.left.size for tree in trees]
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    leaf = np.concatenate([tree.left < 0 for tree in trees])

    def inner(column: Sequence[npt.NDArray[Any]]) -> list[Any]:
        values = np.concatenate(column)
        result: list[Any] = np.where(leaf, values.dtype.type(0), values).tolist()
        return result

    values = np.concatenate([tree.value for tree in trees])[leaf]
    outputs = values.shape[1]
    return {
        "nodes_treeids": tree_ids.tolist(),
        "nodes_nodeids": node_ids.tolist(),
        "nodes_featureids": inner([tree.feature for tree in trees]),
        "nodes_modes": ["LEAF" if is_leaf else mode for is_leaf in leaf.tolist()],
        "nodes_values": inner([tree.threshold for tree in trees]),
        "nodes_truenodeids": inner([tree.left for tree in trees]),
        "nodes_falsenodeids": inner([tree.right for tree in trees]),
        "nodes_missing_value_tracks_true": inner([tree.missing_left.astype(np.int64) for tree in trees]),
        "target_treeids": np.repeat(tree_ids[leaf], outputs).tolist(),
        "target_nodeids": np.repeat(node_ids[leaf], outputs).tolist(),
        "target_ids": np.tile(np.arange(outputs), int(leaf.sum())).tolist(),
        "target_weights": values.ravel().tolist(),
    }


def round_down(threshold: F64) -> F32:
    """The greatest float32 at or below each double: `x <= t` then says the same of every float32 x.

    Rounding to the nearest float32 would not: it moves a threshold past a value that it separates.
    """
    with np.errstate(over="ignore"):
        nearest = threshold.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    result: F32 = np.where(nearest.astype(np.float64) > threshold, below, nearest).astype(np.float32)
    return result


def xgboost_trees(booster: xgb.Booster, *, base: float = 0.0) -> TreeEnsemble:
    """Trees of a booster with one output a round, exactly as XGBoost compares and sums them.

    Args:
        booster: The booster; all of its rounds are taken, so cut an early-stopped one first
            (`booster[:best]`).
        base: Value the leaves are added to, in the space of the raw score.
    """
    (ensemble,) = xgboost_ensembles(booster, base=base)
    return ensemble


def xgboost_ensembles(booster: xgb.Booster, *, base: float = 0.0) -> tuple[TreeEnsemble, ...]:
    """One ensemble for each class, or a single one when the trees have an output for each class."""
    learner = json.loads(booster.save_raw("json").decode())["learner"]
    model = learner["gradient_booster"]["model"]
    trees = [_xgboost_tree(tree) for tree in model["trees"]]
    classes = max(int(learner["learner_model_param"]["num_class"]), 1)
    if trees and trees[0].value.shape[1] > 1:
        return (TreeEnsemble(trees=tuple(trees), base=(base,) * classes),)
    groups = model["tree_info"]
    return tuple(
        TreeEnsemble(
            trees=tuple(tree for tree, group in zip(trees, groups, strict=True) if group == number),
            base=(base,),
        )
        for number in range(classes)
    )


def _xgboost_tree(tree: dict[str, Any]) -> Tree:
    left = np.asarray(tree["left_children"], dtype=np.int32)
    right = np.asarray(tree["right_children"], dtype=np.int32)
    conditions = np.asarray(tree["split_conditions"], dtype=np.float32)
    is_leaf = left < 0
    outputs = int(tree["tree_param"]["size_leaf_vector"])
    if outputs > 1:
        # Trees with a vector at each leaf: the right child of a leaf is its row in `leaf_weights`.
        weights = np.asarray(tree["leaf_weights"], dtype=np.float32).reshape(-1, outputs)
        value = np.zeros((left.size, outputs), dtype=np.float32)
        value[is_leaf] = weights[right[is_leaf]]
    else:
        value = np.where(is_leaf, conditions, np.float32(0)).reshape(-1, 1)
    return Tree(
        left=left,
        right=np.where(is_leaf, np.int32(-1), right),
        feature=np.asarray(tree["split_indices"], dtype=np.int32),
        threshold=np.where(is_leaf, np.float32(0), conditions),
        missing_left=np.asarray(tree["default_left"], dtype=bool),
        value=value,
    )


__all__ = ["Tree", "TreeEnsemble", "round_down", "xgboost_ensembles", "xgboost_trees"]
