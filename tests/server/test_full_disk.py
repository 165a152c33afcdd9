"""A disk that is full: writing stops half way, scoring goes on, and everybody is told."""

import contextlib
import json
import resource
from collections.abc import Iterator
from pathlib import Path

import bundles
import grpc
import pytest
from candlewire_proto.v1 import models_pb2, scoring_pb2
from conftest import RunningServer, running_server
from grpc_health.v1 import health_pb2, health_pb2_grpc
from test_bars import bar, fates, publish
from test_journal import newest_sequence
from test_observability import metrics
from wire_errors import wire_error

SERVING, NOT_SERVING = (
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
)
ROW = [0.01, 0.02, -0.01, 0.005]
OLD, NEW = 20_260_101_000_000, 20_260_201_000_000


@contextlib.contextmanager
def full_disk(server: RunningServer, bytes_left: int) -> Iterator[None]:
    """No file of the server grows above `bytes_left`: a write that would is cut there, the next one fails.

    Its log is such a file too.
    """
    pid = server.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (bytes_left, limits[1]))
    try:
        yield
    finally:
        # It may have ended meanwhile.
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("log_format", ["pretty", "json"])
@pytest.mark.parametrize("policy", ["never", "interval", "always"])
def test_a_write_cut_half_way_is_told_and_made_good(
    tiny_store: Path, tmp_path: Path, policy: str, log_format: str
) -> None:
    journal = tmp_path / "journal"
    flags = ("--journal", str(journal), "--journal-fsync", policy, "--log-format", log_format)
    with running_server(tiny_store, tmp_path, *flags) as server:
        health = health_pb2_grpc.HealthStub(server.channel("data"))
        states = health.Watch(health_pb2.HealthCheckRequest(service="journal"), timeout=30)
        assert next(states).status == SERVING
        assert publish(server, bar(1))[0].journaled
        while not (segments := list(journal.glob("bars-*.arrows"))):
            pass
        # In the middle of the record that comes next.
        with full_disk(server, segments[0].stat().st_size + 100):
            for day in range(2, 10):
                (answer,) = publish(server, bar(day))
                assert fates([answer]) == ["ACCEPTED"], "scoring goes on"
                assert not (policy == "always" and answer.journaled)
                answer = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
                assert answer.model == "daily"
            assert next(states).status == NOT_SERVING
            (answer,) = publish(server, bar(10))
            assert not answer.journaled
            assert metrics(server)["candlewire_journal_healthy"] == 0
            assert newest_sequence(server) == 10
        assert next(states).status == SERVING
        assert publish(server, bar(11))[0].journaled
        assert server.stop() == 0
    with running_server(tiny_store, tmp_path, *flags) as server:
        assert newest_sequence(server) == 11, "what could not be written was kept"
        assert fates(publish(server, bar(11), bar(12))) == ["DUPLICATE", "ACCEPTED"]


def test_a_promotion_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    bundles.write_bundle(store, version=OLD)
    with running_server(store, tmp_path) as server:
        bundles.write_bundle(store, version=NEW, seed=2)
        promote = models_pb2.PromoteModelRequest(model="daily", version=NEW, reason="a test")
        for bytes_left in (0, 40):
            with full_disk(server, bytes_left):
                with pytest.raises(grpc.RpcError) as raised:
                    server.models.PromoteModel(promote)
                assert wire_error(raised.value).reason == "STORE"
            assert {path.name for path in store.iterdir()} <= {"daily", "promotions.jsonl"}
            ledger = store / "promotions.jsonl"
            assert not ledger.exists() or ledger.read_bytes() == b""
            answer = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
            assert answer.model_version == OLD
        # Room for the deployment, none for the ledger: neither may be written.
        (store / "promotions.jsonl").write_bytes(b"{}\n" * 1_000)
        with full_disk(server, 3_000), pytest.raises(grpc.RpcError):
            server.models.PromoteModel(promote)
        assert not (store / "deployment.json").exists()
        assert (store / "promotions.jsonl").read_bytes() == b"{}\n" * 1_000
        assert server.models.PromoteModel(promote).model.version == NEW
        assert json.loads((store / "promotions.jsonl").read_bytes().splitlines()[-1])["to"] == NEW
        answer = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
        assert answer.model_version == NEW
        assert server.stop() == 0


def test_a_log_that_cannot_be_written_costs_nothing_else(tiny_store: Path, tmp_path: Path) -> None:
    flags = ("--log-level", "debug")
    with running_server(tiny_store, tmp_path, *flags) as server, full_disk(server, 0):
        for day in range(1, 30):
            assert fates(publish(server, bar(day))) == ["ACCEPTED"]
            server.models.ReloadModels(models_pb2.ReloadModelsRequest(), timeout=10)
        assert resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)[0] == 0
        assert server.stop() == 0
