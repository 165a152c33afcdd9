"""Shadow versions and the log of scores: both off the path of a request, both complete."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import bundles
import numpy as np
import pyarrow as pa
from candlewire_proto.v1 import scoring_pb2
from conftest import STOP_SECONDS, running_server, serve_command

ROWS = 40
PATIENCE_S = 10.0


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def metric(address: str, name: str) -> float:
    text = urllib.request.urlopen(f"http://{address}/metrics", timeout=5).read().decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name)]
    return sum(float(value) for _, value in lines)


def logged(journal: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for segment in sorted(journal.glob("scores-*.arrows")):
        rows += pa.ipc.open_stream(segment).read_all().to_pylist()
    return rows


def test_a_shadow_version_scores_what_production_scored_and_answers_nobody(tmp_path: Path) -> None:
    store, journal = tmp_path / "store", tmp_path / "journal"
    production = bundles.write_bundle(store, version=1, seed=1)
    bundles.write_bundle(store, version=2, seed=2)
    model = production.parent.name
    deployment = {
        "format_version": 1,
        "default_model": model,
        "models": {model: {"production": 1, "shadow": [2]}},
    }
    (store / "deployment.json").write_text(json.dumps(deployment), encoding="utf-8")
    rows = np.random.default_rng(3).normal(0, 0.02, (ROWS, len(bundles.LAGS))).astype(np.float32)
    with running_server(store, tmp_path, "--journal", str(journal)) as server:
        requests = [
            scoring_pb2.ScoreRequest(features=row.tolist(), symbol="AAPL", reference_price=5.0)
            for row in rows
        ]
        answers = [server.scoring.Score(request) for request in requests]
        assert {answer.model_version for answer in answers} == {1}
        assert len({answer.decision_id for answer in answers} - {"", "0"}) == ROWS
        metrics = server.addresses["metrics"]
        eventually(lambda: metric(metrics, "candlewire_shadow_rows_total") == ROWS)
        assert metric(metrics, "candlewire_shadow_disagreements_total") > 0
        assert metric(metrics, "candlewire_shadow_difference_count") == ROWS
        assert server.stop() == 0
    found = logged(journal)
    by_role = {role: [row for row in found if row["role"] == role] for role in ("production", "shadow")}
    assert len(found) == 2 * ROWS
    assert [len(entries) for entries in by_role.values()] == [ROWS, ROWS]
    assert {row["model_version"] for row in by_role["shadow"]} == {2}
    assert {str(row["decision_id"]) for row in by_role["production"]} == {a.decision_id for a in answers}
    command = [serve_command(store)[0], "replay-decisions", "--store", str(store), "--journal", str(journal)]
    replayed = subprocess.run(command, capture_output=True, text=True, timeout=STOP_SECONDS, check=False)
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout.startswith(f"{2 * ROWS} of {2 * ROWS} decisions are the same bit for bit")
