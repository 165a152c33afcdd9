"""What the graph costs: one-thread ONNX Runtime through Python, on this machine, rows that differ."""

import time
from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F32
from candlewire_training.export.runtime import OneThreadRuntime


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphTiming:
    """Median times; Python's call overhead is included."""

    megabytes: float
    one_row_us: float
    batch_64_us_per_row: float


def time_graph(graph: bytes, X: F32, *, calls: int = 300) -> GraphTiming:
    """Times the graph at batch 1 and 64."""
    runtime = OneThreadRuntime(graph)
    return GraphTiming(
        megabytes=len(graph) / 1e6,
        one_row_us=_median_us(runtime, X, rows=1, calls=calls),
        batch_64_us_per_row=_median_us(runtime, X, rows=64, calls=calls // 4) / 64,
    )


def _median_us(runtime: OneThreadRuntime, X: F32, *, rows: int, calls: int) -> float:
    times = np.empty(calls)
    for call in range(-10, calls):
        start = (call * rows) % max(X.shape[0] - rows, 1)
        batch = X[start : start + rows]
        began = time.perf_counter_ns()
        runtime.run(batch)
        if call >= 0:
            times[call] = time.perf_counter_ns() - began
    return float(np.median(times)) / 1e3


__all__ = ["GraphTiming", "time_graph"]
