"""Storms: numbers that are none, clients that vanish, a reader that never reads, swaps without pause."""

import contextlib
import itertools
import math
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bundles
import grpc
import numpy as np
import pytest
from candlewire_proto.v1 import bars_pb2, models_pb2, scoring_pb2, signals_pb2
from conftest import RunningServer, running_server
from every_load import EveryLoad
from raw_http2 import (
    ACK,
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    Connection,
    frame,
    grpc_message,
)
from test_bars import bar, fates, publish, signals_since
from test_hostile_bytes import SCORE, request, resident_bytes
from test_observability import MODEL, metrics
from wire_errors import wire_error

ROW = [0.01, 0.02, -0.01, 0.005]
OLD, NEW = 20_260_101_000_000, 20_260_201_000_000
WAIT_S = 20
# `make soak` asks for more.
SWAPS = int(os.environ.get("CANDLEWIRE_SOAK_SWAPS", "10"))
VANISHING = int(os.environ.get("CANDLEWIRE_SOAK_VANISHING", "1"))

NAN, INFINITY = float("nan"), float("inf")
QUIET, SIGNALLING = struct.pack("<I", 0x7FC00001), struct.pack("<I", 0x7F800001)
SMALLEST, LARGEST = 5e-324, 1.7976931348623157e308


def eventually(condition: Callable[[], bool], problem: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, problem
        time.sleep(0.02)


def unchanging(answer: scoring_pb2.ScoreResponse) -> bytes:
    answer.ClearField("timings")
    return answer.SerializeToString(deterministic=True)


def test_a_storm_of_nan_features_changes_no_score(server: RunningServer) -> None:
    def good() -> bytes:
        return unchanging(server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10))

    wanted = good()
    bad = [
        [value if place == column else number for place, number in enumerate(ROW)]
        for column in range(len(ROW))
        for value in (NAN, -NAN, INFINITY, -INFINITY)
    ]

    def requests() -> Iterator[scoring_pb2.ScoreStreamRequest]:
        for number in range(2_000):
            row = ROW if number % 4 == 3 else bad[number % len(bad)]
            yield scoring_pb2.ScoreStreamRequest(
                client_sequence=number, request=scoring_pb2.ScoreRequest(features=row)
            )

    reasons, scored = set(), 0
    for answer in server.scoring.ScoreStream(requests(), timeout=60):
        if answer.HasField("error"):
            reasons.add(answer.error.reason)
        else:
            scored += 1
            assert unchanging(answer.score) == wanted
    assert (reasons, scored) == ({"NON_FINITE_FEATURE"}, 500)
    packed = np.tile(np.float32(ROW), 64).tobytes()
    for payload in (QUIET, SIGNALLING):
        for place in (0, 4 * 17, len(packed) - 4):
            cut = packed[:place] + payload + packed[place + 4 :]
            with pytest.raises(grpc.RpcError) as raised:
                server.scoring.ScoreBatch(scoring_pb2.ScoreBatchRequest(features=cut, rows=64), timeout=10)
            assert wire_error(raised.value).reason == "NON_FINITE_FEATURE"
    extremes = [[SMALLEST, -0.0, 3.4e38, -3.4e38], [1e-45, 1e-38, 0.0, 1.0]]
    for row in extremes:
        answer = server.scoring.Score(scoring_pb2.ScoreRequest(features=row), timeout=10)
        assert all(math.isfinite(value) for value in answer.probabilities)
    assert good() == wanted


def test_a_storm_of_nan_bars_leaves_no_trace_in_any_series(tiny_store: Path, tmp_path: Path) -> None:
    good = [bar(day, symbol=symbol) for day in range(1, 41) for symbol in ("AAPL", "MSFT")]
    fields = ("open", "high", "low", "close", "volume")
    values = (NAN, INFINITY, -INFINITY, -1.0, LARGEST * 10, -SMALLEST)
    bad = itertools.cycle(
        bar(day, symbol=symbol, **{field: value})
        for day in (5, 39, 41)
        for symbol in ("AAPL", "MSFT")
        for field in fields
        for value in values
    )

    def signals(name: str, *, storm: bool) -> list[bytes]:
        (tmp_path / name).mkdir()
        with running_server(tiny_store, tmp_path / name) as server:
            for one in good:
                sent = [next(bad) for _ in range(20 * storm)]
                answers = publish(server, *sent, one)
                assert fates(answers) == ["REJECTED"] * len(sent) + ["ACCEPTED"]
            events = signals_since(server, 0, len(good))
        for event in events:
            event.score.ClearField("timings")
            event.received_time_ns = event.bar_to_signal_ns = 0
        return [event.SerializeToString(deterministic=True) for event in events]

    assert signals("storm", storm=True) == signals("calm", storm=False)


def test_bars_at_the_ends_of_the_numbers_never_give_a_score_that_is_none(
    tiny_store: Path, tmp_path: Path
) -> None:
    def extreme(day: int, price: float, volume: float = 1.0) -> bars_pb2.Bar:
        prices = {"open": price, "high": price, "low": price, "close": price}
        return bar(day, volume=volume, **prices)

    sent = [
        extreme(day, price, volume)
        for day, (price, volume) in enumerate(
            itertools.product((SMALLEST, LARGEST, 1.0, 2.3e-308), (0.0, LARGEST, SMALLEST)), start=1
        )
    ]
    quiet = [bar(day) for day in range(len(sent) + 1, len(sent) + 21)]
    with running_server(tiny_store, tmp_path) as server:
        publish(server, *sent, *quiet)
        events = signals_since(server, 0, server_count(server))
        for event in events:
            score = event.score
            numbers = [*score.probabilities, score.return_band.low, score.return_band.high]
            numbers += [score.price_band.low, score.price_band.high] if score.HasField("price_band") else []
            assert all(math.isfinite(number) for number in numbers), event
        assert events[-1].score.probabilities, "the series is ready again once the storm has left its windows"


def server_count(server: RunningServer) -> int:
    return max(event.sequence for event in server.signals.GetLatest(signals_pb2.GetLatestRequest()).signals)


def score_after_refusals(server: RunningServer) -> None:
    """Scores one row; who is refused for the storm of others comes again as told, until patience ends."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
        except grpc.RpcError as error:
            refused = wire_error(error)
            assert refused.reason in {"OVERLOADED", "QUEUE_FULL"}
            assert refused.retry_ms is not None
            time.sleep(refused.retry_ms / 1e3)
        else:
            return
    pytest.fail("the server does not take anybody in again")


def test_clients_that_vanish_with_ten_thousand_requests_under_way(tmp_path: Path) -> None:
    store = tmp_path / "store"
    bundles.write_bundle(store, trees=300, depth=6)
    flags = ("--set", "batcher.queue_rows=20000", "--set", "engine.tree_kernel=off")
    with running_server(store, tmp_path, *flags) as server:
        body = grpc_message(scoring_pb2.ScoreRequest(features=ROW).SerializeToString())
        streams = range(1, 201, 2)
        burst = b"".join(request(stream, SCORE, body) for stream in streams)
        for _ in range(VANISHING):
            clients = [Connection.to(server.addresses["data"]) for _ in range(10_000 // len(streams))]
            for client in clients:
                client.send(burst)
            for client in clients:
                # No goodbye: the system resets the connection with answers unread.
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sock.close()
            began = time.monotonic()
            score_after_refusals(server)
            assert time.monotonic() - began < 2, "who came after waits for nobody that left"
            eventually(lambda: metrics(server)["candlewire_connections"] <= 2, "connections are held")
            eventually(lambda: metrics(server)[f"candlewire_waiting_rows{MODEL}"] == 0, "rows are held")
        seen = metrics(server)
        scored = seen[f"candlewire_scored_rows_total{MODEL}"]
        assert scored < 10_000 * VANISHING, "most of what nobody waits for is not computed"
        assert server.stop() == 0


def test_a_subscriber_that_never_reads_costs_little_and_is_let_go(tiny_store: Path, tmp_path: Path) -> None:
    flags = ("--set", "limits.keepalive_ms=1000", "--set", "limits.keepalive_timeout_ms=1000")
    days = 20_000
    with running_server(tiny_store, tmp_path, *flags) as server:
        publish(server, *(bar(day) for day in range(1, 101)))
        subscribe = grpc_message(
            signals_pb2.SubscribeRequest(include_not_ready=True, buffer_signals=65_536).SerializeToString()
        )
        silent = [Connection.to(server.addresses["data"]) for _ in range(50)]
        for client in silent:
            client.send(request(1, b"/candlewire.v1.SignalService/Subscribe", subscribe))
        eventually(lambda: metrics(server)["candlewire_subscribers"] == len(silent), "not all subscribed")
        before = resident_bytes(server)
        for first in range(101, days, 1_000):
            answers = publish(server, *(bar(day) for day in range(first, first + 1_000)))
            assert len(answers) == 1_000
        # 50 subscribers that held 20,000 signals each would be a gigabyte.
        assert resident_bytes(server) - before < 150 << 20
        eventually(lambda: metrics(server)["candlewire_subscribers"] == 0, "who answers no ping stays")
        for client in silent:
            client.sock.close()


def test_versions_swap_under_full_load_of_every_kind_and_no_request_fails(tmp_path: Path) -> None:
    store = tmp_path / "store"
    bundles.write_bundle(store, version=OLD)
    with running_server(store, tmp_path) as server:
        bundles.write_bundle(store, version=NEW, seed=2)
        with EveryLoad(server) as load:
            for swap in range(SWAPS):
                version = NEW if swap % 2 == 0 else OLD
                request = models_pb2.PromoteModelRequest(model="daily", version=version, reason="a test")
                server.models.PromoteModel(request, timeout=30)
                load.goes_on()
        assert not load.problems, load.problems[:3]
        assert {version: len(values) for version, values in load.values.items()} == {OLD: 1, NEW: 1}, (
            "a version has one answer to a row"
        )
        assert server.stop() == 0


def test_stopping_with_requests_under_way_answers_all_that_were_accepted(
    tiny_store: Path, tmp_path: Path
) -> None:
    """What the last GOAWAY calls accepted has an answer."""
    body = grpc_message(scoring_pb2.ScoreRequest(features=ROW).SerializeToString())
    streams = range(1, 201, 2)
    with running_server(tiny_store, tmp_path) as server, contextlib.ExitStack() as opened:
        clients = [opened.enter_context(Connection.to(server.addresses["data"])) for _ in range(20)]
        for client in clients:
            client.send(b"".join(request(stream, SCORE, body) for stream in streams))
        # All are under way once each connection has begun to answer.
        first = [client.read_until(HEADERS) for client in clients]
        assert all(first)
        server.process.terminate()
        answered = 0
        for client, begun in zip(clients, first, strict=True):
            assert begun is not None
            ended, accepted = ({begun.stream} if begun.flags & END_STREAM else set()), max(streams)
            while (got := client.read()) is not None:
                if got.kind == HEADERS and got.flags & END_STREAM:
                    ended.add(got.stream)
                elif got.kind == GOAWAY:
                    accepted = min(accepted, int.from_bytes(got.payload[:4], "big"))
                elif got.kind == PING and not got.flags & ACK:
                    client.send(frame(PING, ACK, 0, got.payload))
            assert ended >= {stream for stream in streams if stream <= accepted}, (
                "an accepted request was cut"
            )
            answered += len(ended)
        assert answered > len(clients)
        assert server.process.wait(WAIT_S) == 0


def test_a_window_that_never_opens_holds_no_answer_of_others(server: RunningServer) -> None:
    body = grpc_message(scoring_pb2.ScoreRequest(features=ROW).SerializeToString())
    with Connection.to(server.addresses["data"], begin=False) as client:
        # INITIAL_WINDOW_SIZE = 0: the server may send headers, and no byte of any answer.
        client.send(PREFACE, frame(SETTINGS, 0, 0, struct.pack(">HI", 0x4, 0)))
        client.send(*(request(stream, SCORE, body) for stream in range(1, 101, 2)))
        for _ in range(50):
            answer = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=5)
            assert answer.model == "daily"
        got = client.read_until(HEADERS)
        assert got is not None
        # One byte at a time is legal, and must not cost a frame of its own for ever: the answer comes.
        client.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 0x4, 1 << 20)))
        assert client.read_until(DATA) is not None
