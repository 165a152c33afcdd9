"""One store trained on the shipped bars, and servers started as a user starts them."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("candlewire")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running server."""

    data: str
    admin: str
    metrics: str
    process: subprocess.Popen[str]


Serve = Callable[..., AbstractContextManager[Served]]


@pytest.fixture(scope="session")
def bars_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bars, as `candlewire data sample` writes them."""
    folder = tmp_path_factory.mktemp("bars")
    subprocess.run([COMMAND, "data", "sample", "--out", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, bars_folder: Path) -> Path:
    """A store with one model named `daily`, trained on the shipped bars before 2011."""
    folder = tmp_path_factory.mktemp("store")
    arguments = ["train", "--bars", bars_folder, "--until", "2011-01-03", "--out", folder, "--model", "daily"]
    subprocess.run([COMMAND, *arguments, "--trees", "60", "--quiet"], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Starts `candlewire serve` on free ports; stops it with SIGTERM and expects a clean end."""

    @contextmanager
    def start(store: Path, *options: str) -> Iterator[Served]:
        folder = tmp_path_factory.mktemp("serve")
        ready, log = folder / "ready.json", folder / "log.txt"
        ports = ["--port", "0", "--admin-port", "0", "--metrics-port", "0"]
        command = [COMMAND, "serve", "--store", store, *ports, "--ready-file", ready, *options]
        with log.open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True)
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not ready.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.01)
            yield Served(**json.loads(ready.read_text()), process=process)
        finally:
            if process.poll() is None:
                process.terminate()
            status = process.wait(STOP_TIMEOUT_S)
        assert status == 0, log.read_text()

    return start
