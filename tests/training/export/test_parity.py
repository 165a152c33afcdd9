"""The gate lets an honest graph through and stops every kind of lie."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from candlewire_training.arrays import F32, F64
from candlewire_training.errors import ParityError
from candlewire_training.export import bundle as bundle_module
from candlewire_training.export.fused_graph import build_fused_graph
from candlewire_training.export.parity import check_parity
from candlewire_training.export.parity_rows import parity_rows, rows_beside_decisions
from candlewire_training.pipeline import TrainedModel
from candlewire_training.progress import StepProgress
from onnx import helper

FORBIDDEN = {"Log", "Softplus", "Einsum", "LinearClassifier", "ReduceSum", "ReduceMean"}


@pytest.fixture(scope="module")
def graph(trained: TrainedModel) -> onnx.ModelProto:
    return build_fused_graph(trained.model, features=len(trained.spec.names), metadata={})


@pytest.fixture(scope="module")
def rows(trained: TrainedModel) -> F32:
    return parity_rows(trained.samples.X, trained.model.split_points(), seed=1, rows=12_000)


def changed(graph: onnx.ModelProto, change: Callable[[onnx.NodeProto], bool]) -> bytes:
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    assert sum(change(node) for node in copy.graph.node) == 1
    return copy.SerializeToString()


def check(trained: TrainedModel, graph: bytes, rows: F32) -> None:
    check_parity(trained.model, graph, rows, decision_thresholds=trained.settings.decision_thresholds)


def test_an_honest_graph_passes(trained: TrainedModel, graph: onnx.ModelProto, rows: F32) -> None:
    report = check_parity(
        trained.model,
        graph.SerializeToString(),
        rows,
        decision_thresholds=trained.settings.decision_thresholds,
    )
    assert report.rows >= 10_000
    assert report.largest_probability_difference <= 1e-5
    assert report.batch_sizes == (1, 7, 64, 1024)
    assert all(counts["flips"] == 0 for counts in report.decisions.values())
    # The check means something: decisions lie on both sides of at least three thresholds.
    both = [name for name, counts in report.decisions.items() if min(counts["above"], counts["below"]) > 100]
    assert len(both) >= 3


def test_the_rows_hold_thresholds_and_their_neighbours(trained: TrainedModel, rows: F32) -> None:
    points = {(f, float(t)) for f, thresholds in trained.model.split_points() for t in thresholds}
    present = [set(rows[:, column].tolist()) for column in range(rows.shape[1])]
    hit = [
        (f, t)
        for f, t in points
        if t in present[f] and float(np.nextafter(np.float32(t), np.float32(-9e9))) in present[f]
    ]
    assert len(hit) >= min(len(points), 300)
    assert np.isfinite(rows).all()
    assert rows.shape[0] >= 10_000


def test_few_real_rows_still_make_enough() -> None:
    X = np.random.default_rng(1).standard_normal((50, 4)).astype(np.float32)
    assert parity_rows(X, [], seed=1).shape[0] >= 100_000


def test_rows_stand_on_both_sides_of_decisions(trained: TrainedModel) -> None:
    def up(X: F32) -> F64:
        return trained.model.direction.apply(X)[0][:, -1]

    X = trained.samples.X
    median = float(np.median(up(X)))
    beside = rows_beside_decisions(up, X, (median,), seed=1)
    pairs = beside.shape[0] // 2
    low, high = up(beside[:pairs])[:64], up(beside[pairs:])[:64]
    assert (low < median).all()
    assert (high >= median).all()
    # Neighbours in float32, one on each side of a jump of a tree.
    np.testing.assert_allclose(beside[:64], beside[pairs : pairs + 64], rtol=1e-4, atol=1e-4)
    assert (
        rows_beside_decisions(up, X, (2.0,), seed=1).shape == rows_beside_decisions(up, X, (), seed=1).shape
    )


def test_a_changed_leaf_is_caught(trained: TrainedModel, graph: onnx.ModelProto, rows: F32) -> None:
    def change(node: onnx.NodeProto) -> bool:
        if node.op_type != "TreeEnsembleRegressor":
            return False
        (weights,) = [a for a in node.attribute if a.name == "target_weights"]
        weights.floats[0] += 1e-3
        return True

    with pytest.raises(ParityError, match="differs by"):
        check(trained, changed(graph, change), rows)


def test_a_turned_comparison_is_caught(trained: TrainedModel, graph: onnx.ModelProto, rows: F32) -> None:
    def change(node: onnx.NodeProto) -> bool:
        if node.op_type != "TreeEnsembleRegressor":
            return False
        (modes,) = [a for a in node.attribute if a.name == "nodes_modes"]
        modes.strings[:] = [b"BRANCH_LEQ" if mode == b"BRANCH_LT" else mode for mode in modes.strings]
        return True

    # Only rows exactly at a threshold can tell < from <=.
    with pytest.raises(ParityError):
        check(trained, changed(graph, change), rows)


def test_a_wrong_band_is_caught(trained: TrainedModel, graph: onnx.ModelProto, rows: F32) -> None:
    band = replace(trained.model.band, multiplier=trained.model.band.multiplier * 1.001)
    with pytest.raises(ParityError, match="band_"):
        check_parity(
            replace(trained.model, band=band), graph.SerializeToString(), rows, decision_thresholds=(0.6, 0.4)
        )


def test_a_result_that_is_not_finite_is_caught(
    trained: TrainedModel, graph: onnx.ModelProto, rows: F32
) -> None:
    def change(node: onnx.NodeProto) -> bool:
        if list(node.output) != ["dissimilarity"]:
            return False
        node.op_type = "Reshape"
        node.input[0] = overflowing
        return True

    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    (last,) = [node for node in copy.graph.node if list(node.output) == ["dissimilarity"]]
    overflowing = "overflowing"
    index = list(copy.graph.node).index(last)
    copy.graph.node.insert(index, helper.make_node("Reciprocal", ["zeroes"], [overflowing]))
    copy.graph.node.insert(index, helper.make_node("Sub", [last.input[0], last.input[0]], ["zeroes"]))
    with pytest.raises(ParityError, match="dissimilarity of the graph is not finite"):
        check(trained, changed(copy, change), rows)


def test_only_operators_that_are_the_same_in_any_batch(graph: onnx.ModelProto) -> None:
    operators = {node.op_type for node in graph.graph.node}
    assert "TreeEnsembleRegressor" in operators
    assert not operators & FORBIDDEN
    assert {(o.domain, o.version) for o in graph.opset_import} == {("", 21), ("ai.onnx.ml", 3)}
    assert graph.ir_version == 10


def test_nothing_is_written_when_the_gate_fails(
    trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(*args: object, **keywords: object) -> onnx.ModelProto:
        copy = build_fused_graph(*args, **keywords)  # type: ignore[arg-type]
        for node in copy.graph.node:
            for attribute in node.attribute:
                if attribute.name == "target_weights":
                    attribute.floats[0] += 1e-3
        return copy

    monkeypatch.setattr(bundle_module, "build_fused_graph", lying)
    with pytest.raises(ParityError, match="nothing was written"):
        bundle_module.write_bundle(trained, tmp_path, StepProgress(quiet=True))
    assert list(tmp_path.iterdir()) == []
