"""A server that is killed continues as one that was not."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import bundles
import grpc
import pytest
from candlewire_proto.v1 import bars_pb2, signals_pb2
from conftest import STOP_SECONDS, RunningServer, running_server, serve_command
from grpc_health.v1 import health_pb2, health_pb2_grpc
from test_bars import WARM_UP, bar, fates, publish, signals_since

SYMBOLS = ("AAPL", "MSFT")
# Bars that may be under way when the server is killed.
IN_FLIGHT = 100
# `make soak` asks for more.
RESTARTS = int(os.environ.get("CANDLEWIRE_SOAK_RESTARTS", "3"))


def scores(events: list[signals_pb2.SignalEvent]) -> list[bytes]:
    """The events without what depends on the clock or on which server wrote a journal."""
    kept = []
    for event in events:
        event.score.ClearField("timings")
        event.score.ClearField("decision_id")
        event.ClearField("received_time_ns")
        event.ClearField("bar_to_signal_ns")
        kept.append(event.SerializeToString(deterministic=True))
    return kept


def kill(server: RunningServer) -> None:
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(STOP_SECONDS)


def history(days: range) -> list[bars_pb2.Bar]:
    """Two symbols, with late and corrected bars among them; each bar causes one signal."""
    bars = []
    for day in days:
        if day % 11 == 4:
            # Comes after its successor.
            continue
        bars += [bar(day, symbol=symbol) for symbol in SYMBOLS]
        if day % 11 == 5:
            bars += [bar(day - 1, symbol=symbol) for symbol in SYMBOLS]
        if day % 7 == 6:
            bars.append(bar(day, symbol="AAPL", close=101.5 + day % 5))
    return bars


def newest_sequence(server: RunningServer) -> int:
    """How many bars took effect: each causes one signal."""
    newest = server.signals.GetLatest(signals_pb2.GetLatestRequest()).signals
    return max((event.sequence for event in newest), default=0)


def publish_until_killed(server: RunningServer, bars: list[bars_pb2.Bar], after: int) -> int:
    """Publishes without pause, kills the server once `after` bars are acknowledged; returns how many were."""
    acknowledged = 0

    def requests() -> Iterator[bars_pb2.PublishRequest]:
        for i, one in enumerate(bars):
            if i == after + IN_FLIGHT:
                # A server that is faster than its killer would leave no bars for the next.
                server.process.wait(STOP_SECONDS)
                return
            yield bars_pb2.PublishRequest(bar=one, client_sequence=i)

    call = server.bars.Publish(requests(), timeout=30)
    try:
        for answer in call:
            assert answer.journaled
            acknowledged += 1
            if acknowledged == after:
                threading.Thread(target=kill, args=(server,)).start()
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE  # noqa: PT017
    server.process.wait(STOP_SECONDS)
    return acknowledged


def unkilled_scores(store: Path, folder: Path, bars: list[bars_pb2.Bar]) -> list[bytes]:
    """What a server that nobody kills says of the bars."""
    (folder / "whole").mkdir()
    with running_server(store, folder / "whole") as server:
        publish(server, *bars)
        return scores(signals_since(server, 0, len(bars)))


def check_kills_lose_nothing(
    store: Path, folder: Path, bars: list[bars_pb2.Bar], kills_after: list[int], *flags: str
) -> None:
    """Kills a server amid the bars, after each count of acknowledged ones: the next goes on bit for bit."""
    wanted = unkilled_scores(store, folder, bars)
    flags = ("--journal", str(folder / "journal"), "--journal-fsync", "always", *flags)
    acknowledged = 0
    for number, after in enumerate(kills_after):
        killed = folder / f"killed_{number}"
        killed.mkdir()
        with running_server(store, killed, *flags) as server:
            held = newest_sequence(server)
            assert held >= acknowledged, "an acknowledged bar is lost"
            acknowledged = held + publish_until_killed(server, bars[held:], after)
    (folder / "last").mkdir()
    with running_server(store, folder / "last", *flags) as server:
        held = newest_sequence(server)
        assert held >= acknowledged, "an acknowledged bar is lost"
        publish(server, *bars[held:])
        assert scores(signals_since(server, 0, len(bars))) == wanted
        assert server.stop() == 0


def test_kill_under_load_loses_nothing_acknowledged_and_continues_bit_for_bit(
    tiny_store: Path, tmp_path: Path
) -> None:
    bars = history(range(1, 150 * RESTARTS))
    longest = len(bars) // (RESTARTS + 1) - 20
    check_kills_lose_nothing(
        tiny_store, tmp_path, bars, [20 + number * 37 % longest for number in range(RESTARTS)]
    )


def replay_decisions(store: Path, journal: Path) -> subprocess.CompletedProcess[str]:
    command = [serve_command(store)[0], "replay-decisions", "--store", str(store), "--journal", str(journal)]
    return subprocess.run(command, capture_output=True, text=True, timeout=STOP_SECONDS, check=False)


def test_every_decision_can_be_computed_again(tiny_store: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with running_server(tiny_store, tmp_path, "--journal", str(journal)) as server:
        publish(server, *history(range(1, 40)))
        newest = server.signals.GetLatest(signals_pb2.GetLatestRequest()).signals
        assert all(event.score.decision_id == str(event.sequence) for event in newest)
        count = newest_sequence(server) - 2 * WARM_UP
        assert server.stop() == 0
    same = replay_decisions(tiny_store, journal)
    assert same.returncode == 0, same.stderr
    assert same.stdout.startswith(f"{count} of {count} decisions are the same bit for bit")
    other_store = tmp_path / "other"
    bundles.write_bundle(other_store, seed=2)
    other = replay_decisions(other_store, journal)
    assert other.returncode == 1
    assert "onnx_sha256" in other.stderr


def test_a_torn_segment_gives_what_is_whole(tiny_store: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    flags = ("--journal", str(journal), "--journal-fsync", "always")
    with running_server(tiny_store, tmp_path, *flags) as server:
        for day in range(1, 11):
            (answer,) = publish(server, bar(day))
            assert answer.journaled
        kill(server)
    (segment,) = journal.glob("bars-*.arrows")
    segment.write_bytes(segment.read_bytes()[:-7])
    with running_server(tiny_store, tmp_path, *flags) as server:
        assert newest_sequence(server) == 9
        assert fates(publish(server, bar(9), bar(10))) == ["DUPLICATE", "ACCEPTED"]
        kill(server)
    assert "torn" in (tmp_path / "server.log").read_text(encoding="utf-8")
    with running_server(tiny_store, tmp_path, *flags) as server:
        assert newest_sequence(server) == 10


def test_two_servers_never_share_a_journal(tiny_store: Path, tmp_path: Path) -> None:
    flags = ("--journal", str(tmp_path / "journal"))
    with running_server(tiny_store, tmp_path, *flags):
        second = subprocess.run(
            serve_command(tiny_store, *flags),
            capture_output=True,
            text=True,
            timeout=STOP_SECONDS,
            check=False,
        )
    assert second.returncode == 1
    (line,) = [line for line in second.stderr.splitlines() if line.startswith("candlewire serve: ")]
    assert "another server writes there" in line


def test_a_journal_that_cannot_be_written_is_loud_and_costs_no_score(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "journal"
    monkeypatch.setenv("CANDLEWIRE_JOURNAL_SEGMENT_BYTES", "1")
    flags = ("--journal", str(journal), "--journal-fsync", "always")
    with running_server(tiny_store, tmp_path, *flags) as server:
        health = health_pb2_grpc.HealthStub(server.channel("data"))
        states = health.Watch(health_pb2.HealthCheckRequest(service="journal"), timeout=20)
        assert next(states).status == health_pb2.HealthCheckResponse.SERVING
        assert [answer.journaled for answer in publish(server, bar(1))] == [True]
        # Root may write anywhere: a folder that is gone stops root too.
        journal.rename(tmp_path / "elsewhere")
        (answer,) = publish(server, bar(2))
        assert fates([answer]) == ["ACCEPTED"]
        assert not answer.journaled
        assert newest_sequence(server) == 2, "scoring goes on"
        assert next(states).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with urlopen(f"http://{server.addresses['metrics']}/metrics", timeout=5) as response:
            assert "candlewire_journal_healthy 0" in response.read().decode()
        (tmp_path / "elsewhere").rename(journal)
        assert next(states).status == health_pb2.HealthCheckResponse.SERVING
        assert [answer.journaled for answer in publish(server, bar(2))] == [True]
        assert server.stop() == 0
    assert "the journal cannot be written" in (tmp_path / "server.log").read_text(encoding="utf-8")
    with running_server(tiny_store, tmp_path, *flags) as server:
        assert newest_sequence(server) == 2, "what could not be written was kept"


def test_without_a_journal_nothing_is_said_to_be_in_it(tiny_store: Path, tmp_path: Path) -> None:
    with running_server(tiny_store, tmp_path) as server:
        assert [answer.journaled for answer in publish(server, bar(1))] == [False]
