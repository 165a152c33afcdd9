"""Triton's Python backend for the model of the benchmark: ONNX Runtime, one thread; Triton batches."""

import sys
from pathlib import Path

# The backend's interpreter knows nothing of the environment that Triton came with.
sys.path.append(Path(__file__).with_name("packages.txt").read_text(encoding="utf-8"))

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as backend


class TritonPythonModel:
    """Answers with the probabilities."""

    def initialize(self, args: dict[str, str]) -> None:
        """Reads the graph beside this file."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def execute(self, requests: list[object]) -> list[object]:
        """Runs all requests of a batch together."""
        rows = [backend.get_input_tensor_by_name(request, "features").as_numpy() for request in requests]
        (probabilities,) = self._session.run(["probabilities"], {"features": np.concatenate(rows)})
        responses, begin = [], 0
        for part in rows:
            tensor = backend.Tensor("probabilities", probabilities[begin : begin + len(part)])
            responses.append(backend.InferenceResponse(output_tensors=[tensor]))
            begin += len(part)
        return responses
