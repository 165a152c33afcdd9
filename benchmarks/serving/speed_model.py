"""A bundle to measure speed on: the size that the targets name, trained on random rows, of no other use."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import candlewire_features as cf
import numpy as np
import xgboost as xgb
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.export.runtime import OneThreadRuntime
from candlewire_training.export.tree_ensemble import xgboost_trees

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

NAME = "speed_only"
VERSION = 20_260_101_000_000
TREES, DEPTH, FEATURES = 300, 6, 64
TRAINING_ROWS = 20_000
GOLDEN_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedModel:
    """Where the model is and what it takes.

    Attributes:
        store: Store with the bundle.
        onnx: The graph.
        rows: Rows to score, float32, of shape (rows, features).
        nodes: Nodes of all trees: how full the trees have grown.
    """

    store: Path
    onnx: Path
    rows: npt.NDArray[np.float32]
    nodes: int


def make_speed_model(
    store: Path,
    *,
    name: str = NAME,
    trees: int = TREES,
    timeframe: str = "1d",
    spec: cf.FeatureSpec | None = None,
    seed: int = 1,
) -> SpeedModel:
    """Writes the bundle of a model of `trees` trees into `store`.

    Args:
        store: Folder of bundles.
        name: Name of the model.
        trees: How many.
        timeframe: Timeframe of the bars that it scores.
        spec: Its features, as many as the rows have; log returns when `None`.
        seed: Of the rows.
    """
    random = np.random.default_rng(seed)
    X = random.normal(size=(TRAINING_ROWS, FEATURES)).astype(np.float32)
    y = (X[:, :8].sum(axis=1) + random.normal(scale=3.0, size=TRAINING_ROWS) > 0).astype(np.float32)
    settings = {
        "max_depth": DEPTH,
        "eta": 0.05,
        "seed": seed,
        "nthread": 2,
        "objective": "binary:logistic",
        "base_score": 0.5,
    }
    booster = xgb.train(settings, xgb.DMatrix(X, y), num_boost_round=trees)
    ensemble = xgboost_trees(booster, base=0.0)

    graph = GraphBuilder()
    margin = ensemble.export(graph, "features")
    up = graph.add("Sigmoid", margin)
    probabilities = graph.add("Concat", graph.add("Sub", graph.floats([1.0]), up), up, axis=1)
    flat = graph.add("Reshape", up, graph.integers([-1]))
    middle = graph.add("Mul", graph.add("Reshape", margin, graph.integers([-1])), graph.floats([0.01]))
    spread = graph.add("Abs", middle)
    outputs: dict[str, tuple[str, list[int | str]]] = {
        "probabilities": (probabilities, ["N", 2]),
        "probability_low": (graph.add("Mul", flat, graph.floats([0.95])), ["N"]),
        "probability_high": (
            graph.add("Min", graph.add("Mul", flat, graph.floats([1.05])), graph.floats([1.0])),
            ["N"],
        ),
        "band_low": (graph.add("Sub", middle, graph.floats([0.02])), ["N"]),
        "band_mid": (middle, ["N"]),
        "band_high": (graph.add("Add", middle, graph.floats([0.02])), ["N"]),
        "dissimilarity": (spread, ["N"]),
        "member_probabilities": (graph.add("Unsqueeze", probabilities, graph.integers([1])), ["N", 1, 2]),
    }
    for output, (tensor, shape) in outputs.items():
        graph.output(tensor, output, shape)
    rows = random.normal(size=(256, FEATURES)).astype(np.float32)
    served = _Served(
        name=name,
        timeframe=timeframe,
        spec=cf.FeatureSpec(
            [(f"log_return_{lag}", "log_return", {"timeperiod": lag}) for lag in range(1, FEATURES + 1)]
        )
        if spec is None
        else spec,
    )
    folder = _write(store, served, graph.model(features=FEATURES, metadata={}).SerializeToString(), rows)
    nodes = sum(len(tree.left) for tree in ensemble.trees)
    return SpeedModel(store=store, onnx=folder / "model.onnx", rows=rows, nodes=nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """What a model is called and scores."""

    name: str
    timeframe: str
    spec: cf.FeatureSpec


def _write(store: Path, served: _Served, model: bytes, rows: npt.NDArray[np.float32]) -> Path:
    folder = store / served.name / str(VERSION)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    golden = rows[:GOLDEN_ROWS]
    np.savez(folder / "golden.npz", features=golden, **OneThreadRuntime(model).run(golden))
    spec = served.spec
    manifest = {
        "format": "candlewire-bundle",
        "format_version": 1,
        "model": served.name,
        "version": VERSION,
        "created_at": "2026-01-01T00:00:00Z",
        "timeframe": served.timeframe,
        "horizon_bars": 1,
        "asset_class": "none",
        "symbols": ["SPEED"],
        "classes": ["DOWN", "UP"],
        "feature_spec": json.loads(spec.canonical_json),
        "feature_spec_hash": spec.hash,
        "feature_names": list(spec.names),
        "members": ["xgboost"],
        "onnx": {"file": "model.onnx", "sha256": _sha256(folder / "model.onnx")},
        "golden": {
            "file": "golden.npz",
            "sha256": _sha256(folder / "golden.npz"),
            "rows": GOLDEN_ROWS,
            "absolute_tolerance": 1e-6,
        },
        "band": {"target_coverage": 0.9, "eta": 0.02, "initial_multiplier": 1.0},
        "policy": {"maximum_dissimilarity": 1.0},
        "training": {"data": "random rows; for measuring speed only"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True), encoding="utf-8")
    return folder


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
