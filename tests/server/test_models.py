"""Moving between versions: checked before, atomic, and nothing that is broken ever serves."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import bundles
import candlewire_features as cf
import grpc
import pytest
from candlewire_proto.v1 import models_pb2, scoring_pb2
from conftest import RunningServer, running_server
from wire_errors import wire_error

OLD, NEW = 20_260_101_000_000, 20_260_201_000_000
ROW = [0.01, 0.02, -0.01, 0.005]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server over a store of its own."""
    bundles.write_bundle(tmp_path / "store", version=OLD)
    with running_server(tmp_path / "store", tmp_path) as running:
        yield running


def scored_by(server: RunningServer, **request: object) -> int:
    return server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW, **request)).model_version


def states(server: RunningServer) -> dict[int, str]:
    models = server.models.ListModels(models_pb2.ListModelsRequest()).models
    return {
        model.version: models_pb2.ModelState.Name(model.state).removeprefix("MODEL_STATE_")
        for model in models
    }


def promote(server: RunningServer, version: int = NEW) -> models_pb2.PromoteModelResponse:
    return server.models.PromoteModel(
        models_pb2.PromoteModelRequest(model="daily", version=version, reason="a test")
    )


def deploy(server: RunningServer, versions: dict[str, object]) -> None:
    deployment = {"format_version": 1, "default_model": "daily", "models": {"daily": versions}}
    (server.store / "deployment.json").write_text(json.dumps(deployment), encoding="utf-8")
    server.models.ReloadModels(models_pb2.ReloadModelsRequest())


def test_without_a_deployment_file_the_newest_version_is_production(server: RunningServer) -> None:
    bundles.write_bundle(server.store, version=NEW, seed=2)
    assert scored_by(server) == OLD
    server.models.ReloadModels(models_pb2.ReloadModelsRequest())
    assert scored_by(server) == NEW


def test_a_version_is_promoted_and_rolled_back(server: RunningServer) -> None:
    bundles.write_bundle(server.store, version=NEW, seed=2)
    assert scored_by(server) == OLD
    response = promote(server)
    assert (response.model.version, response.previous_version) == (NEW, OLD)
    assert scored_by(server) == NEW
    deployed = json.loads((server.store / "deployment.json").read_text(encoding="utf-8"))
    assert deployed["models"]["daily"]["production"] == NEW
    rolled_back = server.models.RollbackModel(models_pb2.RollbackModelRequest(model="daily", reason="a test"))
    assert (rolled_back.model.version, rolled_back.previous_version) == (OLD, NEW)
    assert scored_by(server) == OLD
    ledger = (server.store / "promotions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["action"] for line in ledger] == ["promote", "rollback"]
    with pytest.raises(grpc.RpcError) as raised:
        server.models.RollbackModel(models_pb2.RollbackModelRequest(model="daily"))
    assert wire_error(raised.value).reason == "NOTHING_TO_ROLL_BACK"


def test_a_swap_under_load_fails_no_request(server: RunningServer) -> None:
    bundles.write_bundle(server.store, version=NEW, seed=2)
    done = threading.Event()
    versions: set[int] = set()
    errors: list[grpc.RpcError] = []
    swapped_seen = threading.Event()

    def load() -> None:
        while not done.is_set():
            try:
                version = scored_by(server)
            except grpc.RpcError as error:
                errors.append(error)
                return
            versions.add(version)
            if version == NEW:
                swapped_seen.set()

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    promote(server)
    assert swapped_seen.wait(10)
    for version in (OLD, NEW) * 3:
        promote(server, version)
    done.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert versions <= {OLD, NEW}


def corrupt_onnx(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:-200] + b"\0" * 200)


def rehash(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    key = "onnx" if name == "model.onnx" else "golden"
    manifest[key]["sha256"] = bundles.sha256(content)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def change(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps(manifest | changes), encoding="utf-8")


def garbled_golden(folder: Path) -> bytes:
    return (folder / "golden.npz").read_bytes()[:300]


def compare_symbols(folder: Path) -> None:
    """Gives the version a spec whose second feature ranks the symbols of a panel."""
    spec = cf.FeatureSpec([COMPARED, ("rank_of_return", "cross_section", {"of": COMPARED[0]}, "rank")])
    change(
        folder,
        feature_spec=json.loads(spec.canonical_json),
        feature_spec_hash=spec.hash,
        feature_names=list(spec.names),
    )


COMPARED = ("log_return_1", "log_return", {"timeperiod": 1})
BROKEN = {
    "features that compare symbols": (compare_symbols, "compares symbols"),
    "corrupt graph": (corrupt_onnx, "model.onnx hashes to"),
    "graph that is none, with its right hash": (
        lambda f: rehash(f, "model.onnx", b"not a graph"),
        "model.onnx:",
    ),
    "truncated golden vectors": (lambda f: rehash(f, "golden.npz", garbled_golden(f)), "golden.npz:"),
    "golden vectors of another model": (
        lambda f: rehash(f, "golden.npz", bundles.golden_bytes(seed=9)),
        "golden row 0: probabilities[0]",
    ),
    "graph of another width": (
        lambda f: rehash(f, "model.onnx", bundles.graph(7).SerializeToString()),
        "has shape",
    ),
    "manifest that is no JSON": (lambda f: (f / "manifest.json").write_text("{"), "manifest.json:"),
    "other format": (lambda f: change(f, format_version=2), "format is"),
    "other spec hash": (lambda f: change(f, feature_spec_hash="0" * 64), "feature_spec hashes to"),
    "renamed features": (lambda f: change(f, feature_names=["a", "b", "c", "d"]), "feature_names differ"),
    "other folder": (lambda f: change(f, version=5), "the folder daily/"),
    "classes without UP": (lambda f: change(f, classes=["DOWN", "FLAT"]), 'lack "UP"'),
    "coverage of one": (
        lambda f: change(f, band={"target_coverage": 1.0, "eta": 0.02, "initial_multiplier": 1.0}),
        "out of range",
    ),
    "path out of the bundle": (
        lambda f: change(f, onnx={"file": "../../../model.onnx", "sha256": "0" * 64}),
        "outside the bundle",
    ),
    "golden vectors that let all pass": (
        lambda f: change(
            f, golden=json.loads((f / "manifest.json").read_text())["golden"] | {"absolute_tolerance": 1e9}
        ),
        "golden.absolute_tolerance",
    ),
    "missing graph": (lambda f: (f / "model.onnx").unlink(), "model.onnx:"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_version_never_serves_and_says_why(server: RunningServer, case: str) -> None:
    damage, text = BROKEN[case]
    damage(bundles.write_bundle(server.store, version=NEW))
    with pytest.raises(grpc.RpcError) as raised:
        promote(server)
    error = wire_error(raised.value)
    assert error.reason == "VERSION_NOT_READY"
    assert text in error.message
    assert scored_by(server) == OLD
    deploy(server, {"production": NEW})
    assert states(server)[NEW] == "FAILED"
    failed = server.models.GetModel(models_pb2.GetModelRequest(model="daily", version=NEW)).model
    assert text in failed.failure
    assert scored_by(server) == OLD, "what served goes on"


def test_a_canary_answers_for_its_share_of_symbols(server: RunningServer) -> None:
    bundles.write_bundle(server.store, version=NEW, seed=2)
    deploy(server, {"production": OLD, "canary": {"version": NEW, "share": 0.5}})
    by_symbol = {f"S{index}": scored_by(server, symbol=f"S{index}") for index in range(100)}
    assert 30 < sum(version == NEW for version in by_symbol.values()) < 70
    assert by_symbol == {symbol: scored_by(server, symbol=symbol) for symbol in by_symbol}, "stable"
    assert scored_by(server) == OLD


def test_an_undeployed_version_is_not_loaded_by_a_request(server: RunningServer) -> None:
    bundles.write_bundle(server.store, version=NEW)
    deploy(server, {"production": OLD})
    assert states(server) == {NEW: "AVAILABLE", OLD: "READY"}
    with pytest.raises(grpc.RpcError) as raised:
        scored_by(server, model="daily", model_version=NEW)
    assert wire_error(raised.value).reason == "VERSION_NOT_READY"


def test_a_model_is_described(server: RunningServer) -> None:
    response = server.models.GetModel(models_pb2.GetModelRequest(model="daily"))
    assert response.model.feature_names == [f"log_return_{lag}" for lag in bundles.LAGS]
    assert response.model.role == scoring_pb2.DEPLOYMENT_ROLE_PRODUCTION
    assert json.loads(response.manifest_json)["model"] == "daily"
    with pytest.raises(grpc.RpcError) as raised:
        server.models.ListModels(models_pb2.ListModelsRequest(model="hourly"))
    assert wire_error(raised.value).reason == "MODEL_NOT_FOUND"
