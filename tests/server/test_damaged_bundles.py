"""Bundles that are not what they say: a graph that is another, bytes that are damaged anywhere."""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import bundles
import grpc
import numpy as np
import onnx
import pytest
from candlewire_proto.v1 import models_pb2, scoring_pb2
from conftest import RunningServer, running_server
from onnx import TensorProto, helper
from test_models import rehash
from wire_errors import wire_error

OLD, NEW = 20_260_101_000_000, 20_260_201_000_000
ROW = [0.01, 0.02, -0.01, 0.005]
# `make soak` asks for more.
DAMAGES = int(os.environ.get("CANDLEWIRE_SOAK_DAMAGES", "20"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server over a store whose newest version is written anew by each test."""
    store = tmp_path_factory.mktemp("store")
    bundles.write_bundle(store, version=OLD)
    bundles.write_bundle(store, version=NEW, seed=2)
    with running_server(store, tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.process.poll() is None, "the server died under its tests"


def refusal(server: RunningServer) -> str:
    """Why the newest version does not serve; the older one goes on."""
    request = models_pb2.PromoteModelRequest(model="daily", version=NEW, reason="a test")
    with pytest.raises(grpc.RpcError) as raised:
        server.models.PromoteModel(request, timeout=30)
    error = wire_error(raised.value)
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "VERSION_NOT_READY")
    answer = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
    assert answer.model_version == OLD
    return error.message


@pytest.fixture
def folder(server: RunningServer) -> Iterator[Path]:
    """The newest version; whole again behind the test."""
    promote = models_pb2.PromoteModelRequest(model="daily", version=OLD, reason="a test")
    server.models.PromoteModel(promote, timeout=30)
    whole = {path: path.read_bytes() for path in (server.store / "daily" / str(NEW)).iterdir()}
    yield server.store / "daily" / str(NEW)
    for path, content in whole.items():
        path.write_bytes(content)


def opset(domain: str, version: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        (found,) = [entry for entry in model.opset_import if entry.domain == domain]
        found.version = version

    return change


def foreign_operator(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("of.nobody", 1))
    (node,) = [node for node in model.graph.node if node.op_type == "Sigmoid"]
    node.domain = "of.nobody"


def without_output(model: onnx.ModelProto) -> None:
    (output,) = [output for output in model.graph.output if output.name == "band_high"]
    model.graph.output.remove(output)


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["N", 1]))
    model.graph.node.append(helper.make_node("Identity", ["more"], ["unused"]))


def renamed_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "rows"
    for node in model.graph.node:
        node.input[:] = ["rows" if name == "features" else name for name in node.input]


def double_output(model: onnx.ModelProto) -> None:
    (node,) = [node for node in model.graph.node if "dissimilarity" in node.output]
    node.output[0] = "single"
    model.graph.node.append(helper.make_node("Cast", ["single"], ["dissimilarity"], to=TensorProto.DOUBLE))
    (output,) = [output for output in model.graph.output if output.name == "dissimilarity"]
    output.type.tensor_type.elem_type = TensorProto.DOUBLE


def three_classes(model: onnx.ModelProto) -> None:
    (node,) = [node for node in model.graph.node if "probabilities" in node.output]
    node.input.append("up")
    for output in model.graph.output:
        if output.name in {"probabilities", "member_probabilities"}:
            output.type.tensor_type.shape.dim[-1].dim_value = 3


def turned_threshold(model: onnx.ModelProto) -> None:
    (node,) = [node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor"]
    (values,) = [attribute for attribute in node.attribute if attribute.name == "target_weights"]
    values.floats[:] = [-value for value in values.floats]


CHANGED = {
    "operators of a later time": (opset("", 99), "model.onnx:"),
    "operators of no time": (opset("", 0), "model.onnx:"),
    "trees of a later time": (opset("ai.onnx.ml", 99), "model.onnx:"),
    "an operator that nobody knows": (foreign_operator, "of.nobody"),
    "an output less": (without_output, "band_high"),
    "an input more": (second_input, "model.onnx:"),
    "an input of another name": (renamed_input, "features"),
    "an output of another type": (double_output, "dissimilarity"),
    "a class more": (three_classes, "probabilities"),
    "other leaves": (turned_threshold, "golden row 0"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_graph_that_is_not_the_bundles_is_refused_though_its_hash_is_right(
    server: RunningServer, folder: Path, case: str
) -> None:
    change, text = CHANGED[case]
    model = onnx.load_from_string((folder / "model.onnx").read_bytes())
    change(model)
    rehash(folder, "model.onnx", model.SerializeToString())
    assert text in refusal(server)


def save_golden(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    with np.load(folder / "golden.npz") as held:
        arrays = dict(held)
    change(arrays)
    np.savez(folder / "changed.npz", **arrays)
    content = (folder / "changed.npz").read_bytes()
    (folder / "changed.npz").unlink()
    rehash(folder, "golden.npz", content)


GOLDEN: dict[str, tuple[Callable[[dict[str, np.ndarray]], object], str]] = {
    "no rows": (lambda a: a.update({name: value[:0] for name, value in a.items()}), "shapes differ"),
    "a row less of one output": (lambda a: a.update(band_mid=a["band_mid"][:-1]), "band_mid has 63 values"),
    "an output less": (lambda a: a.pop("dissimilarity"), "golden.npz"),
    "doubles": (lambda a: a.update(features=a["features"].astype(np.float64)), "golden.npz"),
    "a feature less": (lambda a: a.update(features=a["features"][:, 1:]), "shapes differ"),
    "one value that is none": (lambda a: a["band_high"].__setitem__(63, np.nan), "golden row 63: band_high"),
    "one value a little off": (lambda a: a["band_low"].__setitem__(5, 0.5), "golden row 5: band_low"),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_vectors_that_disagree_are_refused_though_their_hash_is_right(
    server: RunningServer, folder: Path, case: str
) -> None:
    change, text = GOLDEN[case]
    save_golden(folder, change)
    assert text in refusal(server)


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
def test_a_file_damaged_anywhere_is_refused(server: RunningServer, folder: Path, name: str) -> None:
    generator = random.Random(name)  # noqa: S311 - reproducible damage
    whole = (folder / name).read_bytes()
    for number in range(DAMAGES):
        content, at = bytearray(whole), generator.randrange(len(whole))
        match number % 4:
            case 0:
                content[at] ^= 1 << generator.randrange(8)
            case 1:
                del content[at:]
            case 2:
                del content[at]
            case _:
                content[at:at] = generator.randbytes(3)
        (folder / name).write_bytes(content)
        assert f"{name} hashes to" in refusal(server)


def test_a_graph_damaged_anywhere_never_ends_the_server_though_its_hash_is_right(
    server: RunningServer, folder: Path
) -> None:
    """What the hash would have caught: the graph is read all the same, and what it says is checked."""
    generator = random.Random(5)  # noqa: S311 - reproducible damage
    whole, refused = (folder / "model.onnx").read_bytes(), 0
    wanted = bundles.run_graph(whole, np.float32([ROW]))["probabilities"][0]
    promote = models_pb2.PromoteModelRequest(model="daily", version=NEW, reason="a test")
    back = models_pb2.PromoteModelRequest(model="daily", version=OLD, reason="a test")
    for number in range(DAMAGES):
        content, at = bytearray(whole), generator.randrange(len(whole))
        if number % 3:
            content[at] ^= 1 << generator.randrange(8)
        else:
            del content[at:]
        rehash(folder, "model.onnx", bytes(content))
        try:
            server.models.PromoteModel(promote, timeout=30)
        except grpc.RpcError as error:
            assert wire_error(error).reason == "VERSION_NOT_READY"  # noqa: PT017
            refused += 1
            continue
        # A name or a note was hit, or a leaf that no golden row comes to.
        answer = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
        assert list(answer.probabilities) == pytest.approx(wanted, abs=1e-5)
        server.models.PromoteModel(back, timeout=30)
    assert refused > DAMAGES // 3


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("band", {"target_coverage": 0.8, "eta": 0.02, "initial_multiplier": 1.0}),
        ("policy", {"buy_probability": 0.9}),
        ("symbols", ["ANOTHER"]),
        ("training", {"rows": 1}),
    ],
)
def test_a_manifest_that_is_not_the_one_in_the_graph_is_refused(
    server: RunningServer, folder: Path, key: str, changed: object
) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    model = onnx.load_model_from_string((folder / "model.onnx").read_bytes())
    carried = {name: value for name, value in manifest.items() if name not in {"onnx", "golden"}}
    helper.set_model_props(model, {"candlewire.manifest": json.dumps(carried)})
    bundles.replace_graph(folder, model.SerializeToString())
    request = models_pb2.PromoteModelRequest(model="daily", version=NEW, reason="as it was written")
    server.models.PromoteModel(request, timeout=30)
    request = models_pb2.PromoteModelRequest(model="daily", version=OLD, reason="back again")
    server.models.PromoteModel(request, timeout=30)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps(manifest | {key: changed}), encoding="utf-8")
    assert f"disagree about {key};" in refusal(server)
