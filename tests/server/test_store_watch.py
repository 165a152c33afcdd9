"""The store is looked at: what operators copy in or deploy serves without a word to the server."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import bundles
from candlewire_proto.v1 import scoring_pb2
from conftest import RunningServer, running_server
from grpc_health.v1 import health_pb2, health_pb2_grpc

OLD, NEW, NEWER = 20_260_101_000_000, 20_260_201_000_000, 20_260_301_000_000
ROW = [0.01, 0.02, -0.01, 0.005]
WATCH = ("--set", "server.store_watch_ms=50")
WAIT_S = 20


def eventually(condition: Callable[[], bool], problem: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, problem
        time.sleep(0.02)


def version_of(server: RunningServer, model: str = "") -> int:
    request = scoring_pb2.ScoreRequest(features=ROW, model=model)
    return server.scoring.Score(request, timeout=10).model_version


def test_a_version_that_is_copied_in_slowly_serves_once_it_is_whole(tmp_path: Path) -> None:
    store = tmp_path / "store"
    bundles.write_bundle(store, version=OLD)
    made = bundles.write_bundle(tmp_path / "elsewhere", version=NEW, seed=2)
    with running_server(store, tmp_path, *WATCH) as server:
        arriving = store / "daily" / str(NEW)
        arriving.mkdir()
        for name in ("manifest.json", "golden.npz", "model.onnx"):
            content = (made / name).read_bytes()
            for end in (len(content) // 2, len(content)):
                (arriving / name).write_bytes(content[:end])
                assert version_of(server) == OLD
                # Long enough for the server to look in between; it finds no version that is whole.
                time.sleep(0.15)
        eventually(lambda: version_of(server) == NEW, "the version was not found")
        health = health_pb2_grpc.HealthStub(server.channel("data"))
        bundles.write_bundle(store, model="hourly", timeframe="1h", version=NEW, seed=3)
        eventually(lambda: "hourly" in log_of(tmp_path), "the model was not found")
        eventually(lambda: version_of(server, "hourly") == NEW, "the model does not serve")
        asked = health_pb2.HealthCheckRequest(service="hourly")
        serving = health_pb2.HealthCheckResponse.SERVING
        eventually(lambda: health.Check(asked, timeout=10).status == serving, "health does not know it")


def test_a_deployment_that_is_written_is_followed_and_a_broken_one_is_not(tmp_path: Path) -> None:
    store = tmp_path / "store"
    for seed, version in enumerate((OLD, NEW), start=1):
        bundles.write_bundle(store, version=version, seed=seed)

    def deploy(version: int) -> None:
        content = {"format_version": 1, "models": {"daily": {"production": version}}}
        (store / "deployment.json").write_text(json.dumps(content), encoding="utf-8")

    deploy(OLD)
    with running_server(store, tmp_path, *WATCH) as server:
        assert version_of(server) == OLD
        deploy(NEW)
        eventually(lambda: version_of(server) == NEW, "the deployment is not followed")
        (store / "deployment.json").write_text("{", encoding="utf-8")
        eventually(lambda: "cannot be read; what served goes on" in log_of(tmp_path), "nothing is told")
        assert version_of(server) == NEW
        shutil.move(store, tmp_path / "away")
        eventually(lambda: log_of(tmp_path).count("cannot be read; what served") == 2, "nothing is told")
        assert version_of(server) == NEW
        shutil.move(tmp_path / "away", store)
        deploy(OLD)
        eventually(lambda: version_of(server) == OLD, "the store came back and is not read")


def test_a_store_is_left_alone_when_nobody_watches(tmp_path: Path) -> None:
    store = tmp_path / "store"
    bundles.write_bundle(store, version=OLD)
    with running_server(store, tmp_path, "--set", "server.store_watch_ms=0") as server:
        bundles.write_bundle(store, version=NEW, seed=2)
        time.sleep(0.3)
        assert version_of(server) == OLD


def log_of(folder: Path) -> str:
    return (folder / "server.log").read_text(encoding="utf-8")
