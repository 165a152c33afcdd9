"""The client and its commands against the real server: what the fake server of tests/clients stands for."""

import asyncio
import json
import math
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import candlewire
import numpy as np
import polars as pl
import pytest
from candlewire import aio

from .conftest import COMMAND, Serve


@pytest.fixture(scope="module")
def target(serve: Serve, store: Path) -> Iterator[str]:
    with serve(store) as served:
        yield served.data


@pytest.fixture(scope="module")
def feature_count(store: Path) -> int:
    manifest = next(store.glob("daily/*/manifest.json"))
    return len(json.loads(manifest.read_text(encoding="utf-8"))["feature_names"])


@pytest.fixture(scope="module")
def bars_file(bars_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last 400 bars of one symbol, as CSV."""
    bars = pl.concat([pl.read_parquet(path) for path in sorted(bars_folder.glob("**/*.parquet"))])
    symbol = bars["symbol"][0]
    last = bars.filter(pl.col("symbol") == symbol).sort("ts").tail(400)
    path = tmp_path_factory.mktemp("bars") / "bars.csv"
    last.with_columns(pl.col("ts").dt.to_string("%Y-%m-%dT%H:%M:%SZ")).write_csv(path)
    return path


def run(target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"CANDLEWIRE_TARGET": target}
    done = subprocess.run(
        [COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    return done


def test_refusals_carry_reason_and_field(target: str, feature_count: int) -> None:
    row = np.zeros(feature_count, np.float32)
    with candlewire.Client(target) as client:
        with pytest.raises(candlewire.InvalidRequestError) as wrong_count:
            client.score(row[:-1])
        with pytest.raises(candlewire.InvalidRequestError) as not_finite:
            client.score(np.where(np.arange(feature_count) == 2, np.nan, row))
        with pytest.raises(candlewire.NotFoundError) as unknown_model:
            client.score(row, model="nowhere")
        with pytest.raises(candlewire.PreconditionError):
            client.score(row, feature_spec_hash="00" * 32)
        assert client.score(row).model == "daily", "the server goes on"
    assert wrong_count.value.reason == "FEATURE_COUNT"
    assert wrong_count.value.violations[0].field == "features"
    assert str(feature_count) in str(wrong_count.value)
    assert not_finite.value.reason == "NON_FINITE_FEATURE"
    assert unknown_model.value.reason
    assert "nowhere" in str(unknown_model.value)


def test_one_row_scores_alike_alone_in_a_batch_and_in_a_stream(target: str, feature_count: int) -> None:
    rows = np.random.default_rng(5).normal(size=(33, feature_count)).astype(np.float32)
    with candlewire.Client(target, timeout_ms=5_000) as client:
        alone = [client.score(row).probability_up for row in rows]
        batch = client.score_batch(rows)
        streamed = client.score_stream(candlewire.ScoreQuery(features=row) for row in rows)
        assert [answer.result().probability_up for answer in streamed] == alone
    up = np.asarray(batch.probabilities)[:, -1]
    assert up.tobytes() == np.array(alone, np.float32).tobytes()
    assert batch.rows == 33
    assert set(batch.trusted) <= {0, 1}


def test_asyncio_and_sync_see_the_same_score(target: str, feature_count: int) -> None:
    row = np.random.default_rng(6).normal(size=feature_count)

    async def score() -> candlewire.Score:
        async with aio.Client(target) as client:
            await client.wait_ready()
            return await client.score(row)

    with candlewire.Client(target) as client:
        expected = client.score(row)
    found = asyncio.run(score())
    assert found.probabilities == expected.probabilities
    assert found.return_band == expected.return_band


def test_a_published_file_reaches_a_subscriber_and_latest(target: str, bars_file: Path) -> None:
    with candlewire.Client(target) as client, client.subscribe(include_not_ready=True) as subscription:
        published = run(target, "publish", str(bars_file))
        assert published.returncode == 0, published.stderr
        assert published.stdout == "400 bars: 400 accepted\n"
        events = [next(subscription) for _ in range(400)]
        assert subscription.dropped_signals == 0
    first = events[0].sequence
    assert [event.sequence for event in events] == list(range(first, first + 400))
    ready = [event for event in events if event.score.signal is not candlewire.Signal.NOT_READY]
    assert ready, "no feature ever warmed up"
    assert all(math.isfinite(event.score.probability_up) for event in ready)
    newest = json.loads(run(target, "latest", events[-1].bar.symbol, "--json").stdout)
    assert newest["sequence"] == events[-1].sequence
    resumed = run(target, "subscribe", "--after", str(events[-3].sequence), "-n", "2", "--json")
    assert [json.loads(line)["sequence"] for line in resumed.stdout.splitlines()] == [
        events[-2].sequence,
        events[-1].sequence,
    ]


def test_score_command_takes_a_file_of_bars(target: str, bars_file: Path) -> None:
    done = run(target, "score", "--bars", str(bars_file), "--json")
    score = json.loads(done.stdout)
    assert score["signal"] in ("BUY", "SELL", "HOLD")
    assert score["price_band"]["low"] < score["price_band"]["mid"] < score["price_band"]["high"]


def test_health_command_knows_server_and_model(target: str) -> None:
    assert run(target, "health").stdout == f"{target}: serving\n"
    assert run(target, "health", "no-such-model").returncode == 1


def test_load_test_command_measures(target: str) -> None:
    done = run(target, "load-test", "--json", "-r", "200", "-d", "1")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["answered"] == summary["sent"] > 100


def test_top_reads_metrics_and_coverage(serve: Serve, store: Path, bars_file: Path) -> None:
    with serve(store) as served:
        look = ["top", "--metrics", served.metrics, "--admin", served.admin, "--json", "-n", "1"]
        assert run(served.data, "publish", str(bars_file)).returncode == 0
        scores = subprocess.Popen(
            [COMMAND, "load-test", "-t", served.data, "-r", "100", "-d", "6"], stdout=subprocess.DEVNULL
        )
        try:
            done = run(served.data, *look, "--interval-s", "5")
        finally:
            scores.wait(60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["figures"]["requests"]["rate"] > 0
    assert found["figures"]["models"][0]["model"] == "daily"
    assert found["figures"]["outcomes"] == sum(pool["outcomes"] for pool in found["coverage"]) > 0
    assert 0 < found["coverage"][0]["achieved_coverage"] <= 1


@pytest.mark.parametrize("scenario", ["bars-to-signal", "fan-out"])
def test_load_test_follows_bars_to_their_signals(serve: Serve, store: Path, scenario: str) -> None:
    options = ["-r", "50", "-d", "1", "--symbol", "AAPL,MSFT", "--subscribers", "6", "--processes", "2"]
    with serve(store, "--accept-unknown-symbols") as served:
        done = run(served.data, "load-test", scenario, "--json", *options, "--timeout-ms", "5000")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["answered"] == summary["sent"] * (6 if scenario == "fan-out" else 1) > 20


def test_a_subscriber_is_told_when_the_server_goes(serve: Serve, store: Path) -> None:
    with candlewire.Client("127.0.0.1:1") as nobody, pytest.raises(candlewire.UnavailableError):
        nobody.subscribe()
    with serve(store) as served, candlewire.Client(served.data) as client:
        subscription = client.subscribe(resume_for_ms=200)
        served.process.terminate()
        started = time.monotonic()
        with pytest.raises(candlewire.UnavailableError):
            next(subscription)
        assert time.monotonic() - started < 20
        served.process.wait(20)
