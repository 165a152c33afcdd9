"""Starting and stopping: one clear line when it cannot start, no lost request when it ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path
from urllib.request import urlopen

import bundles
import grpc
import pytest
from candlewire_proto.v1 import bars_pb2, scoring_pb2, signals_pb2
from conftest import RunningServer, running_server, serve_command
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from test_bars import bar

ROW = [0.01, 0.02, -0.01, 0.005]


def failed_start(*command: str) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("candlewire serve:")]
    assert "Traceback" not in done.stderr
    assert len(lines) == 1, done.stderr
    return done.returncode, lines[0]


def test_a_port_in_use_is_one_line_and_exit_code_2(tiny_store: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for flag, name in (("--port", "data"), ("--metrics-port", "metrics"), ("--admin-port", "admin")):
            code, line = failed_start(*serve_command(tiny_store, flag, port))
            assert code == 2
            assert f"{name} address 127.0.0.1:{port}" in line


def test_a_store_without_a_model_is_one_line(tmp_path: Path) -> None:
    code, line = failed_start(*serve_command(tmp_path))
    assert code == 1
    assert "holds no model that can serve" in line
    code, line = failed_start(*serve_command(tmp_path / "absent"))
    assert code == 1
    assert str(tmp_path / "absent") in line
    folder = bundles.write_bundle(tmp_path)
    (folder / "model.onnx").write_bytes(b"no graph")
    code, line = failed_start(*serve_command(tmp_path))
    assert code == 1
    assert "model.onnx hashes to" in line


def test_a_ready_file_that_cannot_be_written_is_one_line(tiny_store: Path, tmp_path: Path) -> None:
    command = serve_command(tiny_store, "--ready-file", str(tmp_path / "absent" / "ready.json"))
    code, line = failed_start(*command)
    assert code == 1
    assert "name a file in a folder that exists" in line


def test_other_machines_are_not_served_unencrypted_by_accident(tiny_store: Path) -> None:
    code, line = failed_start(*serve_command(tiny_store, "--host", "0.0.0.0"))  # noqa: S104 - refused
    assert code == 2
    assert "--insecure-any-host" in line


def test_the_ready_file_names_ports_that_answer(server: RunningServer) -> None:
    assert set(server.addresses) == {"data", "admin", "metrics"}
    with urlopen(f"http://{server.addresses['metrics']}/metrics", timeout=5) as response:
        text = response.read().decode()
    assert "candlewire_scored_rows_total" in text
    for port, services in {
        "data": (
            "",
            "candlewire.v1.ScoringService",
            "candlewire.v1.BarService",
            "candlewire.v1.SignalService",
            "daily",
        ),
        "admin": ("", "candlewire.v1.ModelService", "candlewire.v1.OutcomeService"),
    }.items():
        stub = health_pb2_grpc.HealthStub(server.channel(port))
        for service in services:
            status = stub.Check(health_pb2.HealthCheckRequest(service=service)).status
            assert status == health_pb2.HealthCheckResponse.SERVING, service


def test_reflection_lists_the_services(server: RunningServer) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(server.channel("data"))
    (answer,) = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    names = {service.name for service in answer.list_services_response.service}
    assert {
        "candlewire.v1.ScoringService",
        "candlewire.v1.BarService",
        "candlewire.v1.SignalService",
    } <= names


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_under_load_loses_no_accepted_request(
    tiny_store: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with running_server(tiny_store, tmp_path) as server:
        request = signals_pb2.SubscribeRequest(include_not_ready=True)
        subscription = server.signals.Subscribe(request, timeout=30)
        next(subscription)
        (published,) = server.bars.Publish(iter([bars_pb2.PublishRequest(bar=bar(1))]), timeout=30)
        assert published.fate == bars_pb2.BAR_FATE_ACCEPTED
        codes: list[grpc.StatusCode] = []
        answered = threading.Semaphore(0)

        def load() -> None:
            while True:
                try:
                    server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
                except grpc.RpcError as error:
                    codes.append(error.code())
                    return
                answered.release()

        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            assert answered.acquire(timeout=10)
        os.kill(server.process.pid, number)
        assert server.process.wait(20) == 0
        for thread in threads:
            thread.join()
        # What was published came out before the stream ended with a status of its own.
        assert next(subscription).signal.sequence == 1
        with pytest.raises(grpc.RpcError) as ended:
            next(subscription)
    assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
    assert set(codes) <= {grpc.StatusCode.UNAVAILABLE}, (
        "refused before it was accepted, or connection gone: retry"
    )
    assert not (tmp_path / "ready.json").exists()
    assert "Traceback" not in (tmp_path / "server.log").read_text(encoding="utf-8")


def test_more_signals_while_it_stops_change_nothing(tiny_store: Path, tmp_path: Path) -> None:
    with running_server(tiny_store, tmp_path, "--journal", str(tmp_path / "journal")) as server:
        published = server.bars.Publish(iter([bars_pb2.PublishRequest(bar=bar(1))]), timeout=30)
        assert [answer.fate for answer in published] == [bars_pb2.BAR_FATE_ACCEPTED]
        while server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(0.002)
        assert server.process.returncode == 0


def test_an_idle_server_stops_at_once(tiny_store: Path, tmp_path: Path) -> None:
    with running_server(tiny_store, tmp_path) as server:
        assert server.stop() == 0


def test_settings_come_from_the_environment(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDLEWIRE_TELEMETRY_LOG_FORMAT", "json")
    monkeypatch.setenv("CANDLEWIRE_LIMITS_MAX_REQUEST_ROWS", "3")
    with running_server(tiny_store, tmp_path) as server:
        with pytest.raises(grpc.RpcError) as raised:
            server.scoring.ScoreBatch(scoring_pb2.ScoreBatchRequest(features=bytes(64), rows=4))
        assert "1..=3" in (raised.value.details() or "")
    lines = (tmp_path / "server.log").read_text(encoding="utf-8").splitlines()
    assert any("fields" in json.loads(line) for line in lines if line.startswith("{"))


def test_both_engines_give_the_same_bits(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [[0.01 * i, -0.02, 0.001 * i, 0.03] for i in range(-20, 20)]

    def scores(name: str) -> list[bytes]:
        (tmp_path / name).mkdir()
        with running_server(tiny_store, tmp_path / name) as server:
            answers = [server.scoring.Score(scoring_pb2.ScoreRequest(features=row)) for row in rows]
        for answer in answers:
            answer.ClearField("timings")
        return [answer.SerializeToString(deterministic=True) for answer in answers]

    monkeypatch.setenv("CANDLEWIRE_ENGINE_TREE_KERNEL", "off")
    without = scores("onnxruntime")
    monkeypatch.setenv("CANDLEWIRE_ENGINE_TREE_KERNEL", "avx512")
    assert scores("tree_kernel") == without
    assert "trees on the tree kernel" in (tmp_path / "tree_kernel" / "server.log").read_text(encoding="utf-8")
