"""Other inference servers, started with the same model on free ports; one that is not here says why."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from processes import ROOT, BenchmarkError, Peer, stopped_at_the_end, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import numpy.typing as npt

SCORE = "/candlewire.v1.ScoringService/Score"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
SOURCES = ROOT / "benchmarks" / "serving" / "peers"
ENVIRONMENT = ROOT / ".uv" / "peers"
INSTALL = (
    "UV_PROJECT_ENVIRONMENT=../../../.uv/peers "
    "uv sync --project benchmarks/serving/peers --group benchmark-peers"
)
MODEL = "speed_only"
GRPC_AIO, MLSERVER, TRITON = "grpc.aio + onnxruntime", "MLServer", "Triton (Python backend)"

TRITON_CONFIG = """
backend: "python"
max_batch_size: 256
input [{{ name: "features" data_type: TYPE_FP32 dims: [{features}] }}]
output [{{ name: "probabilities" data_type: TYPE_FP32 dims: [2] }}]
instance_group [{{ count: 1 kind: KIND_CPU }}]
dynamic_batching {{ }}
"""


class PeerMissingError(BenchmarkError):
    """A peer is not installed; the message says how to install it."""


def infer_request(row: npt.NDArray[np.float32]) -> bytes:
    """A `ModelInferRequest` of the Open Inference Protocol with one row of raw contents."""
    shape = bytes([1, row.size])
    tensor = _field(1, b"features") + _field(2, b"FP32") + _field(3, shape)
    return _field(1, MODEL.encode()) + _field(5, tensor) + _field(7, row.astype("<f4").tobytes())


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field; numbers below 16, lengths below 16,384."""
    length = len(content)
    encoded = bytes([length]) if length < 128 else bytes([length & 0x7F | 0x80, length >> 7])
    return bytes([number << 3 | 2]) + encoded + content


@contextlib.contextmanager
def grpc_aio_peer(model: Path, body: Path) -> Iterator[Peer]:
    """grpc.aio in front of ONNX Runtime, in Candlewire's own environment."""
    command = [sys.executable, str(SOURCES / "grpc_aio_server.py"), str(model)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with stopped_at_the_end(process):
        address = process.stdout.readline().strip() if process.stdout is not None else ""
        if not address:
            raise BenchmarkError(f"{GRPC_AIO} ended before it served")
        yield Peer(name=GRPC_AIO, target=address, method=SCORE, body=body, process_id=process.pid)


@contextlib.contextmanager
def mlserver_peer(model: Path, body: Path, folder: Path) -> Iterator[Peer]:
    """MLServer with a runtime of a dozen lines, in one process."""
    program = ENVIRONMENT / "bin" / "mlserver"
    if not program.exists():
        raise PeerMissingError(f"not installed: {INSTALL}")
    folder.mkdir()
    shutil.copy(SOURCES / "mlserver_runtime.py", folder)
    port = free_port()
    settings = {
        "host": "127.0.0.1",
        "grpc_port": port,
        "http_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "debug": False,
    }
    model_settings = {
        "name": MODEL,
        "implementation": "mlserver_runtime.OnnxModel",
        "parameters": {"uri": str(model)},
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "model-settings.json").write_text(json.dumps(model_settings), encoding="utf-8")
    with _started([str(program), "start", "."], folder, port) as process:
        target = f"127.0.0.1:{port}"
        yield Peer(name=MLSERVER, target=target, method=MODEL_INFER, body=body, process_id=process.pid)


@contextlib.contextmanager
def triton_peer(model: Path, body: Path, folder: Path, *, features: int) -> Iterator[Peer]:
    """The tritonserver of the nvidia-pytriton wheel, with its Python backend and dynamic batches."""
    found = sorted(ENVIRONMENT.glob("lib/python3.*/site-packages/pytriton/tritonserver"))
    if not found:
        raise PeerMissingError(f"not installed: {INSTALL}")
    triton, packages = found[0], found[0].parents[1]
    version = packages.parent.name.removeprefix("python")
    stub = triton / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.exists():
        raise PeerMissingError(f"the wheel has no Python backend for Python {version}")
    # The wheel keeps the stub of each Python apart; the backend looks for it in its own folder.
    backends = folder / "backends"
    shutil.copytree(triton / "backends", backends)
    shutil.copy(stub, backends / "python")
    versioned = folder / "models" / MODEL / "1"
    versioned.mkdir(parents=True)
    shutil.copy(SOURCES / "triton_model.py", versioned / "model.py")
    shutil.copy(model, versioned / "model.onnx")
    (versioned / "packages.txt").write_text(str(packages), encoding="utf-8")
    config = TRITON_CONFIG.format(features=features)
    (versioned.parent / "config.pbtxt").write_text(config, encoding="utf-8")
    port = free_port()
    command = [
        str(triton / "bin" / "tritonserver"),
        f"--model-repository={folder / 'models'}",
        f"--backend-directory={backends}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={port}",
        "--allow-http=false",
        "--allow-metrics=false",
    ]
    interpreter = Path(os.path.realpath(ENVIRONMENT / "bin" / "python"))
    libraries = [str(interpreter.parents[1] / "lib"), sysconfig.get_config_var("LIBDIR") or ""]
    carried = (triton / "lib", triton / "external_libs", packages / "nvidia_pytriton.libs")
    libraries += [str(path) for path in carried if path.exists()]
    environment = {"LD_LIBRARY_PATH": ":".join(libraries)}
    with _started(command, folder, port, environment) as process:
        target = f"127.0.0.1:{port}"
        yield Peer(name=TRITON, target=target, method=MODEL_INFER, body=body, process_id=process.pid)


@contextlib.contextmanager
def _started(
    command: list[str], folder: Path, port: int, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process that serves `port`; its output goes to a log in `folder`."""
    log = folder / "server.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | (environment or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    with stopped_at_the_end(process):
        wait_for(lambda: answers(port), process, log)
        yield process


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_peers(
    stack: contextlib.ExitStack, model: Path, folder: Path, row: npt.NDArray[np.float32], score_body: Path
) -> tuple[list[Peer], list[str]]:
    """Starts every peer that is here.

    Returns:
        The peers, and a sentence on each one that was left out.
    """
    body = folder / "infer.bin"
    body.write_bytes(infer_request(row))
    makers: dict[str, Callable[[], contextlib.AbstractContextManager[Peer]]] = {
        GRPC_AIO: lambda: grpc_aio_peer(model, score_body),
        TRITON: lambda: triton_peer(model, body, folder / "triton", features=row.size),
        MLSERVER: lambda: mlserver_peer(model, body, folder / "mlserver"),
    }
    peers, missing = [], []
    for name, make in makers.items():
        try:
            peers.append(stack.enter_context(make()))
        except PeerMissingError as error:
            missing.append(f"{name} is not in this report: {error}.")
        except BenchmarkError as error:
            last_line = str(error).strip().splitlines()[-1]
            missing.append(f"{name} is not in this report, it did not start: {last_line}.")
    return peers, missing
