"""A restart goes on from a snapshot and the bars behind it as from the whole journal, bit for bit."""

import time
from pathlib import Path

import bundles
import pytest
from candlewire_proto.v1 import bars_pb2
from conftest import RunningServer, running_server
from test_bars import fates, publish, signals_since
from test_journal import history, kill, newest_sequence, scores

PATIENCE_S = 20.0
BARS = history(range(1, 120))
CUT = len(BARS) * 2 // 3


@pytest.fixture(scope="module")
def wanted(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """What a server says that never stopped."""
    with running_server(tiny_store, tmp_path_factory.mktemp("whole")) as server:
        publish(server, *BARS)
        return scores(signals_since(server, 0, len(BARS)))


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots ten times a second, and small segments of which none is kept for its own sake."""
    monkeypatch.setenv("CANDLEWIRE_JOURNAL_SNAPSHOT_INTERVAL_MS", "100")
    monkeypatch.setenv("CANDLEWIRE_JOURNAL_SEGMENT_BYTES", "4096")


def snapshots(journal: Path) -> list[Path]:
    return sorted(journal.glob("snapshot-*.state"))


def at(snapshot: Path) -> int:
    return int(snapshot.stem.removeprefix("snapshot-"))


def publish_with_snapshots(server: RunningServer, journal: Path, bars: list[bars_pb2.Bar]) -> None:
    """Publishes in three parts, with a snapshot behind each of the first two."""
    third = len(bars) // 3
    for part in (bars[:third], bars[third : 2 * third]):
        publish(server, *part)
        sequence, deadline = newest_sequence(server), time.monotonic() + PATIENCE_S
        while not any(at(snapshot) == sequence for snapshot in snapshots(journal)):
            assert time.monotonic() < deadline, "no snapshot was taken"
            time.sleep(0.02)
    publish(server, *bars[2 * third :])


def log_of(folder: Path) -> str:
    return (folder / "server.log").read_text(encoding="utf-8")


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("case", ["whole", "newest_damaged", "all_damaged", "cut"])
def test_a_killed_server_goes_on_from_its_snapshot(
    tiny_store: Path, tmp_path: Path, wanted: list[bytes], case: str
) -> None:
    journal = tmp_path / "journal"
    flags = ("--journal", str(journal), "--journal-fsync", "always")
    with running_server(tiny_store, tmp_path, *flags) as server:
        publish_with_snapshots(server, journal, BARS[:CUT])
        kill(server)
    found = snapshots(journal)
    assert len(found) == 2
    damaged = {"whole": [], "newest_damaged": found[1:], "all_damaged": found, "cut": found[1:]}[case]
    for path in damaged:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content[: len(content) // 2] if case == "cut" else content)
    with running_server(tiny_store, tmp_path, *flags) as server:
        assert newest_sequence(server) == CUT
        publish(server, *BARS[CUT:])
        assert scores(signals_since(server, 0, len(BARS))) == wanted
        kill(server)
    older, newest = map(at, found)
    used = {"whole": newest, "newest_damaged": older, "all_damaged": 0, "cut": older}[case]
    log = log_of(tmp_path)
    assert f"snapshot={used} " in log, log
    assert log.count("the snapshot is not used") == len(damaged)


@pytest.mark.usefixtures("often")
def test_bars_that_a_snapshot_covers_may_go(
    tiny_store: Path, tmp_path: Path, wanted: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDLEWIRE_JOURNAL_BAR_SEGMENTS", "1")
    journal = tmp_path / "journal"
    flags = ("--journal", str(journal), "--journal-fsync", "always")
    with running_server(tiny_store, tmp_path, *flags) as server:
        for first in range(0, CUT, 20):
            publish_with_snapshots(server, journal, BARS[first : min(first + 20, CUT)])
        assert server.stop() == 0
    assert min(int(path.name.split("-")[1]) for path in journal.glob("bars-*.arrows")) > 1
    assert at(snapshots(journal)[-1]) == CUT, "the last snapshot is that of the stop"
    with running_server(tiny_store, tmp_path, *flags) as server:
        assert fates(publish(server, BARS[CUT - 1])) == ["DUPLICATE"]
        publish(server, *BARS[CUT:])
        assert scores(signals_since(server, 0, len(BARS))) == wanted


@pytest.mark.usefixtures("often")
def test_a_snapshot_of_another_store_is_refused_and_the_bars_are_replayed(
    tiny_store: Path, tmp_path: Path
) -> None:
    journal, other = tmp_path / "journal", tmp_path / "other"
    flags = ("--journal", str(journal), "--journal-fsync", "always")
    with running_server(tiny_store, tmp_path, *flags) as server:
        publish_with_snapshots(server, journal, BARS[:60])
        kill(server)
    bundles.write_bundle(other, seed=2)
    with running_server(other, tmp_path, *flags) as server:
        assert newest_sequence(server) == 60
    assert "the snapshot does not fit the store" in log_of(tmp_path)
