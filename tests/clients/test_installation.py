"""Installing the client brings grpc, protobuf, the stubs and the command-line library: nothing numeric."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires

import pytest

FORBIDDEN = {
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "onnx",
    "onnxruntime",
    "scipy",
    "scikit-learn",
    "xgboost",
}
NAMED = {"candlewire-client", "candlewire-proto", "grpcio", "protobuf", "typer", "rich"}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def dependencies(name: str) -> set[str]:
    """Names that a distribution requires here, without its extras."""
    lines = [line for line in requires(name) or [] if "extra ==" not in line.replace('"', "'")]
    return {normalised(re.match(r"[\w.-]+", line)[0]) for line in lines}  # type: ignore[index]


def closure(name: str) -> set[str]:
    found, waiting = set(), {name}
    while waiting:
        found |= waiting
        fresh: set[str] = set()
        for distribution in waiting:
            try:
                fresh |= dependencies(distribution)
            except PackageNotFoundError:
                continue  # needed on another platform only
        waiting = fresh - found
    return found


def test_the_client_alone_stays_light() -> None:
    found = closure("candlewire-client")
    assert found >= NAMED, "the closure is not followed any more"
    assert not found & FORBIDDEN
    assert len(found) < 25, sorted(found)


def test_the_closure_sees_what_others_require() -> None:
    pytest.importorskip("sklearn")
    assert "numpy" in closure("scikit-learn")
