"""`kill -9` under the policies that do not wait for the disk: what is lost is the end, never the middle."""

import time
from pathlib import Path

import pytest
from candlewire_proto.v1 import bars_pb2
from conftest import running_server
from test_bars import publish, signals_since
from test_journal import (
    RESTARTS,
    check_kills_lose_nothing,
    history,
    kill,
    newest_sequence,
    scores,
    unkilled_scores,
)

BARS = history(range(1, 120))
INTERVAL_MS = 100


@pytest.mark.parametrize("policy", ["never", "interval"])
def test_a_killed_server_goes_on_from_a_beginning_of_what_it_was_sent(
    tiny_store: Path, tmp_path: Path, policy: str
) -> None:
    wanted = unkilled_scores(tiny_store, tmp_path, BARS)
    flags = ("--journal", str(tmp_path / "journal"), "--journal-fsync", policy)
    flags += ("--set", f"journal.fsync_interval_ms={INTERVAL_MS}")
    held = 0
    for kills in range(3):
        folder = tmp_path / f"killed_{kills}"
        folder.mkdir()
        with running_server(tiny_store, folder, *flags) as server:
            assert newest_sequence(server) >= held
            rest = BARS[newest_sequence(server) :]
            third = len(rest) // 3
            publish(server, *rest[:third])
            if policy == "interval":
                # What was acknowledged longer ago than the interval is on the disk.
                time.sleep(5 * INTERVAL_MS / 1e3)
                held = len(BARS) - len(rest) + third
            call = server.bars.Publish(
                iter([bars_pb2.PublishRequest(bar=one) for one in rest[third : 2 * third]]), timeout=30
            )
            assert next(call).journaled, "queued for writing is all that this policy says"
            kill(server)
    (tmp_path / "last").mkdir()
    with running_server(tiny_store, tmp_path / "last", *flags) as server:
        kept = newest_sequence(server)
        assert held <= kept <= len(BARS)
        publish(server, *BARS[kept:])
        assert scores(signals_since(server, 0, len(BARS))) == wanted
        assert server.stop() == 0


def test_a_kill_amid_snapshots_and_new_segments_loses_nothing_acknowledged(
    tiny_store: Path, tmp_path: Path
) -> None:
    """Every few bars a segment ends and a snapshot is taken: kills meet all that is written."""
    settings = ("journal.snapshot_interval_ms=5", "journal.segment_bytes=2048", "journal.bar_segments=1")
    check_kills_lose_nothing(
        tiny_store,
        tmp_path,
        history(range(1, 90 * RESTARTS)),
        [20 + number * 13 % 40 for number in range(RESTARTS)],
        *(part for setting in settings for part in ("--set", setting)),
    )
