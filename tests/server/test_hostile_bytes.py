"""Bytes that no honest client sends: each is refused or cut off, and the server goes on answering others."""

import contextlib
import gzip
import os
import random
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import raw_http2
import zstandard
from candlewire_proto.v1 import scoring_pb2
from conftest import RunningServer, running_server
from raw_http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Connection,
    frame,
    goaway_code,
    grpc_headers,
    grpc_message,
)

ROW = [0.01, 0.02, -0.01, 0.005]
SCORE = b"/candlewire.v1.ScoringService/Score"
INFER = b"/inference.GRPCInferenceService/ModelInfer"
METHODS = (
    SCORE,
    b"/candlewire.v1.ScoringService/ScoreBatch",
    b"/candlewire.v1.ScoringService/ScoreStream",
    b"/candlewire.v1.BarService/Publish",
    b"/candlewire.v1.SignalService/Subscribe",
    b"/candlewire.v1.SignalService/GetLatest",
    INFER,
    b"/inference.GRPCInferenceService/ModelStreamInfer",
    b"/inference.GRPCInferenceService/ModelConfig",
)
PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR = 0x1, 0x3, 0x6
LIMITS = {
    "tls.handshake_timeout_ms": 500,
    "limits.body_timeout_ms": 500,
    "limits.keepalive_ms": 500,
    "limits.keepalive_timeout_ms": 500,
    "limits.max_control_frames_per_second": 200,
    "limits.max_message_bytes": 1 << 20,
}
WAITING_LINE = int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii"))
CONNECTIONS = int(os.environ.get("CANDLEWIRE_SOAK_CONNECTIONS", "1000"))


@pytest.fixture(scope="module")
def strict(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with short patience."""
    flags = [part for key, value in LIMITS.items() for part in ("--set", f"{key}={value}")]
    with running_server(tiny_store, tmp_path_factory.mktemp("strict"), *flags) as running:
        yield running
        assert running.process.poll() is None, "the server died under its tests"


@pytest.fixture(autouse=True)
def _still_answers(strict: RunningServer) -> Iterator[None]:
    yield
    assert strict.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10).model == "daily"


def connect(server: RunningServer, *, begin: bool = True) -> Connection:
    return Connection.to(server.addresses["data"], begin=begin)


def request(stream: int, path: bytes, body: bytes, *more: tuple[bytes, bytes]) -> bytes:
    return frame(HEADERS, END_HEADERS, stream, grpc_headers(path, *more)) + frame(
        DATA, END_STREAM, stream, body
    )


def grpc_status(connection: Connection, stream: int) -> int | None:
    """The status in the trailers; they come uncompressed or indexed, so their bytes are searched."""
    while (got := connection.read_until(HEADERS)) is not None:
        if got.stream == stream and got.flags & END_STREAM:
            return len(got.payload)
    return None


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01" + b"\0" * 40, b"\0" * 24]
)
def test_what_is_no_http2_is_cut_off(strict: RunningServer, sent: bytes) -> None:
    with connect(strict, begin=False) as connection:
        connection.send(sent)
        assert connection.is_closed()


@pytest.mark.parametrize("sent", [b"", PREFACE[:23]])
def test_a_connection_that_does_not_begin_is_cut_off(strict: RunningServer, sent: bytes) -> None:
    with connect(strict, begin=False) as connection:
        connection.send(sent)
        began = time.monotonic()
        assert connection.is_closed()
        assert 0.3 < time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("data on stream 0", frame(DATA, 0, 0, b"x")),
        ("headers on stream 0", frame(HEADERS, END_HEADERS, 0, grpc_headers(SCORE))),
        ("an even stream", frame(HEADERS, END_HEADERS, 2, grpc_headers(SCORE))),
        ("data on an idle stream", frame(DATA, 0, 7, b"x")),
        ("continuation without headers", frame(CONTINUATION, END_HEADERS, 1, b"")),
        ("a frame amid headers", frame(HEADERS, 0, 1, b"") + frame(PING, 0, 0, b"\0" * 8)),
        ("settings with a stream", frame(SETTINGS, 0, 1)),
        ("settings of 5 bytes", frame(SETTINGS, 0, 0, b"\0" * 5)),
        ("an acknowledgement with settings", frame(SETTINGS, ACK, 0, b"\0" * 6)),
        ("a ping of 7 bytes", frame(PING, 0, 0, b"\0" * 7)),
        ("a ping with a stream", frame(PING, 0, 1, b"\0" * 8)),
        ("a window update of 3 bytes", frame(WINDOW_UPDATE, 0, 0, b"\0" * 3)),
        ("a window above 2^31-1", frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff")),
        ("reset of an idle stream", frame(RST_STREAM, 0, 9, b"\0" * 4)),
        ("a frame above the limit", b"\xff\xff\xff" + bytes([DATA, 0, 0, 0, 0, 1])),
        ("headers that do not decode", frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff")),
        ("a push from a client", frame(0x5, END_HEADERS, 1, b"\0\0\0\2")),
    ],
)
def test_frames_that_break_the_protocol_end_the_connection(
    strict: RunningServer, name: str, frames: bytes
) -> None:
    with connect(strict) as connection:
        connection.send(frames)
        code = goaway_code(connection.read_until(GOAWAY))
        assert code != 0, name
        assert connection.is_closed(), name


@pytest.mark.parametrize("kind", [PING, SETTINGS, raw_http2.PRIORITY])
def test_a_flood_of_control_frames_is_told_to_go_away(strict: RunningServer, kind: int) -> None:
    payload = {PING: b"\0" * 8, SETTINGS: b"", raw_http2.PRIORITY: b"\0\0\0\0\0"}[kind]
    one = frame(kind, 0, 3 if kind == raw_http2.PRIORITY else 0, payload)
    with connect(strict) as connection:
        connection.send(one * 400)
        assert connection.read_until(GOAWAY) is not None
        assert connection.is_closed()


def test_a_flood_of_resets_is_told_to_go_away(strict: RunningServer) -> None:
    with connect(strict) as connection:
        for first in range(1, 1_200, 60):
            streams = range(first, first + 60, 2)
            burst = [
                frame(HEADERS, END_HEADERS, stream, grpc_headers(SCORE))
                + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
                for stream in streams
            ]
            try:
                connection.send(*burst)
            except OSError:
                break
        assert connection.read_until(GOAWAY) is not None
        assert connection.is_closed()


def test_a_flood_of_continuations_ends_the_connection(strict: RunningServer) -> None:
    with connect(strict) as connection:
        connection.send(frame(HEADERS, 0, 1, grpc_headers(SCORE)))
        try:
            for _ in range(2_000):
                connection.send(frame(CONTINUATION, 0, 1, raw_http2.literal(b"x" * 100, b"y" * 100) * 20))
        except OSError:
            pass
        assert connection.is_closed()


def test_headers_that_never_end_are_cut_off(strict: RunningServer) -> None:
    with connect(strict) as connection:
        connection.send(frame(HEADERS, 0, 1, grpc_headers(SCORE)))
        assert connection.is_closed()


def test_a_body_that_stops_half_way_ends_its_request_only(strict: RunningServer) -> None:
    body = grpc_message(scoring_pb2.ScoreRequest(features=ROW).SerializeToString())
    with connect(strict) as connection:
        connection.send(
            frame(HEADERS, END_HEADERS, 1, grpc_headers(SCORE)), frame(DATA, 0, 1, body[: len(body) // 2])
        )
        began = time.monotonic()
        # Pings of the server are answered, so that only the request is at fault.
        while (got := connection.read()) is not None and not (got.kind == HEADERS and got.stream == 1):
            if got.kind == PING and not got.flags & ACK:
                connection.send(frame(PING, ACK, 0, got.payload))
        assert got is not None
        assert b"grpc-status" in got.payload or got.flags & END_STREAM
        assert 0.3 < time.monotonic() - began < 5
        connection.send(request(3, SCORE, body))
        assert grpc_status(connection, 3) is not None


def test_a_body_that_drips_ends_its_request_too(strict: RunningServer) -> None:
    """No pause is long; at this pace the message would take 40 seconds."""
    body = grpc_message(scoring_pb2.ScoreRequest(features=ROW * 25).SerializeToString())
    with connect(strict) as connection:
        connection.send(frame(HEADERS, END_HEADERS, 1, grpc_headers(SCORE)))
        began, sent = time.monotonic(), 0
        connection.sock.settimeout(0.1)
        while sent < len(body):
            connection.send(frame(DATA, 0, 1, body[sent : sent + 1]))
            sent += 1
            with contextlib.suppress(TimeoutError):
                got = connection.read()
                assert got is not None
                if got.kind == PING and not got.flags & ACK:
                    connection.send(frame(PING, ACK, 0, got.payload))
                if got.kind == HEADERS and got.flags & END_STREAM:
                    break
        assert sent < len(body)
        assert 0.3 < time.monotonic() - began < 5


@pytest.mark.parametrize("method", METHODS)
def test_bodies_that_are_no_messages_are_refused(strict: RunningServer, method: bytes) -> None:
    generator = random.Random(7)  # noqa: S311 - reproducible bytes
    bodies = [
        b"",
        b"\x00",
        b"\x02\x00\x00\x00\x00",
        b"\x00\xff\xff\xff\xff",
        grpc_message(b"\xff" * 20),
        grpc_message(b"\x0a\xff\xff\xff\xff\x0f"),
        grpc_message(b"x", compressed=True),
        *(grpc_message(generator.randbytes(generator.randint(1, 200))) for _ in range(20)),
    ]
    with connect(strict) as connection:
        for index, body in enumerate(bodies):
            connection.send(request(2 * index + 1, method, body))
        answered = set()
        while len(answered) < len(bodies):
            got = connection.read()
            assert got is not None, "the connection ended"
            if got.kind == PING and not got.flags & ACK:
                connection.send(frame(PING, ACK, 0, got.payload))
            if (got.flags & END_STREAM and got.kind == HEADERS) or got.kind == RST_STREAM:
                answered.add(got.stream)
            # A subscription that was understood does not end: the caller leaves.
            elif got.kind == DATA and b"Subscribe" in method:
                connection.send(frame(RST_STREAM, 0, got.stream, b"\0\0\0\x08"))
                answered.add(got.stream)


def call(server: RunningServer, body: bytes, encoding: str) -> bytes:
    """Score with a body that was compressed here, so that no library says what it expands to."""
    headers = ((b"grpc-encoding", encoding.encode()), (b"grpc-accept-encoding", encoding.encode()))
    with connect(server) as connection:
        connection.send(request(1, SCORE, grpc_message(body, compressed=True), *headers))
        payload = b""
        while (got := connection.read()) is not None:
            if got.stream == 1 and got.kind == DATA:
                payload += got.payload
            if got.stream == 1 and got.kind == HEADERS and got.flags & END_STREAM:
                break
        return payload


COMPRESSORS = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


@pytest.mark.parametrize("encoding", sorted(COMPRESSORS))
def test_a_compressed_request_has_a_compressed_answer(strict: RunningServer, encoding: str) -> None:
    sent = scoring_pb2.ScoreRequest(features=ROW).SerializeToString()
    payload = call(strict, COMPRESSORS[encoding](sent), encoding)
    assert payload[0] == 1
    expand = {
        "gzip": gzip.decompress,
        "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    }
    answer = scoring_pb2.ScoreResponse.FromString(expand[encoding](payload[5:]))
    plain = strict.scoring.Score(scoring_pb2.ScoreRequest(features=ROW))
    assert list(answer.probabilities) == list(plain.probabilities)


@pytest.mark.parametrize("encoding", sorted(COMPRESSORS))
def test_a_message_that_expands_beyond_the_limit_is_refused(strict: RunningServer, encoding: str) -> None:
    before = resident_bytes(strict)
    bomb = COMPRESSORS[encoding](b"\0" * (64 << 20))
    assert len(bomb) < 1 << 20
    assert call(strict, bomb, encoding) == b""
    assert resident_bytes(strict) - before < 32 << 20


def test_a_caller_that_does_not_compress_is_not_answered_compressed(strict: RunningServer) -> None:
    body = grpc_message(scoring_pb2.ScoreRequest(features=ROW).SerializeToString())
    with connect(strict) as connection:
        connection.send(request(1, SCORE, body, (b"grpc-accept-encoding", b"identity, deflate, gzip, zstd")))
        got = connection.read_until(DATA)
        assert got is not None
        assert got.payload[0] == 0


def test_grpcio_compresses_both_ways(strict: RunningServer) -> None:
    answer, call_ = strict.scoring.Score.with_call(
        scoring_pb2.ScoreRequest(features=ROW), compression=grpc.Compression.Gzip
    )
    assert answer.model == "daily"
    assert call_.code() == grpc.StatusCode.OK


def test_an_unknown_compression_is_unimplemented(strict: RunningServer) -> None:
    assert call(strict, b"x", "snappy") == b""


def resident_bytes(server: RunningServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) << 10


def test_a_message_above_the_limit_is_refused(strict: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        strict.scoring.ScoreBatch(scoring_pb2.ScoreBatchRequest(features=b"\0" * (2 << 20), rows=1))
    assert raised.value.code() in {grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_clients_that_vanish_leave_nothing_behind(strict: RunningServer) -> None:
    body = grpc_message(scoring_pb2.ScoreRequest(features=ROW).SerializeToString())
    for _ in range(20):
        with connect(strict) as connection:
            connection.send(*(request(stream, SCORE, body) for stream in range(1, 201, 2)))
            # No goodbye: the system resets the connection with answers unread.
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.skipif(WAITING_LINE <= 600, reason="net.core.somaxconn lets too few connections wait")
def test_a_burst_of_connections_waits_until_it_is_accepted(tiny_store: Path, tmp_path: Path) -> None:
    """A server that is busy accepts late; nobody who connects meanwhile is left to the system's retries."""
    body = grpc_message(scoring_pb2.ScoreRequest(features=ROW).SerializeToString())
    with running_server(tiny_store, tmp_path) as running, contextlib.ExitStack() as opened:
        running.process.send_signal(signal.SIGSTOP)
        try:
            burst = [opened.enter_context(connect(running)) for _ in range(600)]
        finally:
            running.process.send_signal(signal.SIGCONT)
        for connection in burst:
            connection.send(request(1, SCORE, body))
            assert is_answered(connection, body)


def is_answered(connection: Connection, body: bytes) -> bool:
    """Waits for the answer to a request on stream 1; asks again when the server had too much in hand."""
    stream = 1
    deadline = time.monotonic() + 4 * raw_http2.READ_SECONDS
    while time.monotonic() < deadline and (got := connection.read()) is not None:
        if got.kind == DATA:
            return True
        if got.kind == HEADERS and got.flags & END_STREAM:
            time.sleep(0.02)
            stream += 2
            connection.send(request(stream, SCORE, body))
    return False


def test_many_connections_at_once(tiny_store: Path, tmp_path: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = CONNECTIONS + 500
    if most != resource.RLIM_INFINITY and most < needed:
        pytest.skip(f"{CONNECTIONS} connections need {needed} file handles, the system allows {most}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    body = grpc_message(scoring_pb2.ScoreRequest(features=ROW).SerializeToString())
    try:
        flags = ("--set", "limits.max_connections=20000", "--set", "limits.keepalive_ms=600000")
        with running_server(tiny_store, tmp_path, *flags) as running:
            before = resident_bytes(running)
            opened = [connect(running) for _ in range(CONNECTIONS)]
            for connection in opened:
                connection.send(request(1, SCORE, body))
            for connection in opened:
                assert is_answered(connection, body)
            per_connection = (resident_bytes(running) - before) / CONNECTIONS
            assert per_connection < 100_000, "memory of one open connection"
            for connection in opened:
                connection.sock.close()
            assert running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10).model == "daily"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
