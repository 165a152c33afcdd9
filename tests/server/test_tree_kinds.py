"""Every kind of tree model that training exports runs on the tree kernel, with ONNX Runtime's bits.

Loading compares the two bit for bit on rows at every threshold and its neighbours, infinities, zeros and
NaN, and leaves to ONNX Runtime what differs: a node that the kernel keeps has passed. Random rows are
compared here.
"""

from pathlib import Path
from typing import Any

import bundles
import numpy as np
import polars as pl
import pytest
import xgboost as xgb
from candlewire_server.file_scoring import FileScoring, TreeKernel
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.export.tree_ensemble import TreeEnsemble, xgboost_ensembles

FEATURES = 12
ROWS = 3_000
SPEC = bundles.feature_spec(tuple(range(1, FEATURES + 1)))
KINDS: dict[str, tuple[dict[str, Any], int]] = {
    "binary": ({"objective": "binary:logistic", "max_depth": 6, "base_score": 0.5}, 60),
    "stumps": ({"objective": "binary:logistic", "max_depth": 1}, 70),
    "deep": ({"objective": "reg:squarederror", "max_depth": 14, "min_child_weight": 0.01}, 12),
    "leaf_wise": (
        {"objective": "binary:logistic", "grow_policy": "lossguide", "max_leaves": 31, "max_depth": 0},
        60,
    ),
    "exact": ({"objective": "reg:squarederror", "tree_method": "exact", "max_depth": 5}, 60),
    "classes": ({"objective": "multi:softprob", "num_class": 3, "max_depth": 5}, 40),
    "forest": (
        {
            "objective": "binary:logistic",
            "num_parallel_tree": 60,
            "subsample": 0.6,
            "colsample_bynode": 0.5,
            "eta": 1.0,
            "max_depth": 8,
        },
        1,
    ),
}


def rows_and_target() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    rows = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
    rows[:, 0] = np.round(rows[:, 0], 1)
    target = rows[:, :4].sum(axis=1) + random.normal(size=ROWS)
    # Gaps in training decide where NaN goes, in both directions.
    rows[random.random(rows.shape) < 0.05] = np.nan
    return rows, target


def ensembles(kind: str) -> tuple[TreeEnsemble, ...]:
    settings, rounds = KINDS[kind]
    rows, target = rows_and_target()
    if settings["objective"].startswith("binary"):
        target = target > 0
    elif settings["objective"].startswith("multi"):
        target = np.digitize(target, [-1.0, 1.0])
    settings = {"seed": 3, "nthread": 1, **settings}
    return xgboost_ensembles(xgb.train(settings, xgb.DMatrix(rows, target), num_boost_round=rounds))


def write_store(store: Path, trees: tuple[TreeEnsemble, ...]) -> None:
    """A bundle whose graph makes all of its outputs from the ensembles, each its own node."""
    graph = GraphBuilder()
    margin = trees[0].export(graph, "features")
    for ensemble in trees[1:]:
        margin = graph.add("Sub", margin, ensemble.export(graph, "features"))
    up = graph.add("Sigmoid", margin)
    probabilities = graph.add("Concat", graph.add("Sub", graph.floats([1.0]), up), up, axis=1)
    flat = graph.add("Reshape", margin, graph.integers([-1]))
    graph.output(probabilities, "probabilities", ["N", 2])
    for name in bundles.OUTPUTS[1:-1]:
        graph.output(flat, name, ["N"])
    members = graph.add("Unsqueeze", probabilities, graph.integers([1]))
    graph.output(members, "member_probabilities", ["N", 1, 2])
    folder = bundles.write_bundle(store, spec=SPEC)
    bundles.replace_graph(folder, graph.model(features=FEATURES, metadata={}).SerializeToString())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_runs_on_the_kernel_with_the_same_bits(kind: str, tmp_path: Path) -> None:
    trees = ensembles(kind)
    write_store(tmp_path / "store", trees)
    rows, _ = rows_and_target()
    names = [f"log_return_{lag}" for lag in range(1, FEATURES + 1)]
    finite = np.nan_to_num(rows, nan=0.25)
    pl.DataFrame({name: finite[:, at] for at, name in enumerate(names)}).write_parquet(
        tmp_path / "rows.parquet"
    )

    def run(kernel: TreeKernel) -> tuple[pl.DataFrame, list[str]]:
        target = tmp_path / f"{kernel}.parquet"
        request = FileScoring(
            store=tmp_path / "store",
            model="daily",
            source=tmp_path / "rows.parquet",
            target=target,
            tree_kernel=kernel,
            columns=(),
            batch_rows=1_000,
        )
        summary = request.run()
        return pl.read_parquet(target), summary.tree_nodes

    wanted, left = run("off")
    assert all("engine.tree_kernel is off" in node for node in left)
    assert wanted["band_mid"].n_unique() > 30, "the trees tell rows apart"
    for kernel in ("portable", "avx2", "avx512"):
        got, nodes = run(kernel)
        assert len(nodes) == len(trees)
        assert all("trees on the tree kernel" in node for node in nodes), nodes
        assert got.equals(wanted)
