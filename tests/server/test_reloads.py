"""Versions come and go for as long as the server runs: what they took goes with them."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import bundles
import numpy as np
import pytest
from candlewire_proto.v1 import models_pb2, scoring_pb2
from conftest import RunningServer, running_server
from tritonclient import grpc as triton

# `make soak` asks for more.
RELOADS = int(os.environ.get("CANDLEWIRE_SOAK_RELOADS", "50"))
WARM_RELOADS = 20
VERSION = 20_260_101_000_000
ROW = [0.01, 0.02, -0.01, 0.005]


def resident_mb(server: RunningServer) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1_024


def stays_where_it_is(
    server: RunningServer, change: Callable[[int], object], capsys: pytest.CaptureFixture[str]
) -> None:
    """Resident memory after `RELOADS` calls of `change` is that of before, within 5 %."""
    for number in range(WARM_RELOADS):
        change(number)
    before_mb = resident_mb(server)
    for number in range(RELOADS):
        change(number)
    after_mb = resident_mb(server)
    with capsys.disabled():
        sys.stdout.write(f" {before_mb:.1f} MB, after {RELOADS} reloads {after_mb:.1f} MB ")
    assert after_mb <= 1.05 * before_mb
    assert server.stop() == 0


def test_memory_stays_where_it_is_over_many_reloads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [bundles.write_bundle(tmp_path / f"seed_{seed}", seed=seed, trees=50) for seed in (1, 2)]
    serving = tmp_path / "store" / folders[0].parent.name / str(VERSION)
    shutil.copytree(folders[0], serving)
    with running_server(tmp_path / "store", tmp_path) as server:

        def reload(number: int) -> float:
            """Puts the other bundle in the place of the one that serves; returns what it scores."""
            shutil.copytree(folders[number % 2], serving, dirs_exist_ok=True)
            server.models.ReloadModels(models_pb2.ReloadModelsRequest(), timeout=30)
            return server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=30).probability_up

        assert reload(1) != reload(0), "each reload brought the other bundle"
        stays_where_it_is(server, reload, capsys)


def test_memory_stays_where_it_is_while_a_model_is_unloaded_and_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundles.write_bundle(tmp_path / "store", trees=50)
    bundles.write_bundle(tmp_path / "store", model="hourly", timeframe="1h", seed=2, trees=50)
    with (
        running_server(tmp_path / "store", tmp_path, "--set", "server.repository_control=true") as server,
        triton.InferenceServerClient(server.addresses["data"]) as client,
    ):
        rows = triton.InferInput("features", [1, len(ROW)], "FP32")
        rows.set_data_from_numpy(np.float32([ROW]))

        def unload_and_load(_: int) -> None:
            client.unload_model("hourly")
            assert not client.is_model_ready("hourly")
            client.load_model("hourly")
            client.infer("hourly", [rows])

        stays_where_it_is(server, unload_and_load, capsys)
