"""`kill -9` under the policies that do not wait for the disk: what is lost is the end, never the middle."""

import os
import time
from pathlib import Path

import pytest
from candlewire_proto.v1 import bars_pb2
from conftest import running_server
from test_bars import publish, signals_since
from test_journal import history, kill, newest_sequence, publish_until_killed, scores

BARS = history(range(1, 120))
INTERVAL_MS = 100
# `make soak` asks for more.
KILLS = int(os.environ.get("CANDLEWIRE_SOAK_RESTARTS", "3"))


@pytest.mark.parametrize("policy", ["never", "interval"])
def test_a_killed_server_goes_on_from_a_beginning_of_what_it_was_sent(
    tiny_store: Path, tmp_path: Path, policy: str
) -> None:
    (tmp_path / "whole").mkdir()
    with running_server(tiny_store, tmp_path / "whole") as server:
        publish(server, *BARS)
        wanted = scores(signals_since(server, 0, len(BARS)))
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
    bars = history(range(1, 90 * KILLS))
    flags = ("--journal", str(tmp_path / "journal"), "--journal-fsync", "always")
    flags += ("--set", "journal.snapshot_interval_ms=5", "--set", "journal.segment_bytes=2048")
    flags += ("--set", "journal.bar_segments=1")
    (tmp_path / "whole").mkdir()
    with running_server(tiny_store, tmp_path / "whole") as server:
        publish(server, *bars)
        wanted = scores(signals_since(server, 0, len(bars)))
    acknowledged = 0
    for number in range(KILLS):
        folder = tmp_path / f"killed_{number}"
        folder.mkdir()
        with running_server(tiny_store, folder, *flags) as server:
            held = newest_sequence(server)
            assert held >= acknowledged, "an acknowledged bar is lost"
            acknowledged = held + publish_until_killed(server, bars[held:], 20 + number * 13 % 40)
    (tmp_path / "last").mkdir()
    with running_server(tiny_store, tmp_path / "last", *flags) as server:
        held = newest_sequence(server)
        assert held >= acknowledged, "an acknowledged bar is lost"
        publish(server, *bars[held:])
        assert scores(signals_since(server, 0, len(bars))) == wanted
        assert server.stop() == 0
