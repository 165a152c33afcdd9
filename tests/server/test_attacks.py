"""What an attacker would try: floods that expand, open doors, downgrades, secrets in what is written down."""

import contextlib
import gzip
import http.client
import json
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import certificates
import grpc
import pytest
import zstandard
from candlewire_proto.v1 import models_pb2, scoring_pb2, signals_pb2
from candlewire_server.tokens import book
from conftest import RunningServer, running_server
from raw_http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Connection,
    frame,
    grpc_headers,
    grpc_message,
    literal,
)
from test_hostile_bytes import SCORE, request, resident_bytes
from tritonclient.grpc import service_pb2, service_pb2_grpc

ROW = [0.01, 0.02, -0.01, 0.005]
BOMB_BYTES = 4 << 20
BOMBS = 1_000
BOMBS_AT_ONCE = 5
"""Less than half of the connection's window, which a busy server opens again late."""
GOOD = grpc_message(scoring_pb2.ScoreRequest(features=ROW).SerializeToString())
SUBSCRIBE = b"/candlewire.v1.SignalService/Subscribe"
STREAM = b"/candlewire.v1.ScoringService/ScoreStream"


@pytest.fixture(scope="module")
def server(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    flags = ("--set", "limits.max_message_bytes=1048576", "--set", "limits.max_streams_per_connection=64")
    with running_server(tiny_store, tmp_path_factory.mktemp("attacked"), *flags) as running:
        yield running
        assert running.process.poll() is None, "the server died under its tests"


@pytest.fixture(autouse=True)
def _still_answers(server: RunningServer) -> Iterator[None]:
    yield
    assert server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10).model == "daily"


def ended(connection: Connection, wanted: int) -> set[int]:
    """Streams that the server ended, once there are `wanted` or it closed the connection."""
    found: set[int] = set()
    while len(found) < wanted and (got := connection.read()) is not None:
        if got.kind == PING and not got.flags & ACK:
            connection.send(frame(PING, ACK, 0, got.payload))
        if got.kind == RST_STREAM or (got.kind == HEADERS and got.flags & END_STREAM):
            found.add(got.stream)
    return found


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_thousand_bombs_cost_neither_memory_nor_the_next_answer(
    server: RunningServer, encoding: str
) -> None:
    compress = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}[encoding]
    bomb = grpc_message(compress(b"\0" * BOMB_BYTES), compressed=True)
    headers = ((b"grpc-encoding", encoding.encode()),)
    before, began, refused = resident_bytes(server), time.monotonic(), 0
    with Connection.to(server.addresses["data"]) as connection:
        for first in range(1, 2 * BOMBS, 2 * BOMBS_AT_ONCE):
            streams = range(first, first + 2 * BOMBS_AT_ONCE, 2)
            for stream in streams:
                connection.send(request(stream, SCORE, bomb, *headers))
            refused += len(ended(connection, len(streams)))
    assert refused == BOMBS
    assert resident_bytes(server) - before < 64 << 20
    # A second's work of one core at most; 4 GB would take longer to expand.
    assert time.monotonic() - began < 20


def test_a_bomb_within_a_stream_ends_that_stream_only(server: RunningServer) -> None:
    bomb = grpc_message(gzip.compress(b"\0" * BOMB_BYTES), compressed=True)
    with Connection.to(server.addresses["data"]) as connection:
        connection.send(
            request(1, STREAM, GOOD, (b"grpc-encoding", b"gzip")),
            request(3, STREAM, bomb, (b"grpc-encoding", b"gzip")),
            request(5, SCORE, GOOD),
        )
        assert ended(connection, 3) == {1, 3, 5}


@pytest.mark.parametrize("count", [100, 5_000])
def test_header_lists_above_the_limit_are_refused(server: RunningServer, count: int) -> None:
    """Small fields, so that what they decode to is what exceeds; the largest list is half a megabyte."""
    block = grpc_headers(SCORE) + b"".join(literal(b"x-%d" % index, b"y" * 100) for index in range(count))
    cuts = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
    frames = [frame(HEADERS, END_HEADERS if len(cuts) == 1 else 0, 1, cuts[0])]
    frames += [frame(CONTINUATION, END_HEADERS if cut is cuts[-1] else 0, 1, cut) for cut in cuts[1:]]
    with Connection.to(server.addresses["data"]) as connection, contextlib.suppress(OSError):
        connection.send(*frames, frame(DATA, END_STREAM, 1, GOOD))
        outcome = ended(connection, 1)
        # A list of 15 kB is usual; one of 600 kB ends its request or the connection.
        assert outcome <= {1}
    assert resident_bytes(server) < 500 << 20


def test_more_streams_than_allowed_are_refused_one_by_one(server: RunningServer) -> None:
    subscribe = grpc_message(signals_pb2.SubscribeRequest().SerializeToString())
    with Connection.to(server.addresses["data"]) as connection:
        connection.send(*(request(stream, SUBSCRIBE, subscribe) for stream in range(1, 401, 2)))
        refused = ended(connection, 100)
        assert len(refused) >= 100, "64 of 200 are held, the others refused"


def test_windows_are_not_a_lever(server: RunningServer) -> None:
    """Windows of zero, changed a thousand times, and updates of one byte: no crash, no storm of frames."""
    before = resident_bytes(server)
    with Connection.to(server.addresses["data"]) as connection:
        connection.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 0x4, 0)))
        connection.send(*(request(stream, SCORE, GOOD) for stream in range(1, 101, 2)))
        with contextlib.suppress(OSError):
            for _ in range(200):
                connection.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)))
            for size in range(200):
                connection.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 0x4, size % 7)))
            connection.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 0)))
    assert resident_bytes(server) - before < 32 << 20


def test_a_body_that_drips_holds_one_stream_and_nothing_else(server: RunningServer) -> None:
    with Connection.to(server.addresses["data"]) as connection:
        connection.send(frame(HEADERS, END_HEADERS, 1, grpc_headers(SCORE)))
        for byte in GOOD[:-1]:
            connection.send(frame(DATA, 0, 1, bytes([byte])))
        began = time.monotonic()
        for _ in range(50):
            server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=5)
        assert time.monotonic() - began < 5


@pytest.fixture(scope="module")
def locked(
    tiny_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningServer, Path]]:
    """TLS and tokens; the folder holds what it logged, as much of it as there is."""
    folder = tmp_path_factory.mktemp("locked")
    pki = certificates.make(folder / "pki")
    file = folder / "tokens.toml"
    secrets = {role: book.add(file, f"the-{role}", [role]) for role in book.ROLES}
    (folder / "secrets.json").write_text(json.dumps(secrets), encoding="utf-8")
    certificate, key = pki.server
    flags = ["--tls-cert", str(certificate), "--tls-key", str(key), "--tokens", str(file)]
    flags += ["--log-level", "debug", "--log-format", "json"]
    with running_server(tiny_store, folder, *flags) as running:
        yield running, folder


def handshake(server: RunningServer, port: str, folder: Path, **versions: ssl.TLSVersion) -> str | None:
    context = ssl.create_default_context(cafile=folder / "pki" / "ca.pem")
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    for name, version in versions.items():
        setattr(context, name, version)
    host, _, number = server.addresses[port].rpartition(":")
    with (
        socket.create_connection((host, int(number)), 5) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        return wrapped.version()


@pytest.mark.parametrize("port", ["data", "admin"])
@pytest.mark.filterwarnings("ignore:.*TLSv1.*deprecated:DeprecationWarning")
def test_no_client_talks_the_server_down_to_old_encryption(
    locked: tuple[RunningServer, Path], port: str
) -> None:
    server, folder = locked
    assert handshake(server, port, folder) == "TLSv1.3"
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(server, port, folder, minimum_version=version, maximum_version=version)
    # Bytes that are not encrypted get no answer that a client could read.
    host, _, number = server.addresses[port].rpartition(":")
    with Connection.to(f"{host}:{number}") as plain, contextlib.suppress(OSError):
        plain.send(request(1, SCORE, GOOD))
        assert plain.is_closed()


def secrets_of(folder: Path) -> dict[str, str]:
    content: dict[str, str] = json.loads((folder / "secrets.json").read_text(encoding="utf-8"))
    return content


def test_no_role_and_no_trick_opens_what_it_should_not(locked: tuple[RunningServer, Path]) -> None:
    server, folder = locked
    tokens = secrets_of(folder)
    credentials = grpc.ssl_channel_credentials((folder / "pki" / "ca.pem").read_bytes())
    tricks = [
        (("authorization", f"bearer  {tokens['admin']}"),),
        (("authorization", f"Bearer {tokens['admin']} "),),
        (("authorization", f"Bearer {tokens['admin'][:-1]}"),),
        (("authorization", f"Bearer {tokens['admin']}x"),),
        (("authorization", f"Bearer {tokens['score']}"), ("authorization", f"Bearer {tokens['admin']}")),
        (("x-authorization", f"Bearer {tokens['admin']}"),),
        (("authorization", f"Bearer {tokens['publish']}"),),
        (("authorization", f"Bearer {'a' * 7_000}"),),
        (),
    ]
    refused = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
    with (
        grpc.secure_channel(server.addresses["data"], credentials) as data,
        grpc.secure_channel(server.addresses["admin"], credentials) as admin,
    ):
        stub = service_pb2_grpc.GRPCInferenceServiceStub(data)
        unload = service_pb2.RepositoryModelUnloadRequest(model_name="daily")
        models = admin.unary_unary(
            "/candlewire.v1.ModelService/RollbackModel",
            request_serializer=models_pb2.RollbackModelRequest.SerializeToString,
        )
        for sent in tricks[2:]:
            with pytest.raises(grpc.RpcError) as raised:
                stub.RepositoryModelUnload(unload, metadata=sent, timeout=10)
            assert raised.value.code() in refused, sent
            with pytest.raises(grpc.RpcError) as raised:
                models(models_pb2.RollbackModelRequest(model="daily"), metadata=sent, timeout=10)
            assert raised.value.code() in refused, sent
            assert not any(token in (raised.value.details() or "") for token in tokens.values())
        # The admin services are not on the data port, nor the data services on the admin port.
        for channel, path in ((data, "/candlewire.v1.ModelService/ListModels"), (admin, SCORE.decode())):
            call = channel.unary_unary(path)
            with pytest.raises(grpc.RpcError) as raised:
                call(b"", metadata=(("authorization", f"Bearer {tokens['admin']}"),), timeout=10)
            assert raised.value.code() in refused | {grpc.StatusCode.UNIMPLEMENTED}


def test_the_metrics_port_gives_metrics_and_nothing_else(locked: tuple[RunningServer, Path]) -> None:
    server, folder = locked
    port = http.client.HTTPConnection(server.addresses["metrics"], timeout=5)

    def ask(method: str, path: str, body: bytes = b"") -> tuple[int, str]:
        port.request(method, path, body=body)
        with port.getresponse() as response:
            return response.status, response.read().decode()

    for path in ("/", "/../tokens.toml", "/metrics/../../etc/passwd", "/debug/pprof", "/%2e%2e/tokens.toml"):
        assert ask("GET", path)[0] == 404
    assert ask("POST", "/metrics", b"x" * 100)[0] == 405
    status, text = ask("GET", "/metrics")
    port.close()
    assert status == 200
    assert not any(token in text for token in secrets_of(folder).values())


def test_nothing_that_is_written_down_holds_a_secret(locked: tuple[RunningServer, Path]) -> None:
    """After all of the above: the log at its most talkative, the process as listed, the file of tokens."""
    server, folder = locked
    log = (folder / "server.log").read_text(encoding="utf-8")
    command_line = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().decode()
    stored = (folder / "tokens.toml").read_text(encoding="utf-8")
    key = (folder / "pki" / "server.key").read_text(encoding="utf-8").splitlines()[1]
    for name, token in secrets_of(folder).items():
        assert token not in log + command_line + stored, name
    assert key not in log
    hashes = [line.split('"')[1] for line in stored.splitlines() if "sha256" in line]
    assert hashes
    assert not any(hashed in log for hashed in hashes)
