"""A model's folder, as training writes it, is one that Triton serves.

The tritonserver of the nvidia-pytriton wheel has only its Python backend, so a model.py beside the graph runs
it; what Triton itself reads is the folder: versions as numbers of fourteen digits, other files beside the
graph, and the configuration that names inputs and outputs. Skipped where the benchmark's peers are not
installed (benchmarks/serving/peers).
"""

import os
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from candlewire_training.export.bundle import Bundle
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

BACKEND = """
import sys
sys.path.append({packages!r})
from pathlib import Path

import onnxruntime as ort
import triton_python_backend_utils as backend


class TritonPythonModel:
    def initialize(self, args):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def execute(self, requests):
        names = [output.name for output in self._session.get_outputs()]
        responses = []
        for request in requests:
            rows = backend.get_input_tensor_by_name(request, "features").as_numpy()
            values = self._session.run(names, {{"features": rows}})
            tensors = [backend.Tensor(name, value) for name, value in zip(names, values)]
            responses.append(backend.InferenceResponse(output_tensors=tensors))
        return responses
"""


def configuration(graph: Path) -> str:
    """config.pbtxt with the graph's inputs and outputs; the first dimension is left to the caller."""

    def tensors(field: str, values: list[onnx.ValueInfoProto]) -> str:
        lines = []
        for value in values:
            sizes = [dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim]
            lines.append(f'{field} [{{ name: "{value.name}" data_type: TYPE_FP32 dims: {sizes} }}]')
        return "\n".join(lines)

    loaded = onnx.load(graph).graph
    parts = [
        'backend: "python"',
        "max_batch_size: 0",
        "version_policy { all { } }",
        tensors("input", list(loaded.input)),
        tensors("output", list(loaded.output)),
    ]
    return "\n".join(parts) + "\n"


@pytest.fixture
def tritonserver(root: Path, bundle: Bundle, tmp_path: Path) -> Iterator[str]:
    """Address of a Triton that serves a copy of the model's folder."""
    found = sorted((root / ".uv" / "peers").glob("lib/python3.*/site-packages/pytriton/tritonserver"))
    if not found:
        pytest.skip("the tritonserver of benchmarks/serving/peers is not installed")
    home, packages = found[0], found[0].parents[1]
    stub = home / "python_backend_stubs" / packages.parent.name.removeprefix("python")
    if not (stub / "triton_python_backend_stub").exists():
        pytest.skip("the wheel has no Python backend for this Python")
    backends, model = tmp_path / "backends", tmp_path / "models" / "quick"
    shutil.copytree(home / "backends", backends)
    shutil.copy(stub / "triton_python_backend_stub", backends / "python")
    shutil.copytree(bundle.folder.parent, model)
    (model / bundle.folder.name / "model.py").write_text(BACKEND.format(packages=str(packages)), "utf-8")
    (model / "config.pbtxt").write_text(configuration(bundle.folder / "model.onnx"), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    carried = (home / "lib", home / "external_libs", packages / "nvidia_pytriton.libs")
    interpreter = Path(os.path.realpath(root / ".uv" / "peers" / "bin" / "python"))
    libraries = [str(interpreter.parents[1] / "lib"), sysconfig.get_config_var("LIBDIR") or ""]
    libraries += [str(path) for path in carried if path.exists()]
    log = (tmp_path / "triton.log").open("w", encoding="utf-8")
    process = subprocess.Popen(
        [
            str(home / "bin" / "tritonserver"),
            f"--model-repository={model.parent}",
            f"--backend-directory={backends}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={address.rpartition(':')[2]}",
            "--allow-http=false",
            "--allow-metrics=false",
        ],
        env=os.environ | {"LD_LIBRARY_PATH": ":".join(libraries)},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        yield address
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def test_triton_serves_a_copy_of_the_folder(tritonserver: str, bundle: Bundle, tmp_path: Path) -> None:
    client = triton.InferenceServerClient(tritonserver)
    deadline = time.monotonic() + 25
    version = bundle.folder.name
    while not ready(client, version):
        assert time.monotonic() < deadline, (tmp_path / "triton.log").read_text(encoding="utf-8")[-3000:]
        time.sleep(0.1)
    with np.load(bundle.folder / "golden.npz") as golden:
        rows = golden["features"]
        request = triton.InferInput("features", list(rows.shape), "FP32").set_data_from_numpy(rows)
        answer = client.infer("quick", [request], model_version=version)
        names = [name for name in golden.files if name != "features"]
        assert len(names) == 8
        for name in names:
            np.testing.assert_allclose(answer.as_numpy(name), golden[name], rtol=1e-5, atol=1e-5)
    client.close()


def ready(client: triton.InferenceServerClient, version: str) -> bool:
    try:
        return bool(client.is_model_ready("quick", version))
    except InferenceServerException:
        return False
