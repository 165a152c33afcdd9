"""A disk of its own that fills up, or turns read-only, under a server that goes on scoring."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from candlewire_proto.v1 import scoring_pb2
from conftest import RunningServer, running_server
from grpc_health.v1 import health_pb2, health_pb2_grpc
from test_bars import bar, fates, publish
from test_journal import newest_sequence
from test_observability import metrics

ROW = [0.01, 0.02, -0.01, 0.005]
DISK_BYTES = 1 << 20


def mount(*arguments: str) -> bool:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, timeout=30, check=False)
    except OSError:
        return False
    return done.returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte; only who may mount has one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)):
        pytest.skip("nothing may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], timeout=30, check=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Takes all the room there is."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4_096))
    yield
    ballast.unlink()


@contextlib.contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Covers the file system with a read-only view of itself, as one with open files does not turn itself."""
    assert mount("--bind", str(disk), str(disk))
    try:
        assert mount("-o", "remount,bind,ro", str(disk))
        yield
    finally:
        subprocess.run(["umount", str(disk)], timeout=30, check=True)


def goes_on(server: RunningServer, *days: int) -> None:
    for day in days:
        (answer,) = publish(server, bar(day))
        assert fates([answer]) == ["ACCEPTED"], "bars go on"
        assert not answer.journaled, "an acknowledgement that is not true"
        scored = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
        assert scored.model == "daily", "scoring goes on"


def test_a_disk_that_fills_up_is_told_and_what_it_missed_is_made_good(
    tiny_store: Path, tmp_path: Path, disk: Path
) -> None:
    flags = ("--journal", str(disk / "journal"), "--journal-fsync", "always")
    with running_server(tiny_store, tmp_path, *flags, "--log-format", "json") as server:
        health = health_pb2_grpc.HealthStub(server.channel("data"))
        states = health.Watch(health_pb2.HealthCheckRequest(service="journal"), timeout=60)
        assert next(states).status == health_pb2.HealthCheckResponse.SERVING
        assert publish(server, bar(1))[0].journaled
        with full(disk):
            taken = 1
            # What is left of the last page still takes some bars.
            while publish(server, bar(taken := taken + 1))[0].journaled:
                assert taken < 100, "a full disk takes everything"
            assert next(states).status == health_pb2.HealthCheckResponse.NOT_SERVING
            goes_on(server, taken + 1, taken + 2, taken + 3)
            found = metrics(server)
            assert found["candlewire_journal_healthy"] == 0
            assert found["candlewire_journal_failures_total"] > 0
            log = (tmp_path / "server.log").read_text(encoding="utf-8")
            assert "No space left on device" in log
        assert next(states).status == health_pb2.HealthCheckResponse.SERVING
        last = taken + 4
        assert publish(server, bar(last))[0].journaled
        assert metrics(server)["candlewire_journal_healthy"] == 1
        server.process.kill()
        server.process.wait(20)
    with running_server(tiny_store, tmp_path, *flags) as server:
        assert newest_sequence(server) == last, "what could not be written was kept"


def test_a_disk_that_turns_read_only_is_told_and_what_it_missed_is_made_good(
    tiny_store: Path, tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each bar begins a segment: a file that is open already could still be written.
    monkeypatch.setenv("CANDLEWIRE_JOURNAL_SEGMENT_BYTES", "1")
    flags = ("--journal", str(disk / "journal"), "--journal-fsync", "always")
    with running_server(tiny_store, tmp_path, *flags) as server:
        health = health_pb2_grpc.HealthStub(server.channel("data"))
        states = health.Watch(health_pb2.HealthCheckRequest(service="journal"), timeout=60)
        assert next(states).status == health_pb2.HealthCheckResponse.SERVING
        assert publish(server, bar(1))[0].journaled
        with read_only(disk):
            goes_on(server, 2, 3, 4)
            assert next(states).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert metrics(server)["candlewire_journal_healthy"] == 0
            assert "Read-only file system" in (tmp_path / "server.log").read_text(encoding="utf-8")
        assert next(states).status == health_pb2.HealthCheckResponse.SERVING
        assert publish(server, bar(5))[0].journaled
        server.process.kill()
        server.process.wait(20)
    with running_server(tiny_store, tmp_path, *flags) as server:
        assert newest_sequence(server) == 5, "what could not be written was kept"
