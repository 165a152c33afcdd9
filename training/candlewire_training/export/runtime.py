"""ONNX Runtime with one thread, as the server runs it."""

import numpy as np
import onnxruntime as ort

from candlewire_training.arrays import F32
from candlewire_training.export.fused_graph import OUTPUTS


def one_thread_session(model: bytes) -> ort.InferenceSession:
    """A session of any graph on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OneThreadRuntime:
    """Runs a fused graph; the same bits for a row in any batch."""

    def __init__(self, model: bytes) -> None:
        self._session = one_thread_session(model)

    def run(self, X: F32) -> dict[str, F32]:
        """Every output of the graph for rows of shape (rows, features)."""
        values = self._session.run(list(OUTPUTS), {"features": np.ascontiguousarray(X, dtype=np.float32)})
        return dict(zip(OUTPUTS, values, strict=True))

    def run_in_batches(self, X: F32, *, rows: int) -> dict[str, F32]:
        """The same, `rows` at a time."""
        parts = [self.run(X[start : start + rows]) for start in range(0, X.shape[0], rows)]
        return {name: np.concatenate([part[name] for part in parts]) for name in OUTPUTS}


__all__ = ["OneThreadRuntime", "one_thread_session"]
