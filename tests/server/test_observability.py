"""What an operator sees: every measure of the data plane moves when what it measures happens."""

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from candlewire_proto.v1 import scoring_pb2, signals_pb2
from conftest import RunningServer, running_server
from test_bars import WARM_UP, bar, publish, signals_since

if TYPE_CHECKING:
    from collections.abc import Callable

ROW = [0.01, 0.02, -0.01, 0.005]
MODEL = '{model="daily",version="20260101000000"}'
# Four bounds or more between a microsecond and a millisecond, in each decade.
FINE_BELOW_S = 1e-3


def metrics(server: RunningServer) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus would read them."""
    with urlopen(f"http://{server.addresses['metrics']}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def bounds(samples: dict[str, float], name: str) -> list[float]:
    """Bounds of the buckets of a histogram, without infinity, ascending."""
    found = {
        float(match.group(1))
        for sample in samples
        if (match := re.match(rf'{name}_bucket{{.*le="([0-9.e+-]+)"', sample))
    }
    return sorted(found)


@pytest.fixture(scope="module")
def busy(
    tiny_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, float], dict[str, float]]:
    """The metrics of a server before and after it did some of everything."""
    folder = tmp_path_factory.mktemp("busy")
    with running_server(tiny_store, folder, "--set", "limits.max_request_rows=100") as server:
        before = metrics(server)
        for _ in range(5):
            server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
        # Requests that come together wait for each other: some of them run as batches.
        futures = [server.scoring.Score.future(scoring_pb2.ScoreRequest(features=ROW)) for _ in range(500)]
        for future in futures:
            future.result(timeout=10)
        rows = np.zeros((64, len(ROW)), np.float32)
        server.scoring.ScoreBatch(scoring_pb2.ScoreBatchRequest(features=rows.tobytes(), rows=64), timeout=10)
        refused: list[Callable[[], object]] = [
            lambda: server.scoring.Score(scoring_pb2.ScoreRequest(features=[float("nan")] * 4)),
            lambda: server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW, model="absent")),
            lambda: server.scoring.ScoreBatch(scoring_pb2.ScoreBatchRequest(rows=101)),
        ]
        for call in refused:
            with pytest.raises(grpc.RpcError):
                call()
        publish(server, *(bar(day) for day in range(1, 40)))
        publish(server, bar(39), bar(40, close=-1.0))
        assert len(signals_since(server, 0, 39)) == 39
        held = server.signals.Subscribe(signals_pb2.SubscribeRequest(), timeout=20)
        next(held)
        after = metrics(server)
        held.cancel()
    return before, after


@pytest.mark.parametrize(
    "name",
    [
        "candlewire_queue_seconds",
        "candlewire_batch_wait_seconds",
        "candlewire_inference_seconds",
        "candlewire_features_seconds",
        "candlewire_request_seconds",
        "candlewire_bar_to_signal_seconds",
    ],
)
def test_durations_are_histograms_fine_below_a_millisecond(
    busy: tuple[dict[str, float], dict[str, float]], name: str
) -> None:
    before, after = busy
    found = bounds(after, name)
    assert sum(bound < FINE_BELOW_S for bound in found) >= 9, found
    assert all(high / low <= 2.5 + 1e-9 for low, high in itertools.pairwise(found))
    counted = [sample for sample in after if re.fullmatch(rf"{name}_count({{.*}})?", sample)]
    assert counted, f"{name} is not there"
    for sample in counted:
        assert after[sample] > before.get(sample, 0)
        assert after[sample.replace("_count", "_sum")] > 0


def test_every_row_is_counted_once(busy: tuple[dict[str, float], dict[str, float]]) -> None:
    before, after = busy
    rows = 5 + 500 + 64 + 39 - WARM_UP
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    assert grown[f"candlewire_scored_rows_total{MODEL}"] == rows
    assert grown[f"candlewire_batch_rows_sum{MODEL}"] == rows
    assert grown[f"candlewire_batch_rows_count{MODEL}"] == grown[f"candlewire_inference_seconds_count{MODEL}"]
    assert grown["candlewire_request_seconds_count"] == 505
    requests = grown[f"candlewire_queue_seconds_count{MODEL}"]
    assert 505 + 1 < requests <= 505 + 1 + 39 - WARM_UP, "bars that came together are one request"


def test_batches_queue_and_refusals_are_seen(busy: tuple[dict[str, float], dict[str, float]]) -> None:
    _, after = busy
    assert bounds(after, "candlewire_batch_rows") == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    largest = after['candlewire_batch_rows_bucket{model="daily",version="20260101000000",le="1"}']
    assert after[f"candlewire_batch_rows_count{MODEL}"] > largest, "some rows ran together"
    assert after[f"candlewire_waiting_rows{MODEL}"] == 0
    for reason in ("NON_FINITE_FEATURE", "MODEL_NOT_FOUND", "ROW_COUNT"):
        assert after[f'candlewire_refused_requests_total{{reason="{reason}"}}'] == 1, reason
    for reason in ("queue_full", "deadline", "cancelled"):
        labelled = MODEL.replace("}", f',reason="{reason}"}}')
        assert f"candlewire_rejected_total{labelled}" in after
    fates = {"accepted": 39, "duplicate": 1, "rejected": 1, "replaced": 0, "late_applied": 0}
    for fate, count in fates.items():
        assert after[f'candlewire_bars_total{{fate="{fate}"}}'] == count, fate


def test_coverage_and_lags_are_seen(busy: tuple[dict[str, float], dict[str, float]]) -> None:
    _, after = busy
    assert 0 <= after[f"candlewire_band_coverage{MODEL}"] <= 1
    assert 0 <= after[f"candlewire_band_recent_coverage{MODEL}"] <= 1
    assert after["candlewire_outcomes_total"] == 39 - WARM_UP - 2
    assert after["candlewire_subscriber_lag_signals_count"] >= 1
    assert after["candlewire_subscriber_lag_signals_sum"] >= 1, "a subscriber that resumed was behind"
    assert after["candlewire_subscribers"] == 1
    assert after["candlewire_series"] == 1
    assert after["candlewire_signals_total"] == 39
