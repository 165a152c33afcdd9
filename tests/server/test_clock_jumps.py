"""The wall clock jumps while the server works: deadlines, queues and patience follow monotonic time only."""

import itertools
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest
from candlewire_proto.v1 import scoring_pb2, signals_pb2
from conftest import running_server
from every_load import PATIENCE_NS, ROW, EveryLoad
from grpc_health.v1 import health_pb2, health_pb2_grpc
from test_bars import bar, fates, publish
from test_journal import newest_sequence, replay_decisions

DAY_S = 86_400
# Forward, far back, a leap year forward, and home.
JUMPS_S = (DAY_S, -2 * DAY_S, 366 * DAY_S, 0)
LIMITS = ("limits.requests_per_second=1000000", "limits.keepalive_ms=500", "limits.keepalive_timeout_ms=500")


class Clock:
    """The offset of one server's wall clock."""

    def __init__(self, folder: Path) -> None:
        self.library = folder / "clock.so"
        source = Path(__file__).with_name("clock_shim.c")
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("no C compiler: the wall clock of one process cannot be moved without")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", str(self.library), str(source)], check=True
        )
        self.file = folder / "clock.offset"
        self.file.write_bytes(bytes(8))

    def set(self, seconds: int) -> None:
        with self.file.open("r+b") as file:
            file.write(struct.pack("<q", seconds * 10**9))


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(tmp_path)
    monkeypatch.setenv("LD_PRELOAD", str(made.library))
    monkeypatch.setenv("CANDLEWIRE_TEST_CLOCK", str(made.file))
    return made


def test_nothing_is_lost_or_late_when_the_wall_clock_jumps(
    clock: Clock, tiny_store: Path, tmp_path: Path
) -> None:
    flags = [part for setting in LIMITS for part in ("--set", setting)]
    flags += ["--journal", str(tmp_path / "journal"), "--journal-fsync", "always"]
    with running_server(tiny_store, tmp_path, *flags) as server:
        health = health_pb2_grpc.HealthStub(server.channel("data"))
        request = signals_pb2.SubscribeRequest(include_not_ready=True)
        subscription = server.signals.Subscribe(request, timeout=60)
        next(subscription)
        days = itertools.count(1)
        with EveryLoad(server, bars=False) as load:
            for seconds in JUMPS_S:
                clock.set(seconds)
                for day in itertools.islice(days, 8):
                    (answer,) = publish(server, bar(day))
                    assert (fates([answer]), answer.journaled) == (["ACCEPTED"], True)
                    signal = next(subscription).signal
                    assert (signal.sequence, signal.bar.open_time_ns) == (day, DAY_S * 10**9 * day)
                    assert signal.bar_to_signal_ns < PATIENCE_NS
                load.goes_on()
                status = health.Check(health_pb2.HealthCheckRequest(), timeout=10).status
                assert status == health_pb2.HealthCheckResponse.SERVING
                received = time.time_ns() + seconds * 10**9
                assert abs(signal.received_time_ns - received) < PATIENCE_NS, "the shim moves the clock"
        assert not load.problems, load.problems[:3]
        subscription.cancel()
        assert server.stop() == 0


def test_a_restart_with_the_clock_set_back_continues_and_every_decision_keeps_its_own_number(
    clock: Clock, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--journal", str(tmp_path / "journal"), "--journal-fsync", "always")
    identifiers: list[int] = []
    for start, seconds in enumerate((2 * DAY_S, -2 * DAY_S, -4 * DAY_S)):
        clock.set(seconds)
        with running_server(tiny_store, tmp_path, *flags) as server:
            assert newest_sequence(server) == 10 * start
            publish(server, *(bar(day) for day in range(10 * start + 1, 10 * start + 11)))
            for _ in range(20):
                answer = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
                identifiers.append(int(answer.decision_id))
            assert server.stop() == 0
    assert identifiers == sorted(set(identifiers)), "numbers of decisions only grow"
    monkeypatch.delenv("LD_PRELOAD")
    replayed = replay_decisions(tiny_store, tmp_path / "journal")
    assert replayed.returncode == 0, replayed.stderr
    decided = len(identifiers) + 30 - 5
    assert replayed.stdout.startswith(f"{decided} of {decided} decisions are the same bit for bit")
