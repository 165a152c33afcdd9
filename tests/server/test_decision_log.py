"""Every row that is answered is in the log of decisions, whichever way it was asked for."""

import os
import time
from pathlib import Path

import bundles
import numpy as np
import pyarrow as pa
import pytest
from candlewire_proto.v1 import scoring_pb2
from conftest import running_server
from test_bars import bar, publish
from test_journal import replay_decisions
from tritonclient import grpc as triton

ROWS = np.random.default_rng(4).normal(0, 0.02, (37, len(bundles.LAGS))).astype(np.float32)
DAY_S = 86_400


def logged(journal: Path) -> list[dict[str, object]]:
    segments = [pa.ipc.open_stream(path).read_all() for path in sorted(journal.glob("scores-*.arrows"))]
    return [row for segment in segments for row in segment.to_pylist()]


def test_batches_and_open_inference_are_logged_as_they_were_answered(
    tiny_store: Path, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with running_server(tiny_store, tmp_path, "--journal", str(journal)) as server:
        # Outcomes move the multiplier of the bands away from where it begins.
        publish(server, *(bar(day) for day in range(1, 60)))
        request = scoring_pb2.ScoreBatchRequest(features=ROWS.tobytes(), rows=len(ROWS))
        batch = server.scoring.ScoreBatch(request, timeout=10)
        tensor = triton.InferInput("features", list(ROWS.shape), "FP32")
        tensor.set_data_from_numpy(ROWS)
        with triton.InferenceServerClient(server.addresses["data"]) as client:
            answer = client.infer("daily", [tensor], parameters={"symbol": "AAPL", "timeframe": "1d"})
        single = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROWS[0].tolist()), timeout=10)
        assert server.stop() == 0
    found = {int(row["decision_id"]): row for row in logged(journal)}
    assert len(found) == 2 * len(ROWS) + 1
    first_of_answer = answer.get_response().parameters["first_decision_id"].string_param
    band_low = np.frombuffer(batch.band_low, np.float32)
    for index, row in enumerate(ROWS):
        of_batch, of_answer = (
            found[int(first) + index] for first in (batch.first_decision_id, first_of_answer)
        )
        assert (of_batch["symbol"], of_batch["timeframe"]) == ("", "")
        assert (of_answer["symbol"], of_answer["timeframe"]) == ("AAPL", "1d")
        for entry, low in ((of_batch, band_low[index]), (of_answer, answer.as_numpy("band_low")[index, 0])):
            assert entry["features"] == row.tobytes()
            assert entry["role"] == "production"
            assert np.frombuffer(entry["band"], np.float32)[0] == low, "the band as it was issued"
            assert entry["width_multiplier"] != 1.0
    assert found[int(single.decision_id)]["features"] == ROWS[0].tobytes()
    replayed = replay_decisions(tiny_store, journal)
    assert replayed.returncode == 0, replayed.stderr
    count = 2 * len(ROWS) + 1 + 59 - max(bundles.LAGS)
    assert replayed.stdout.startswith(f"{count} of {count} decisions are the same bit for bit")


def test_without_a_journal_no_row_says_that_it_is_logged(tiny_store: Path, tmp_path: Path) -> None:
    with running_server(tiny_store, tmp_path) as server:
        request = scoring_pb2.ScoreBatchRequest(features=ROWS.tobytes(), rows=len(ROWS))
        assert server.scoring.ScoreBatch(request, timeout=10).first_decision_id == ""


@pytest.mark.parametrize("keep_days", [0, 7])
def test_segments_that_grew_old_go_at_the_next_start(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep_days: int
) -> None:
    monkeypatch.setenv("CANDLEWIRE_JOURNAL_SEGMENT_BYTES", "4096")
    monkeypatch.setenv("CANDLEWIRE_JOURNAL_KEEP_DAYS", str(keep_days))
    journal = tmp_path / "journal"
    flags = ("--journal", str(journal), "--journal-fsync", "always")
    for first in (1, 60):
        # Each stop takes a snapshot: after two of them the first bars are not needed any more.
        with running_server(tiny_store, tmp_path, *flags) as server:
            for day in range(first, first + 59):
                publish(server, bar(day))
            for row in ROWS:
                server.scoring.Score(scoring_pb2.ScoreRequest(features=row.tolist()), timeout=10)
                if len(list(journal.glob("scores-*"))) < 2:
                    time.sleep(0.03)
            assert server.stop() == 0
    kinds = ("bars", "decisions", "scores")
    before = {kind: sorted(journal.glob(f"{kind}-*.arrows")) for kind in kinds}
    assert all(len(segments) > 2 for segments in before.values()), before
    old = time.time() - 8 * DAY_S
    for segments in before.values():
        for path in segments[:-2]:
            os.utime(path, (old, old))
    with running_server(tiny_store, tmp_path, *flags) as server:

        def swept() -> bool:
            return all(len(list(journal.glob(f"{kind}-*.arrows"))) < len(before[kind]) for kind in kinds)

        deadline = time.monotonic() + (10 if keep_days else 0.5)
        while not swept() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert swept() == bool(keep_days)
        for segments in before.values():
            assert all(path.exists() for path in segments[-2:]), "what is young stays"
        (answer,) = publish(server, bar(118))
        assert answer.journaled
        assert server.stop() == 0
    with running_server(tiny_store, tmp_path, *flags) as server:
        (answer,) = publish(server, bar(118))
        assert not answer.rejection, "the series is there after the sweep"
