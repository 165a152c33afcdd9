"""The models of the tree benchmark, as boosters and as plain ONNX files.

X2: XGBoost binary, 300 trees of depth 6. X3: XGBoost, three classes, 900 trees of depth 6. L3: LightGBM,
three classes, 900 trees of 31 leaves.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import xgboost as xgb
from onnx import TensorProto, helper

F32 = npt.NDArray[np.float32]
ROUNDS = 300


@dataclass(slots=True)
class NodeLists:
    """Attributes of a TreeEnsembleRegressor, tree by tree."""

    nodes: dict[str, list[Any]] = field(
        default_factory=lambda: {
            f"nodes_{name}": []
            for name in (
                "treeids",
                "nodeids",
                "featureids",
                "modes",
                "values",
                "truenodeids",
                "falsenodeids",
                "missing_value_tracks_true",
            )
        }
    )
    targets: dict[str, list[Any]] = field(
        default_factory=lambda: {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    )

    def branch(
        self, tree: int, node: int, test: tuple[int, str, float, bool], children: tuple[int, int]
    ) -> None:
        """Adds an inner node: (feature, mode, threshold, NaN goes left), (left, right)."""
        feature, mode, threshold, missing = test
        row = (tree, node, feature, mode, threshold, children[0], children[1], int(missing))
        for values, value in zip(self.nodes.values(), row, strict=True):
            values.append(value)

    def leaf(self, tree: int, node: int, target: int, value: float) -> None:
        """Adds a leaf that speaks of one target."""
        for values, entry in zip(self.nodes.values(), (tree, node, 0, "LEAF", 0.0, 0, 0, 0), strict=True):
            values.append(entry)
        for values, entry in zip(self.targets.values(), (tree, node, target, value), strict=True):
            values.append(entry)

    def model(self, features: int, targets: int, base: list[float]) -> onnx.ModelProto:
        """The ensemble as a model of one node: raw sums, shape [N, targets]."""
        node = helper.make_node(
            "TreeEnsembleRegressor",
            ["features"],
            ["scores"],
            name="trees",
            domain="ai.onnx.ml",
            n_targets=targets,
            aggregate_function="SUM",
            post_transform="NONE",
            base_values=base,
            **self.nodes,
            **self.targets,
        )
        graph = helper.make_graph(
            [node],
            "trees",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", features])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", targets])],
        )
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def train_xgboost(rows: F32, labels: npt.NDArray[np.int64], classes: int) -> xgb.Booster:
    """300 rounds of depth 6 by histograms, one thread."""
    settings: dict[str, Any] = {"max_depth": 6, "eta": 0.1, "tree_method": "hist", "nthread": 1, "seed": 7}
    if classes == 2:
        settings |= {"objective": "binary:logistic", "base_score": 0.5}
    else:
        settings |= {"objective": "multi:softprob", "num_class": classes, "base_score": 0.5}
    return xgb.train(settings, xgb.DMatrix(rows, labels), num_boost_round=ROUNDS)


def xgboost_onnx(booster: xgb.Booster, classes: int) -> onnx.ModelProto:
    """Raw scores of a booster, compared and summed as XGBoost does."""
    learner = json.loads(booster.save_raw("json").decode())["learner"]
    trees = learner["gradient_booster"]["model"]["trees"]
    targets = 1 if classes == 2 else classes
    lists = NodeLists()
    for number, tree in enumerate(trees):
        for node, left in enumerate(tree["left_children"]):
            condition = float(np.float32(tree["split_conditions"][node]))
            if left < 0:
                lists.leaf(number, node, number % targets, condition)
            else:
                test = (tree["split_indices"][node], "BRANCH_LT", condition, bool(tree["default_left"][node]))
                lists.branch(number, node, test, (left, tree["right_children"][node]))
    base = 0.0 if classes == 2 else 0.5
    return lists.model(booster.num_features(), targets, [base] * targets)


def many_trees(features: int, trees: int, depth: int, cuts: int) -> onnx.ModelProto:
    """Full trees with random splits at `cuts` places of each feature, as histogram training makes them."""
    random = np.random.default_rng(5)
    places = np.sort(random.standard_normal((features, cuts), dtype=np.float32), axis=1)
    lists = NodeLists()
    inner = 2**depth - 1
    for tree in range(trees):
        chosen = random.integers(features, size=inner)
        cut = places[chosen, random.integers(cuts, size=inner)]
        values = 0.01 * random.standard_normal(inner + 1)
        for node in range(inner):
            test = (int(chosen[node]), "BRANCH_LT", float(cut[node]), True)
            lists.branch(tree, node, test, (2 * node + 1, 2 * node + 2))
        for leaf, value in enumerate(values):
            lists.leaf(tree, inner + leaf, 0, float(value))
    return lists.model(features, 1, [0.0])


def train_lightgbm(rows: F32, labels: npt.NDArray[np.int64], classes: int) -> Any:  # noqa: ANN401 - untyped library
    """300 rounds of 31 leaves, one thread."""
    import lightgbm  # noqa: PLC0415 - optional: the benchmark goes on without it

    settings = {
        "objective": "multiclass",
        "num_class": classes,
        "num_leaves": 31,
        "learning_rate": 0.1,
        "num_threads": 1,
        "verbose": -1,
        "seed": 7,
    }
    return lightgbm.train(settings, lightgbm.Dataset(rows, labels), num_boost_round=ROUNDS)


def round_down(threshold: float) -> float:
    """The largest float32 not above a threshold: `x <= t` then means the same for every float32 `x`."""
    nearest = np.float32(threshold)
    return float(nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-np.inf)))


def lightgbm_onnx(booster: Any, classes: int) -> onnx.ModelProto:  # noqa: ANN401 - untyped library
    """Raw scores of a LightGBM booster; without NaN in training, NaN is read as zero."""
    lists = NodeLists()
    for number, tree in enumerate(booster.dump_model()["tree_info"]):
        numbers = 1
        stack = [(tree["tree_structure"], 0)]
        while stack:
            node, own = stack.pop()
            if "leaf_value" in node:
                lists.leaf(number, own, number % classes, float(np.float32(node["leaf_value"])))
                continue
            threshold = round_down(node["threshold"])
            test = (node["split_feature"], "BRANCH_LEQ", threshold, threshold >= 0)
            lists.branch(number, own, test, (numbers, numbers + 1))
            stack += [(node["left_child"], numbers), (node["right_child"], numbers + 1)]
            numbers += 2
    return lists.model(booster.num_feature(), classes, [0.0] * classes)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Writes a model."""
    path.write_bytes(model.SerializeToString())


def synthetic(count: int, features: int, seed: int) -> tuple[F32, F32]:
    """Independent normal rows and a noisy non-linear score of each."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal((count, features), dtype=np.float32)
    weights = np.random.default_rng(0).standard_normal((features, 3)).astype(np.float32)
    hidden = np.tanh(rows @ weights) @ np.array([1.0, -1.0, 0.5], dtype=np.float32)
    noise = random.standard_normal(count, dtype=np.float32)
    return rows, (hidden + rows[:, 0] * rows[:, 1] + noise).astype(np.float32)


def labels_of(score: F32, classes: int) -> npt.NDArray[np.int64]:
    """Classes of equal size by a score."""
    cuts = np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1])
    return np.searchsorted(cuts, score).astype(np.int64)
