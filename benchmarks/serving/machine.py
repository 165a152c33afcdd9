"""What the figures were measured on, without names of hosts or folders."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

HALT_POLLING = Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns")
"""How long an idle processor of a virtual machine waits awake; else a lone caller waits for it to wake."""


def describe_machine() -> dict[str, str]:
    """Processor, cores, system and the versions that matter."""
    facts: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "flags") and name.strip() not in facts:
            facts[name.strip()] = value.strip()
    vectors = [name for name in ("avx2", "avx512f") if name in facts.get("flags", "").split()]
    idle = f"{HALT_POLLING.read_text(encoding='utf-8').strip()} ns" if HALT_POLLING.exists() else "unknown"
    return {
        "processor": facts.get("model name", platform.machine()),
        "cores": str(len(os.sched_getaffinity(0))),
        "vector instructions": ", ".join(vectors) or "none",
        "an idle processor waits awake for": idle,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "grpcio": version("grpcio"),
        "onnxruntime": version("onnxruntime"),
    }


def load_average() -> float:
    """Runnable processes over the last minute: above the cores, others took part of the machine."""
    return os.getloadavg()[0]
