"""The demo's steps that run a command, as a user would type it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0


class DemoError(Exception):
    """A step failed; the message says which and shows what it printed."""


def command_path() -> Path:
    """The `candlewire` command beside the interpreter that runs the demo."""
    path = Path(sys.executable).with_name("candlewire")
    if not path.exists():
        raise DemoError(f"{path} is missing; run: make setup")
    return path


def run(console: Console, *arguments: str) -> None:
    """Runs one `candlewire` command in the foreground, its own progress bars included."""
    console.print(f"[bold]$ candlewire {' '.join(arguments)}[/bold]", highlight=False, soft_wrap=True)
    status = subprocess.run([command_path(), *arguments], check=False).returncode
    if status != 0:
        raise DemoError(f"candlewire {arguments[0]} ended with status {status}; its message stands above")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the server listens, `host:port` each."""

    data: str
    admin: str
    metrics: str


@contextmanager
def serving(console: Console, store: Path, folder: Path) -> Iterator[Addresses]:
    """Serves a store on free ports; stops the server gracefully at the end."""
    ready_file, log_path = folder / "ready.json", folder / "server.log"
    ready_file.unlink(missing_ok=True)
    arguments: Sequence[str] = (
        "serve", "--store", str(store),
        "--port", "0", "--admin-port", "0", "--metrics-port", "0",
        "--ready-file", str(ready_file),
    )  # fmt: skip
    console.print(f"[bold]$ candlewire {' '.join(arguments)} &[/bold]", highlight=False, soft_wrap=True)
    with log_path.open("w") as log:
        server = subprocess.Popen([command_path(), *arguments], stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready_file.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise DemoError(f"the server did not start; its log says:\n{log_path.read_text()}")
            time.sleep(0.02)
        yield Addresses(**json.loads(ready_file.read_text()))
    finally:
        server.terminate()
        try:
            status = server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            status = server.wait()
    if status != 0:
        raise DemoError(f"the server ended with status {status}; its log says:\n{log_path.read_text()}")
