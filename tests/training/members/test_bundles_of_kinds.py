"""A bundle of other kinds than the default is written whole, and its folder is one that Triton can load."""

import json
from pathlib import Path

import onnx
import pytest
from candlewire_training.members.contract import KINDS

from tests.training.members.write_bundles import write_kind


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


def test_all_kinds_together_in_three_classes(store: Path) -> None:
    bundle = write_kind(store, KINDS, 3, trees=15)
    manifest = json.loads((bundle.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["members"] == list(KINDS)
    assert manifest["classes"] == ["DOWN", "SIDEWAYS", "UP"]
    parity = manifest["onnx"]["parity"]
    assert parity["rows"] >= 100_000
    assert parity["largest_probability_difference"] <= 1e-5
    assert all(counts["flips"] == 0 for counts in parity["decisions"].values())


def test_the_folder_is_a_model_repository_without_a_configuration(store: Path) -> None:
    (model,) = [folder for folder in store.iterdir() if folder.is_dir()]
    (version,) = [folder for folder in model.iterdir() if folder.is_dir()]
    # Triton reads the version as a 64-bit number and completes the rest from the graph.
    assert 0 < int(version.name) < 2**63
    assert not (model / "config.pbtxt").exists()
    graph = onnx.load(version / "model.onnx")
    for tensor in (*graph.graph.input, *graph.graph.output):
        assert tensor.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        # A named first dimension in every tensor: Triton may batch.
        assert tensor.type.tensor_type.shape.dim[0].dim_param == "N"
    assert {operators.domain for operators in graph.opset_import} == {"", "ai.onnx.ml"}
    assert not {tensor.name for tensor in graph.graph.input} & {i.name for i in graph.graph.initializer}
