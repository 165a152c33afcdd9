"""Operators see what evaluates each tree ensemble: in the log, in the answer about models, in a metric."""

import urllib.request
from pathlib import Path

import bundles
import onnx
import pytest
from candlewire_proto.v1 import models_pb2
from conftest import RunningServer, running_server


def nodes_of(server: RunningServer) -> list[str]:
    answer = server.models.GetModel(models_pb2.GetModelRequest(model="daily"))
    return list(answer.model.tree_nodes)


def gauges(server: RunningServer) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{server.addresses['metrics']}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    told = [line for line in lines if line.startswith("candlewire_tree_nodes{")]
    return {
        name: float(line.rsplit(" ", 1)[1])
        for name in ("tree_kernel", "onnxruntime")
        for line in told
        if f'evaluator="{name}"' in line
    }


@pytest.mark.parametrize(
    ("setting", "wanted", "on_kernel"),
    [
        ("portable", "5 trees on the tree kernel (portable)", True),
        ("off", "left to ONNX Runtime: engine.tree_kernel is off", False),
    ],
)
def test_what_evaluates_the_trees_is_told(
    tiny_store: Path, tmp_path: Path, setting: str, wanted: str, *, on_kernel: bool
) -> None:
    with running_server(tiny_store, tmp_path, "--tree-kernel", setting) as server:
        assert [wanted in node for node in nodes_of(server)] == [True]
        assert gauges(server) == {"tree_kernel": float(on_kernel), "onnxruntime": float(not on_kernel)}


def test_a_node_that_the_kernel_does_not_hold_is_told_once(tmp_path: Path) -> None:
    folder = bundles.write_bundle(tmp_path / "store")
    model = onnx.load(folder / "model.onnx")
    modes = next(a for n in model.graph.node for a in n.attribute if a.name == "nodes_modes")
    for at, mode in enumerate(modes.strings):
        modes.strings[at] = b"BRANCH_EQ" if mode == b"BRANCH_LT" else mode
    bundles.replace_graph(folder, model.SerializeToString())
    with running_server(tmp_path / "store", tmp_path) as server:
        assert ["left to ONNX Runtime" in node for node in nodes_of(server)] == [True]
        assert gauges(server) == {"tree_kernel": 0.0, "onnxruntime": 1.0}
    log = (tmp_path / "server.log").read_text(encoding="utf-8")
    assert log.count("left to ONNX Runtime") == 1
