"""TLS, mutual TLS, tokens with roles, and limits a client: real handshakes, real refusals."""

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import candlewire
import certificates
import grpc
import pytest
from candlewire.connection import RetryPolicy, Tls
from candlewire_proto.v1 import bars_pb2, models_pb2, models_pb2_grpc, scoring_pb2, signals_pb2
from candlewire_server.errors import TokensError
from candlewire_server.tokens import book
from certificates import Certificates
from conftest import RunningServer, running_server
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from raw_http2 import SETTINGS, Connection
from tritonclient.grpc import service_pb2, service_pb2_grpc
from wire_errors import wire_error

ROW = [0.01, 0.02, -0.01, 0.005]
RELOAD_SECONDS = 10
NO_RETRY = RetryPolicy(attempts=1)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RELOAD_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "nothing changed in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def tls_flags(pki: Certificates) -> tuple[str, ...]:
    certificate, key = pki.server
    return ("--tls-cert", str(certificate), "--tls-key", str(key))


@pytest.fixture(scope="module")
def encrypted(
    tiny_store: Path, tls_flags: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    with running_server(tiny_store, tmp_path_factory.mktemp("tls"), *tls_flags) as running:
        yield running


@pytest.fixture(scope="module")
def mutual(
    tiny_store: Path,
    tls_flags: tuple[str, ...],
    pki: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningServer]:
    flags = (*tls_flags, "--tls-client-ca", str(pki.ca))
    with running_server(tiny_store, tmp_path_factory.mktemp("mtls"), *flags) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    file = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    made = {role: book.add(file, f"the-{role}", [role]) for role in book.ROLES}
    return made | {"file": str(file)}


@pytest.fixture(scope="module")
def guarded(
    tiny_store: Path, tokens: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("guarded")
    with running_server(tiny_store, folder, "--tokens", tokens["file"], "--log-level", "debug") as running:
        yield running
        log = (folder / "server.log").read_text(encoding="utf-8")
        for role in book.ROLES:
            assert tokens[role] not in log


def score(server: RunningServer, **options: object) -> candlewire.Score:
    with candlewire.Client(server.addresses["data"], retries=NO_RETRY, timeout_ms=5_000, **options) as client:
        return client.score(ROW)


def admin_models(server: RunningServer, credentials: grpc.ChannelCredentials) -> int:
    with grpc.secure_channel(server.addresses["admin"], credentials) as channel:
        stub = models_pb2_grpc.ModelServiceStub(channel)
        return len(stub.ListModels(models_pb2.ListModelsRequest(), timeout=5).models)


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def test_both_ports_are_encrypted(encrypted: RunningServer, pki: Certificates) -> None:
    tls = Tls(root_certificates=pki.ca)
    assert score(encrypted, tls=tls).model == "daily"
    assert admin_models(encrypted, tls.credentials()) == 1
    for options in ({}, {"tls": Tls()}):
        with pytest.raises(candlewire.UnavailableError):
            score(encrypted, **options)
    for port in ("data", "admin"):
        host, _, number = encrypted.addresses[port].rpartition(":")
        context = ssl.create_default_context(cafile=pki.ca)
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection((host, int(number)), 5) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            assert wrapped.selected_alpn_protocol() == "h2"
            assert wrapped.version() == "TLSv1.3"


def test_mutual_tls_lets_in_only_clients_of_the_authority(
    mutual: RunningServer, pki: Certificates, tmp_path: Path
) -> None:
    certificate, key = pki.client
    known = Tls(root_certificates=pki.ca, certificate=certificate, key=key)
    assert score(mutual, tls=known).model == "daily"
    assert admin_models(mutual, known.credentials()) == 1
    stranger = certificates.make(tmp_path / "other")
    certificate, key = stranger.client
    for tls in (
        Tls(root_certificates=pki.ca),
        Tls(root_certificates=pki.ca, certificate=certificate, key=key),
    ):
        with pytest.raises(candlewire.UnavailableError):
            score(mutual, tls=tls)
        with pytest.raises(grpc.RpcError) as raised:
            admin_models(mutual, tls.credentials())
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE


def serial(server: RunningServer, port: str, pki: Certificates) -> str:
    host, _, number = server.addresses[port].rpartition(":")
    context = ssl.create_default_context(cafile=pki.ca)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(number)), 5) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        shown = wrapped.getpeercert()
        assert shown is not None
        return str(shown["serialNumber"])


def test_a_new_certificate_is_taken_up_and_a_broken_one_is_not(tiny_store: Path, tmp_path: Path) -> None:
    pki = certificates.make(tmp_path / "pki")
    certificate, key = pki.server
    flags = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with running_server(tiny_store, tmp_path, *flags) as running:
        before = {port: serial(running, port, pki) for port in ("data", "admin")}
        pki.issue("server", "127.0.0.1")
        for port, old in before.items():
            eventually(lambda port=port, old=old: serial(running, port, pki) != old)
        certificate.write_text("no certificate", encoding="utf-8")
        log = tmp_path / "server.log"
        eventually(lambda: "the certificates read before stay in force" in log.read_text(encoding="utf-8"))
        assert score(running, tls=Tls(root_certificates=pki.ca)).model == "daily"


@pytest.mark.parametrize("broken", ["server.pem", "server.key"])
def test_certificates_that_cannot_be_used_are_one_line(tiny_store: Path, tmp_path: Path, broken: str) -> None:
    pki = certificates.make(tmp_path)
    (tmp_path / broken).write_text("nothing", encoding="utf-8")
    certificate, key = pki.server
    command = [str(Path(sys.executable).with_name("candlewire")), "serve", "--store", str(tiny_store)]
    ports = ["--port", "0", "--admin-port", "0", "--metrics-port", "0"]
    flags = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    done = subprocess.run([*command, *ports, *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path / broken) in done.stderr


def test_every_role_opens_its_services_and_no_others(guarded: RunningServer, tokens: dict[str, str]) -> None:
    open_inference = service_pb2_grpc.GRPCInferenceServiceStub(guarded.channel("data"))
    calls: dict[str, list[Callable[[tuple[tuple[str, str], ...] | None], object]]] = {
        "score": [
            lambda sent: guarded.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), metadata=sent),
            lambda sent: open_inference.ServerMetadata(service_pb2.ServerMetadataRequest(), metadata=sent),
        ],
        "publish": [
            lambda sent: list(guarded.bars.Publish(iter([bars_pb2.PublishRequest()]), metadata=sent))
        ],
        "subscribe": [lambda sent: guarded.signals.GetLatest(signals_pb2.GetLatestRequest(), metadata=sent)],
        "admin": [
            lambda sent: guarded.models.ListModels(models_pb2.ListModelsRequest(), metadata=sent),
            lambda sent: open_inference.RepositoryModelLoad(
                service_pb2.RepositoryModelLoadRequest(model_name="daily"), metadata=sent
            ),
        ],
    }
    assert set(calls) == set(book.ROLES)
    for needed, of_role in calls.items():
        for call in of_role:
            for role in book.ROLES:
                sent = metadata(tokens[role])
                if role == needed:
                    call(sent)
                    continue
                with pytest.raises(grpc.RpcError) as raised:
                    call(sent)
                refused = wire_error(raised.value)
                assert refused.code == grpc.StatusCode.PERMISSION_DENIED
                assert refused.reason == "ROLE_MISSING"
                assert f'"{needed}"' in refused.message
                assert f'"the-{role}"' in refused.message
            for sent in (None, metadata("cw_wrong"), (("authorization", "Basic eA=="),)):
                with pytest.raises(grpc.RpcError) as raised:
                    call(sent)
                refused = wire_error(raised.value)
                assert refused.code == grpc.StatusCode.UNAUTHENTICATED
                assert refused.reason == "UNAUTHENTICATED"
                assert "cw_wrong" not in refused.message


def test_health_is_open_and_reflection_needs_a_token(guarded: RunningServer, tokens: dict[str, str]) -> None:
    for port in ("data", "admin"):
        health = health_pb2_grpc.HealthStub(guarded.channel(port))
        assert health.Check(health_pb2.HealthCheckRequest()).status == 1
    stub = reflection_pb2_grpc.ServerReflectionStub(guarded.channel("data"))

    def services(sent: tuple[tuple[str, str], ...] | None) -> list[str]:
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = stub.ServerReflectionInfo(iter([question]), metadata=sent)
        return [service.name for service in answer.list_services_response.service]

    with pytest.raises(grpc.RpcError) as raised:
        services(None)
    assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert "inference.GRPCInferenceService" in services(metadata(tokens["subscribe"]))


def test_the_clients_token_option_is_the_servers_token(
    guarded: RunningServer, tokens: dict[str, str]
) -> None:
    assert score(guarded, token=tokens["score"]).model == "daily"
    with pytest.raises(candlewire.CandlewireError, match="authorization"):
        score(guarded)


def test_a_revoked_token_is_forgotten_on_an_open_connection(tiny_store: Path, tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    kept, revoked = book.add(file, "kept", ["score"]), book.add(file, "revoked", ["score"])
    with running_server(tiny_store, tmp_path, "--tokens", str(file)) as running:

        def allowed(token: str) -> bool:
            try:
                running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), metadata=metadata(token))
            except grpc.RpcError as error:
                return error.code() != grpc.StatusCode.UNAUTHENTICATED
            return True

        assert allowed(kept)
        assert allowed(revoked)
        book.revoke(file, "revoked")
        eventually(lambda: not allowed(revoked))
        assert allowed(kept)
        late = book.add(file, "late", ["score"])
        eventually(lambda: allowed(late))
        file.write_text("no tokens", encoding="utf-8")
        log = tmp_path / "server.log"
        eventually(lambda: "the tokens read before stay in force" in log.read_text(encoding="utf-8"))
        assert allowed(kept)


def test_a_client_that_sends_too_fast_is_told_when_to_come_back(tiny_store: Path, tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    greedy, modest = book.add(file, "greedy", ["score"]), book.add(file, "modest", ["score"])
    flags = ("--tokens", str(file), "--set", "limits.requests_per_second=20")
    with running_server(tiny_store, tmp_path, *flags) as running:

        def outcome(token: str) -> str:
            try:
                running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), metadata=metadata(token))
            except grpc.RpcError as error:
                refused = wire_error(error)
                assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED
                assert refused.retry_ms is not None
                assert 0 < refused.retry_ms <= 1_000
                return refused.reason
            return "scored"

        outcomes = [outcome(greedy) for _ in range(200)]
        assert outcomes[:20] == ["scored"] * 20
        assert outcomes.count("RATE_LIMITED") > 50
        assert outcome(modest) == "scored"


def test_a_client_may_not_hold_too_many_streams(tiny_store: Path, tmp_path: Path) -> None:
    with running_server(tiny_store, tmp_path, "--set", "limits.max_streams_per_client=3") as running:
        held = [running.signals.Subscribe(signals_pb2.SubscribeRequest()) for _ in range(3)]
        for stream in held:
            next(stream)
        with pytest.raises(grpc.RpcError) as raised:
            running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW))
        assert wire_error(raised.value).reason == "TOO_MANY_STREAMS"
        held.pop().cancel()

        def scored() -> bool:
            try:
                running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW))
            except grpc.RpcError:
                return False
            return True

        eventually(scored)
        for stream in held:
            stream.cancel()


def test_tokens_are_made_listed_and_revoked_by_the_command(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"

    def tokens_command(*arguments: str, code: int = 0) -> str:
        command = [str(Path(sys.executable).with_name("candlewire")), "tokens", *arguments]
        done = subprocess.run([*command, "--file", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    token = tokens_command("add", "desk", "--role", "score", "--role", "subscribe").strip()
    assert token.startswith("cw_")
    assert len(token) > 40
    assert token not in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o600
    name, roles, _ = tokens_command("list").strip().split("\t")
    assert (name, roles) == ("desk", "score,subscribe")
    assert "has a token" in tokens_command("add", "desk", "--role", "score", code=2)
    assert "give one or more of" in tokens_command("add", "other", "--role", "root", code=2)
    assert "is no name" in tokens_command("add", "a b", "--role", "score", code=2)
    tokens_command("revoke", "desk")
    assert tokens_command("list") == ""
    assert "has no token" in tokens_command("revoke", "desk", code=2)
    file.write_text("[[token]]\nname = 'x'\n", encoding="utf-8")
    with pytest.raises(TokensError, match="sha256"):
        book.read(file)


def test_tokens_over_tls_from_many_threads(
    tiny_store: Path, tls_flags: tuple[str, ...], pki: Certificates, tokens: dict[str, str], tmp_path: Path
) -> None:
    with running_server(tiny_store, tmp_path, *tls_flags, "--tokens", tokens["file"]) as running:
        options = {"tls": Tls(root_certificates=pki.ca), "token": tokens["score"]}
        with ThreadPoolExecutor(8) as pool:
            names = list(pool.map(lambda _: score(running, **options).model, range(32)))
        assert names == ["daily"] * 32


def test_a_handshake_that_does_not_come_is_cut_off(
    tiny_store: Path, tls_flags: tuple[str, ...], tmp_path: Path
) -> None:
    flags = (*tls_flags, "--set", "tls.handshake_timeout_ms=300")
    with running_server(tiny_store, tmp_path, *flags) as running:
        host, _, port = running.addresses["data"].rpartition(":")
        with socket.create_connection((host, int(port)), 10) as silent:
            began = time.monotonic()
            assert silent.recv(1) == b""
            assert 0.2 < time.monotonic() - began < 5


def test_connections_above_the_limit_are_closed_and_make_room_again(tiny_store: Path, tmp_path: Path) -> None:
    with running_server(tiny_store, tmp_path, "--set", "limits.max_connections=2") as running:
        held = [Connection.to(running.addresses["data"]) for _ in range(2)]
        for connection in held:
            assert connection.read_until(SETTINGS) is not None
        with Connection.to(running.addresses["data"]) as refused:
            assert refused.is_closed()
        held.pop().sock.close()

        def room() -> bool:
            with Connection.to(running.addresses["data"]) as connection:
                return connection.read_until(SETTINGS) is not None

        eventually(room)
        for connection in held:
            connection.sock.close()


def test_the_commands_speak_mutual_tls_with_a_token(
    tiny_store: Path, tls_flags: tuple[str, ...], pki: Certificates, tokens: dict[str, str], tmp_path: Path
) -> None:
    flags = (*tls_flags, "--tls-client-ca", str(pki.ca), "--tokens", tokens["file"])
    with running_server(tiny_store, tmp_path, *flags) as running:
        certificate, key = pki.client
        command = [
            str(Path(sys.executable).with_name("candlewire")),
            "latest",
            "--token",
            tokens["subscribe"],
        ]
        tls = ["--tls-ca", str(pki.ca), "--tls-cert", str(certificate), "--tls-key", str(key)]
        target = ["--target", running.addresses["data"], "--timeout-ms", "10000"]
        done = subprocess.run([*command, *tls, *target], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        done = subprocess.run([*command, *tls[:2], *target], capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert tokens["subscribe"] not in done.stderr
