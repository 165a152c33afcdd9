"""Versions come and go for as long as the server runs: what they took goes with them."""

import os
import shutil
import sys
from pathlib import Path

import bundles
import pytest
from candlewire_proto.v1 import models_pb2, scoring_pb2
from conftest import RunningServer, running_server

# `make soak` asks for more.
RELOADS = int(os.environ.get("CANDLEWIRE_SOAK_RELOADS", "50"))
WARM_RELOADS = 20
VERSION = 20_260_101_000_000
ROW = [0.01, 0.02, -0.01, 0.005]


def resident_mb(server: RunningServer) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1_024


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

        scored = [reload(number) for number in range(WARM_RELOADS)]
        assert len(set(scored)) == 2, "each reload brought the other bundle"
        before_mb = resident_mb(server)
        for number in range(RELOADS):
            reload(number)
        after_mb = resident_mb(server)
        with capsys.disabled():
            sys.stdout.write(f" {before_mb:.1f} MB, after {RELOADS} reloads {after_mb:.1f} MB ")
        assert after_mb <= 1.05 * before_mb
        assert server.stop() == 0
