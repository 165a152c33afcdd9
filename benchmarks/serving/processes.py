"""The programs that are measured and the one that measures: built from this tree, started on free ports."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / "target" / "release"
ECHO = RELEASE / "examples" / "candlewire-echo"
GENERATOR = RELEASE / "candlewire-load-generator"
START_S = 30.0


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
    """Builds the load generator and the echo in release mode.

    Raises:
        BenchmarkError: Cargo failed.
    """
    for package in (
        ["-p", "candlewire-load-generator"],
        ["-p", "candlewire-server", "--example", "candlewire-echo"],
    ):
        done = subprocess.run(
            ["cargo", "build", "--release", "--locked", "--quiet", *package], cwd=ROOT, check=False
        )
        if done.returncode != 0:
            raise BenchmarkError(f"cargo build {' '.join(package)} failed; its message is above")


@contextlib.contextmanager
def candlewire_server(
    store: Path, folder: Path, *options: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """`candlewire serve` over `store`; gives its process and its addresses by port name."""
    ready, log = folder / "ready.json", folder / "server.log"
    ready.unlink(missing_ok=True)
    ports = ["--port", "0", "--admin-port", "0", "--metrics-port", "0", "--log-level", "warn"]
    command = [
        Path(sys.executable).with_name("candlewire"),
        "serve",
        "--store",
        store,
        *ports,
        "--ready-file",
        ready,
    ]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen([*command, *options], stdout=output, stderr=subprocess.STDOUT, text=True)
    with stopped_at_the_end(process):
        wait_for(ready.exists, process, log)
        yield process, json.loads(ready.read_text(encoding="utf-8"))


@contextlib.contextmanager
def echo_server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server's own echo; gives its process and its address."""
    process = subprocess.Popen([ECHO, "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
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
        time.sleep(0.02)


def resident_mb(process_id: int) -> float:
    """Resident memory of a process, megabytes."""
    for line in Path(f"/proc/{process_id}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise BenchmarkError(f"no resident memory of process {process_id}")
