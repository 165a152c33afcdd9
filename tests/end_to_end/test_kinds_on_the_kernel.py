"""Every kind of model that training exports has ONNX Runtime's bits on the tree kernel, in any batch."""

from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import polars as pl
import pyarrow.parquet
import pytest
from candlewire_server.file_scoring import FileScoring, ScoredFile
from candlewire_server.settings.sections import TreeKernel
from candlewire_training.export.bundle import Bundle
from candlewire_training.members.contract import KINDS

from tests.training.members.write_bundles import write_kind

BATCHES = (1, 2, 7, 8, 63, 64, 65, 1000, 1024)
FORCED: tuple[TreeKernel, ...] = ("portable", "avx2", "avx512")
TREES = 60
"""Enough for `auto` to choose the kernel on every machine."""

BUNDLES = [*(((kind,), classes) for kind in KINDS for classes in (2, 3)), (KINDS, 2), (KINDS, 3)]


def thresholds(model: onnx.ModelProto) -> dict[int, np.ndarray]:
    """Every threshold of every feature, of all trees of the graph."""
    found: dict[int, list[float]] = {}
    for node in model.graph.node:
        if node.op_type not in {"TreeEnsembleClassifier", "TreeEnsembleRegressor"}:
            continue
        attributes = {attribute.name: attribute for attribute in node.attribute}
        values = attributes.get("nodes_values_as_tensor")
        limits = onnx.numpy_helper.to_array(values.t) if values else attributes["nodes_values"].floats
        for feature, mode, limit in zip(
            attributes["nodes_featureids"].ints, attributes["nodes_modes"].strings, limits, strict=True
        ):
            if mode != b"LEAF":
                found.setdefault(feature, []).append(float(limit))
    return {feature: np.unique(np.asarray(limits, dtype=np.float32)) for feature, limits in found.items()}


def rows_for(bundle: Bundle, names: list[str]) -> pl.DataFrame:
    """Golden rows, moved onto thresholds and to the floats beside them, in row groups of `BATCHES`."""
    random = np.random.default_rng(11)
    golden = np.load(bundle.folder / "golden.npz")["features"]
    golden = golden[np.isfinite(golden).all(axis=1)]
    rows = golden[random.integers(len(golden), size=max(BATCHES))].copy()
    for feature, limits in thresholds(onnx.load(bundle.folder / "model.onnx")).items():
        moved = np.flatnonzero(random.random(len(rows)) < 0.5)
        limit = random.choice(limits, size=len(moved))
        beside = [limit, np.nextafter(limit, np.float32(np.inf)), np.nextafter(limit, np.float32(-np.inf))]
        rows[moved, feature] = np.choose(random.integers(3, size=len(moved)), beside)
    return pl.DataFrame({name: rows[:, at] for at, name in enumerate(names)})


def score(bundle: Bundle, source: Path, kernel: TreeKernel) -> tuple[pl.DataFrame, ScoredFile]:
    request = FileScoring(
        store=bundle.folder.parents[1],
        model=bundle.folder.parent.name,
        source=source,
        target=source.with_name(f"{kernel}.parquet"),
        members=True,
        batch_rows=max(BATCHES),
        tree_kernel=kernel,
    )
    summary = request.run()
    return pl.read_parquet(request.target), summary


@pytest.mark.parametrize(("members", "classes"), BUNDLES, ids=[f"{len(m)}-{m[0]}-{c}" for m, c in BUNDLES])
def test_a_kind_keeps_its_bits(members: tuple[str, ...], classes: int, tmp_path: Path) -> None:
    bundle = write_kind(tmp_path / "store", members, classes, trees=TREES)
    names = bundle.manifest["feature_names"]
    rows = rows_for(bundle, names)
    source = tmp_path / "rows.parquet"
    table = rows.to_arrow()
    with pyarrow.parquet.ParquetWriter(source, table.schema) as writer:
        for batch in BATCHES:
            writer.write_table(table.slice(0, batch), row_group_size=batch)

    wanted, summary = score(bundle, source, "off")
    assert summary.rows == sum(BATCHES)
    assert summary.rows_not_ready == summary.rows_not_finite == 0
    assert wanted["probability_up"].n_unique() > 20, "the rows differ"
    whole = wanted.tail(max(BATCHES))
    start = 0
    for batch in BATCHES:
        assert wanted.slice(start, batch).equals(whole.head(batch)), f"a batch of {batch} has other bits"
        start += batch

    trees = set(members) != {"logistic"}
    for kernel in ("auto", *FORCED):
        got, summary = score(bundle, source, kernel)
        assert bool(summary.tree_nodes) == trees
        # The band's quantile trees are few: `auto` may leave them where they are.
        on_kernel = ["on the tree kernel" in node for node in summary.tree_nodes]
        assert any(on_kernel) == trees, summary.tree_nodes
        assert all(on_kernel) or kernel == "auto", summary.tree_nodes
        assert got.equals(wanted), kernel
