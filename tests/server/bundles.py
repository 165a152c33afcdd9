"""Tiny bundles: real in every part that the server checks, quick to make."""

import hashlib
import io
import json
from pathlib import Path

import candlewire_features as cf
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OUTPUTS = (
    "probabilities",
    "probability_low",
    "probability_high",
    "band_low",
    "band_mid",
    "band_high",
    "dissimilarity",
    "member_probabilities",
)
LAGS = (1, 2, 3, 5)


def feature_spec(lags: tuple[int, ...] = LAGS) -> cf.FeatureSpec:
    """Log returns over `lags` bars: warm after the longest."""
    return cf.FeatureSpec([(f"log_return_{lag}", "log_return", {"timeperiod": lag}) for lag in lags])


def tree_attributes(
    rng: np.random.Generator, *, trees: int, depth: int, features: int, scale: float
) -> dict[str, object]:
    """Complete trees with random splits and leaves, for TreeEnsembleRegressor."""
    inner, nodes = 2**depth - 1, 2 ** (depth + 1) - 1
    ids = list(range(nodes))
    is_leaf = [node >= inner for node in ids]
    leaves = [node for node in ids if is_leaf[node]]
    return {
        "nodes_treeids": [tree for tree in range(trees) for _ in ids],
        "nodes_nodeids": ids * trees,
        "nodes_featureids": [
            0 if leaf else int(rng.integers(features)) for _ in range(trees) for leaf in is_leaf
        ],
        "nodes_values": [
            0.0 if leaf else float(rng.normal(0, 0.02)) for _ in range(trees) for leaf in is_leaf
        ],
        "nodes_modes": ["LEAF" if leaf else "BRANCH_LT" for leaf in is_leaf] * trees,
        "nodes_truenodeids": [0 if leaf else 2 * node + 1 for node, leaf in zip(ids, is_leaf, strict=True)]
        * trees,
        "nodes_falsenodeids": [0 if leaf else 2 * node + 2 for node, leaf in zip(ids, is_leaf, strict=True)]
        * trees,
        "nodes_missing_value_tracks_true": [0] * nodes * trees,
        "nodes_hitrates": [1.0] * nodes * trees,
        "target_treeids": [tree for tree in range(trees) for _ in leaves],
        "target_nodeids": leaves * trees,
        "target_ids": [0] * len(leaves) * trees,
        "target_weights": [float(weight) for weight in rng.normal(0, scale, len(leaves) * trees)],
        "n_targets": 1,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
    }


def graph(features: int, *, trees: int = 5, depth: int = 3, seed: int = 1) -> onnx.ModelProto:
    """One tree ensemble whose margin gives the probabilities; bands and distance from plain operators."""
    rng = np.random.default_rng(seed)
    attributes = tree_attributes(rng, trees=trees, depth=depth, features=features, scale=1.0 / trees)
    constants = {
        "one": np.array(1, np.float32),
        "tenth": np.array(0.05, np.float32),
        "width": np.array(0.02, np.float32),
        "centre": np.array(0.01, np.float32),
        "axis": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("TreeEnsembleRegressor", ["features"], ["margin"], domain="ai.onnx.ml", **attributes),
        node("Sigmoid", ["margin"], ["up"]),
        node("Sub", ["one", "up"], ["down"]),
        node("Concat", ["down", "up"], ["probabilities"], axis=1),
        node("Unsqueeze", ["probabilities", "axis"], ["member_probabilities"]),
        node("Squeeze", ["up", "axis"], ["up_flat"]),
        node("Squeeze", ["margin", "axis"], ["margin_flat"]),
        node("Sub", ["up_flat", "tenth"], ["probability_low"]),
        node("Add", ["up_flat", "tenth"], ["probability_high"]),
        node("Mul", ["margin_flat", "centre"], ["band_mid"]),
        node("Sub", ["band_mid", "width"], ["band_low"]),
        node("Add", ["band_mid", "width"], ["band_high"]),
        node("ReduceMax", ["absolute", "axis"], ["dissimilarity"], keepdims=0),
    ]
    nodes.insert(-1, node("Abs", ["features"], ["absolute"]))
    columns = {"probabilities": [2], "member_probabilities": [1, 2]}
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        nodes,
        "tiny",
        [info("features", TensorProto.FLOAT, ["N", features])],
        [info(name, TensorProto.FLOAT, ["N", *columns.get(name, [])]) for name in OUTPUTS],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(body, opset_imports=opsets, ir_version=10)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def golden_bytes(onnx_bytes: bytes | None = None, *, features: int = len(LAGS), seed: int = 1) -> bytes:
    """Golden vectors of a graph (by default the tiny one of `seed`), as the bytes of an npz file."""
    onnx_bytes = onnx_bytes or graph(features, seed=seed).SerializeToString()
    rows = np.random.default_rng(seed).normal(0, 0.02, (64, features)).astype(np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, features=rows, **run_graph(onnx_bytes, rows))
    return buffer.getvalue()


def run_graph(model: bytes, features: np.ndarray) -> dict[str, np.ndarray]:
    """What one-thread ONNX Runtime makes of `features`, by output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"features": features}), strict=True))


def write_bundle(
    store: Path,
    *,
    model: str = "daily",
    version: int = 20_260_101_000_000,
    timeframe: str = "1d",
    symbols: tuple[str, ...] = ("AAPL", "MSFT"),
    horizon_bars: int = 2,
    spec: cf.FeatureSpec | None = None,
    trees: int = 5,
    depth: int = 3,
    seed: int = 1,
    **manifest_changes: object,
) -> Path:
    """Writes one version and returns its folder."""
    spec = spec or feature_spec()
    folder = store / model / str(version)
    folder.mkdir(parents=True)
    onnx_bytes = graph(len(spec), trees=trees, depth=depth, seed=seed).SerializeToString()
    (folder / "model.onnx").write_bytes(onnx_bytes)
    golden = golden_bytes(onnx_bytes, features=len(spec), seed=seed)
    (folder / "golden.npz").write_bytes(golden)
    manifest = {
        "format": "candlewire-bundle",
        "format_version": 1,
        "model": model,
        "version": version,
        "created_at": "2026-01-01T00:00:00Z",
        "timeframe": timeframe,
        "horizon_bars": horizon_bars,
        "asset_class": "equity",
        "symbols": list(symbols),
        "classes": ["DOWN", "UP"],
        "feature_spec": json.loads(spec.canonical_json),
        "feature_spec_hash": spec.hash,
        "feature_names": list(spec.names),
        "members": ["trees"],
        "onnx": {"file": "model.onnx", "sha256": sha256(onnx_bytes)},
        "golden": {
            "file": "golden.npz",
            "sha256": sha256(golden),
            "rows": 64,
            "absolute_tolerance": 1e-6,
        },
        "band": {"target_coverage": 0.9, "eta": 0.02, "initial_multiplier": 1.0},
        "policy": {},
        "training": {},
    } | manifest_changes
    (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True), encoding="utf-8")
    return folder


def replace_graph(folder: Path, content: bytes) -> None:
    """Puts another graph into a version, with golden vectors and hashes to match."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    golden = golden_bytes(content, features=len(manifest["feature_names"]))
    (folder / "model.onnx").write_bytes(content)
    (folder / "golden.npz").write_bytes(golden)
    manifest["onnx"]["sha256"] = sha256(content)
    manifest["golden"]["sha256"] = sha256(golden)
    (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True), encoding="utf-8")
