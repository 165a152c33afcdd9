"""Generates the Python stubs of the contract from the `.proto` files beside this script.

    uv run python proto/generate_stubs.py            writes candlewire_proto/v1/
    uv run python proto/generate_stubs.py --check    writes nothing; exit code 1 when a stub is stale

The proto package is `candlewire.v1`, and so is what protoc would name the Python modules: a clash with the
client's own `candlewire` package. The stubs therefore live in `candlewire_proto.v1` and only their import
lines are rewritten; descriptors and method paths keep the names of the contract.

The generator's versions are pinned in the workspace's dev group. They are deliberately older than the
newest runtime: generated code runs on its own and newer versions of grpcio and protobuf, never on older
ones.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

PROTO_ROOT = Path(__file__).resolve().parent
CONTRACT = PROTO_ROOT / "candlewire" / "v1"
STUBS = PROTO_ROOT / "candlewire_proto" / "v1"

GENERATED = re.compile(r".+_pb2(_grpc)?\.pyi?$")
IMPORT_LINE = re.compile(r"^from candlewire\.v1 import", re.MULTILINE)
FORBIDDEN_IMPORT = re.compile(r"^\s*(from|import) candlewire\b", re.MULTILINE)


class StubGenerationError(Exception):
    """The stubs could not be generated; the message says why."""


def generate(destination: Path) -> dict[str, str]:
    """Runs protoc into `destination` and returns the stubs' text by file name.

    Raises:
        StubGenerationError: A plug-in is not installed, protoc refused a file, or an import was left that
            would reach the client's package.
    """
    scripts = Path(sys.executable).parent
    plugins = {name: scripts / name for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")}
    for name, path in plugins.items():
        if not path.exists():
            raise StubGenerationError(
                f"{name} is not installed beside {sys.executable}: run this with `uv run`"
            )
    arguments = [
        "protoc",
        f"--proto_path={PROTO_ROOT}",
        *(f"--plugin={name}={path}" for name, path in plugins.items()),
        f"--python_out={destination}",
        f"--grpc_python_out={destination}",
        f"--mypy_out=quiet:{destination}",
        f"--mypy_grpc_out=quiet:{destination}",
        *(str(path) for path in sorted(CONTRACT.glob("*.proto"))),
    ]
    if protoc.main(arguments) != 0:
        raise StubGenerationError("protoc refused a file; its message is above")
    stubs: dict[str, str] = {}
    for path in sorted((destination / "candlewire" / "v1").iterdir()):
        text = IMPORT_LINE.sub("from candlewire_proto.v1 import", path.read_text(encoding="utf-8"))
        left = FORBIDDEN_IMPORT.search(text)
        if left is not None:
            raise StubGenerationError(f"{path.name} still imports the client's package: {left.group(0)!r}")
        stubs[path.name] = text
    return stubs


def stale_stubs(fresh: dict[str, str]) -> list[str]:
    """Names of committed stubs that differ from `fresh`, are missing, or have no `.proto` file any more."""
    committed = {path.name for path in STUBS.iterdir() if GENERATED.match(path.name)}
    changed = {
        name
        for name, text in fresh.items()
        if name not in committed or (STUBS / name).read_text(encoding="utf-8") != text
    }
    return sorted(changed | (committed - set(fresh)))


def main() -> int:
    """Writes or checks the stubs; returns the exit code."""
    parser = argparse.ArgumentParser(description="Generate the Python stubs of Candlewire's gRPC contract.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when a committed stub is stale"
    )
    check: bool = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        try:
            fresh = generate(Path(folder))
        except StubGenerationError as error:
            sys.stderr.write(f"generate_stubs: {error}\n")
            return 2
    stale = stale_stubs(fresh)
    if check:
        for name in stale:
            sys.stderr.write(f"stale: candlewire_proto/v1/{name}; run generate_stubs.py\n")
        return 1 if stale else 0
    for name in stale:
        if name in fresh:
            (STUBS / name).write_text(fresh[name], encoding="utf-8")
        else:
            (STUBS / name).unlink()
    sys.stdout.write(f"{len(fresh)} stubs, {len(stale)} changed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
