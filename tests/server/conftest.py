"""A real server as a subprocess, on ports the system chooses; nothing here sleeps for a fixed time."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from candlewire_proto.v1 import (
    bars_pb2_grpc,
    models_pb2_grpc,
    outcomes_pb2_grpc,
    scoring_pb2_grpc,
    signals_pb2_grpc,
)

sys.path.insert(0, str(Path(__file__).parent))

import bundles

START_SECONDS = 20
STOP_SECONDS = 20


@dataclass(kw_only=True)
class RunningServer:
    """A server process and stubs for its ports."""

    process: subprocess.Popen[str]
    store: Path
    addresses: dict[str, str]
    channels: contextlib.ExitStack

    def __post_init__(self) -> None:
        data = self.channel("data")
        admin = self.channel("admin")
        self.scoring = scoring_pb2_grpc.ScoringServiceStub(data)
        self.bars = bars_pb2_grpc.BarServiceStub(data)
        self.signals = signals_pb2_grpc.SignalServiceStub(data)
        self.models = models_pb2_grpc.ModelServiceStub(admin)
        self.outcomes = outcomes_pb2_grpc.OutcomeServiceStub(admin)

    def channel(self, port: str, **options: int) -> grpc.Channel:
        """A channel; options are gRPC's, for example ``bdp_probe`` for ``grpc.http2.bdp_probe``."""
        arguments = [(f"grpc.http2.{name}", value) for name, value in options.items()]
        return self.channels.enter_context(grpc.insecure_channel(self.addresses[port], arguments))

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)


def serve_command(store: Path, *flags: str) -> list[str]:
    chosen = ["--port", "0", "--admin-port", "0", "--metrics-port", "0"]
    return [
        str(Path(sys.executable).with_name("candlewire")),
        "serve",
        "--store",
        str(store),
        *chosen,
        *flags,
    ]


@contextlib.contextmanager
def running_server(store: Path, folder: Path, *flags: str) -> Iterator[RunningServer]:
    ready_file = folder / "ready.json"
    # A server that was killed left its own behind.
    ready_file.unlink(missing_ok=True)
    with (folder / "server.log").open("w", encoding="utf-8") as log:
        command = serve_command(store, "--ready-file", str(ready_file), *flags)
        # A test that writes a store says when it is read again, unless it is about that.
        environment = {"CANDLEWIRE_SERVER_STORE_WATCH_MS": "0"} | os.environ
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True, env=environment)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not ready_file.exists():
                ended = process.poll()
                late = time.monotonic() > deadline
                if ended is not None or late:
                    pytest.fail((folder / "server.log").read_text(encoding="utf-8"))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.02)
            addresses = json.loads(ready_file.read_text(encoding="utf-8"))
            with contextlib.ExitStack() as channels:
                yield RunningServer(process=process, store=store, addresses=addresses, channels=channels)
        finally:
            process.kill()
            process.wait(STOP_SECONDS)


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one small model; tests only read it."""
    store = tmp_path_factory.mktemp("store")
    bundles.write_bundle(store)
    return store


@pytest.fixture(scope="module")
def server(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for the tests of a module; they leave it serving."""
    with running_server(tiny_store, tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.process.poll() is None, "the server died under its tests"
