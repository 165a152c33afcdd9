"""The programs that are measured and the one that measures: built from this tree, started on free ports."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PROFILE = "dist"
"""Cargo profile of what is measured: that of the wheels."""
BUILT = ROOT / "target" / PROFILE
ECHO = BUILT / "examples" / "candlewire-echo"
GENERATOR = BUILT / "candlewire-load-generator"
PACKAGES = BUILT / "python"
"""The server's Python package with the data plane of `PROFILE`: found before the one of the environment."""
START_S = 30.0
SERVER_CORE, GENERATOR_CORE = 0, 1
"""Where they run when they may not share the cores."""


class BenchmarkError(Exception):
    """A program could not be built or started; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A server that runs, and how to ask it for a score.

    Attributes:
        name: Name in the report.
        target: `host:port`.
        method: gRPC method of one score.
        body: File with one encoded request.
        process_id: Its process, for resident memory.
    """

    name: str
    target: str
    method: str
    body: Path
    process_id: int


def build() -> None:
    """Builds the load generator, the echo and the data plane with the profile of the wheels.

    Raises:
        BenchmarkError: Cargo failed.
    """
    server = ["-p", "candlewire-server", "--features", "python", "--lib", "--example", "candlewire-echo"]
    for package in (["-p", "candlewire-load-generator"], server):
        done = subprocess.run(
            ["cargo", "build", "--profile", PROFILE, "--locked", "--quiet", *package],
            cwd=ROOT,
            env={**os.environ, "PYO3_PYTHON": sys.executable},
            check=False,
        )
        if done.returncode != 0:
            raise BenchmarkError(f"cargo build {' '.join(package)} failed; its message is above")
    package = PACKAGES / "candlewire_server"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(
        ROOT / "server" / "python" / package.name,
        package,
        ignore=shutil.ignore_patterns("*.so", "__pycache__"),
    )
    shutil.copyfile(BUILT / "libcandlewire_server.so", package / "_data_plane.abi3.so")


def on_core(core: int | None) -> list[str]:
    """What a command begins with to stay on one core; nothing when it may run on all."""
    return [] if core is None else ["taskset", "--cpu-list", str(core)]


@contextlib.contextmanager
def candlewire_server(
    store: Path, folder: Path, *options: str, core: int | None = None
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """`candlewire serve` over `store`; gives its process and its addresses by port name.

    `folder` is made when it is not there.
    """
    folder.mkdir(exist_ok=True)
    ready, log = folder / "ready.json", folder / "server.log"
    ready.unlink(missing_ok=True)
    ports = ["--port", "0", "--admin-port", "0", "--metrics-port", "0", "--log-level", "warn"]
    command = [
        *on_core(core),
        Path(sys.executable).with_name("candlewire"),
        "serve",
        "--store",
        store,
        *ports,
        "--ready-file",
        ready,
    ]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*command, *options],
            env={**os.environ, "PYTHONPATH": str(PACKAGES)},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    with stopped_at_the_end(process):
        wait_for(ready.exists, process, log)
        yield process, json.loads(ready.read_text(encoding="utf-8"))


@contextlib.contextmanager
def echo_server(core: int | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server's own echo; gives its process and its address."""
    command = [*on_core(core), ECHO, "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with stopped_at_the_end(process):
        address = process.stdout.readline().strip() if process.stdout is not None else ""
        if not address:
            raise BenchmarkError("candlewire-echo ended before it served")
        yield process, address


@contextlib.contextmanager
def stopped_at_the_end(process: subprocess.Popen[str]) -> Iterator[None]:
    """Ends the process with the block, by force when it does not end by itself."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_for(ready: object, process: subprocess.Popen[str], log: Path) -> None:
    """Waits until `ready()` holds.

    Raises:
        BenchmarkError: The process ended or is too slow; the message ends with its log.
    """
    deadline_s = time.monotonic() + START_S
    while not ready():  # type: ignore[operator]
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise BenchmarkError(
                f"{process.args!r} did not start:\n{log.read_text(encoding='utf-8')[-2000:]}"
            )
        time.sleep(0.005)


def resident_mb(process_id: int) -> float:
    """Resident memory of a process, megabytes."""
    for line in Path(f"/proc/{process_id}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise BenchmarkError(f"no resident memory of process {process_id}")
