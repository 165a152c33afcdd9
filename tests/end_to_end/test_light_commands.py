"""Every call of `candlewire` imports every plug-in: none may bring what takes long to import."""

import subprocess
import sys

import pytest

# pydantic is not among them: typer reads the arguments of a command with it.
HEAVY = {"numpy", "polars", "xgboost", "onnx", "sklearn", "scipy", "pydantic_settings"}
PROGRAM = """
import sys
from candlewire.commands.main import main
try:
    main(sys.argv[1:])
finally:
    print("imported:", *sorted(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["health", "--target", "127.0.0.1:1"]])
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False
    )
    imported = set(done.stderr.rpartition("imported:")[2].split())
    assert imported >= {"candlewire_server.command", "candlewire_training.command"}, (
        "the plug-ins are not there"
    )
    assert not imported & HEAVY
    if arguments == ["--help"]:
        assert "serve" in done.stdout
        assert "train" in done.stdout
