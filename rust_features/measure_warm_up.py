"""Measures how many bars a kernel needs until its past no longer shows; the table in docs/features.md.

Two series of one kernel, one of which began 1,500 bars later, are compared on random walks with 1 % steps.
After changing a kernel: `python rust_features/measure_warm_up.py`; a test fails while the table is stale.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import candlewire_features as cf
import numpy as np
from candlewire_features._features import kernel_registry

if TYPE_CHECKING:
    import numpy.typing as npt

TARGET = Path(__file__).parents[1] / "docs" / "features.md"
BEGIN, END = "<!-- warm-up: written by rust_features/measure_warm_up.py -->", "<!-- end of warm-up -->"
BARS, LATER_START = 3000, 1500
SEEDS = (1, 2, 3, 4)
TOLERANCE = 1e-6
# A value below a thousandth of the usual one is compared with that: a difference that crosses zero.
USUAL_PART = 1e-3


def walk(seed: int) -> dict[str, npt.NDArray[Any]]:
    """Hourly bars of a random walk with steps of 1 %."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, BARS)))
    opening = np.concatenate([[100.0], close[:-1]])
    spread = 1.0 + np.abs(random.normal(0.0, 0.003, BARS))
    return {
        "open_time_ns": 1_600_000_000_000_000_000 + np.arange(BARS, dtype=np.int64) * 3_600_000_000_000,
        "open": opening,
        "high": np.maximum(opening, close) * spread,
        "low": np.minimum(opening, close) / spread,
        "close": close,
        "volume": random.uniform(1e5, 1e6, BARS),
    }


def measure() -> list[tuple[str, str, int, int | None]]:
    """Kernel, output, first valid bar and the first bar from which the past no longer shows.

    Kernels of the last bars only agree from their first value on and are left out; None stands for never.
    """
    features: list[tuple[str, str, dict[str, int | float | str], str]] = [
        (f"{kernel['name']}.{output['name']}", kernel["name"], {}, output["name"])
        for kernel in json.loads(kernel_registry())
        for output in kernel["outputs"]
    ]
    spec = cf.FeatureSpec(features)
    agreed = np.max([agreement(spec, seed) for seed in SEEDS], axis=0)
    rows: list[tuple[str, str, int, int | None]] = []
    for column, (name, first) in enumerate(zip(spec.names, spec.feature_warmup_bars, strict=True)):
        kernel, output = name.split(".")
        agrees = int(agreed[column])
        if agrees > first:
            rows.append((kernel, output, first, agrees if agrees < BARS - LATER_START - 100 else None))
    return rows


def agreement(spec: cf.FeatureSpec, seed: int) -> list[int]:
    """The first bar of the later series, feature by feature, from which both agree."""
    bars = walk(seed)
    early = cf.compute(bars, spec)[LATER_START:]
    late = cf.compute({name: values[LATER_START:].copy() for name, values in bars.items()}, spec)
    agreed = []
    for column, first in enumerate(spec.feature_warmup_bars):
        one, other = early[first:, column], late[first:, column]
        size = np.maximum(np.abs(one), USUAL_PART * np.median(np.abs(one)))
        apart = np.flatnonzero(np.abs(one - other) > TOLERANCE * size)
        agreed.append(first + (int(apart[-1]) + 1 if apart.size else 0))
    return agreed


def table() -> str:
    """The rows in Markdown, outputs of one kernel with equal numbers together."""
    grouped: dict[tuple[str, int, int | None], list[str]] = {}
    for kernel, output, first, agrees in measure():
        grouped.setdefault((kernel, first, agrees), []).append(output)
    lines = ["| kernel | outputs | first value at bar | agrees to 1e-6 from bar |", "|---|---|---:|---:|"]
    for (kernel, first, agrees), outputs in grouped.items():
        names = ", ".join(f"`{output}`" for output in outputs)
        lines.append(f"| `{kernel}` | {names} | {first} | {'never' if agrees is None else agrees} |")
    return "\n".join(lines)


def document(text: str) -> str:
    """The document with today's table."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    TARGET.write_text(document(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
