"""The committed stubs are what the generator writes today, and clash with nothing."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

PROTO = Path(__file__).resolve().parents[2] / "proto"
STUBS = PROTO / "candlewire_proto" / "v1"
CONTRACT = sorted((PROTO / "candlewire" / "v1").glob("*.proto"))


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    specification = importlib.util.spec_from_file_location("generate_stubs", PROTO / "generate_stubs.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fresh(generator: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    stubs: dict[str, str] = generator.generate(tmp_path_factory.mktemp("stubs"))
    return stubs


def test_committed_stubs_are_fresh(fresh: dict[str, str]) -> None:
    endings = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
    expected = {path.stem + ending for path in CONTRACT for ending in endings}
    assert len(expected) >= 20, "nothing compared: is the contract still in proto/candlewire/v1?"
    assert set(fresh) == expected
    committed = {
        path.name: path.read_text(encoding="utf-8") for path in STUBS.iterdir() if "_pb2" in path.name
    }
    stale = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    assert not stale, f"stale: {stale}; run `uv run python proto/generate_stubs.py`"


def test_check_notices_a_stale_a_missing_and_a_left_over_stub(
    generator: ModuleType, fresh: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in fresh.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(generator, "STUBS", tmp_path)
    assert generator.stale_stubs(fresh) == []
    (tmp_path / "bars_pb2.py").write_text("# older\n", encoding="utf-8")
    (tmp_path / "scoring_pb2.pyi").unlink()
    (tmp_path / "retired_pb2.py").write_text("", encoding="utf-8")
    assert generator.stale_stubs(fresh) == ["bars_pb2.py", "retired_pb2.py", "scoring_pb2.pyi"]


@pytest.mark.parametrize("name", [path.stem for path in CONTRACT])
def test_stubs_import_and_keep_the_contract_names(name: str) -> None:
    messages = importlib.import_module(f"candlewire_proto.v1.{name}_pb2")
    importlib.import_module(f"candlewire_proto.v1.{name}_pb2_grpc")
    assert messages.DESCRIPTOR.package == "candlewire.v1"
    assert messages.DESCRIPTOR.name == f"candlewire/v1/{name}.proto"
    assert "candlewire.v1" not in sys.modules, "the contract's name reached the client's package"
