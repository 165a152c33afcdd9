"""Latency of one score through the Python client, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

WARMUP_CALLS = 300


def measure(target: str, row: list[float], calls: int) -> dict[str, Any]:
    """Runs this file in a process of its own, as a bot would be."""
    arguments = [sys.executable, str(Path(__file__).resolve()), target, str(calls)]
    done = subprocess.run(arguments, input=json.dumps(row), capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    """Scores one row `calls` times, one after the other."""
    import candlewire  # noqa: PLC0415 - the measuring process only
    import numpy as np  # noqa: PLC0415 - the measuring process only

    target, calls = sys.argv[1], int(sys.argv[2])
    row = np.array(json.load(sys.stdin), np.float32)
    with candlewire.Client(target) as client:
        for _ in range(WARMUP_CALLS):
            client.score(row)
        latencies_us = []
        for _ in range(calls):
            started_ns = time.perf_counter_ns()
            client.score(row)
            latencies_us.append((time.perf_counter_ns() - started_ns) / 1e3)
    latencies_us.sort()
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    percentiles = {name: latencies_us[int(share * (calls - 1))] for name, share in at.items()}
    print(
        json.dumps(
            {"latency_us": {"mean": mean(latencies_us), **percentiles}, "failures": {}, "unanswered": 0}
        )
    )


if __name__ == "__main__":
    main()
