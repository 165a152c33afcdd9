"""A subscriber that does not read: bounded memory, and it is told what it missed."""

from pathlib import Path

import grpc
import pytest
from candlewire_proto.v1 import signals_pb2, signals_pb2_grpc
from conftest import RunningServer, running_server
from test_bars import bar, publish
from wire_errors import wire_error

DAYS = 4_000
RING = 64


def slow_reader(server: RunningServer) -> signals_pb2_grpc.SignalServiceStub:
    """A stub whose channel takes little from the network before it is read."""
    return signals_pb2_grpc.SignalServiceStub(server.channel("data", bdp_probe=0, lookahead_bytes=1_024))


def test_oldest_signals_are_dropped_and_counted(tiny_store: Path, tmp_path: Path) -> None:
    with running_server(tiny_store, tmp_path) as server:
        request = signals_pb2.SubscribeRequest(include_not_ready=True, buffer_signals=16)
        call = slow_reader(server).Subscribe(request, timeout=30)
        next(call)
        # Far more than the network's windows hold, so that the server's buffer must overflow.
        for first in range(1, DAYS, 500):
            publish(server, *(bar(day) for day in range(first, first + 500)))
        seen = dropped = last = 0
        while last < DAYS:
            message = next(call)
            seen += 1
            dropped += message.dropped_signals
            last = message.signal.sequence
        call.cancel()
    assert dropped > 0
    assert seen + dropped == DAYS, "every signal was either delivered or counted as dropped"


def test_a_gap_in_the_ring_is_counted(tiny_store: Path, tmp_path: Path) -> None:
    with running_server(tiny_store, tmp_path) as server:
        publish(server, *(bar(day) for day in range(1, 31)))
        request = signals_pb2.SubscribeRequest(include_not_ready=True, after_sequence=10, buffer_signals=1)
        call = server.signals.Subscribe(request, timeout=30)
        next(call)
        resumed = [next(call) for _ in range(20)]
        call.cancel()
    assert [message.signal.sequence for message in resumed] == list(range(11, 31)), (
        "what is resumed is not dropped"
    )
    assert not any(message.dropped_signals for message in resumed)


def test_a_subscriber_may_ask_to_be_disconnected(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDLEWIRE_BARS_HUB_RING_SIGNALS", str(RING))
    with running_server(tiny_store, tmp_path) as server:
        request = signals_pb2.SubscribeRequest(
            include_not_ready=True,
            buffer_signals=16,
            slow_policy=signals_pb2.SLOW_SUBSCRIBER_POLICY_DISCONNECT,
        )
        call = slow_reader(server).Subscribe(request, timeout=30)
        next(call)
        for first in range(1, DAYS, 500):
            publish(server, *(bar(day) for day in range(first, first + 500)))
        with pytest.raises(grpc.RpcError) as raised:
            list(call)
    error = wire_error(raised.value)
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SUBSCRIBER_TOO_SLOW")
