"""Imports between the rooms point one way; ARCHITECTURE.md's table, enforced."""

import ast
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Package -> the Candlewire packages it may import. Training and server meet only in the model bundle.
ALLOWED: dict[str, set[str]] = {
    "candlewire_proto": set(),
    "candlewire_features": set(),
    "candlewire_server": {"candlewire_proto"},
    "candlewire_training": {"candlewire_features"},
    "candlewire": {"candlewire_proto"},
}
FOLDERS: dict[str, Path] = {
    "candlewire_proto": ROOT / "proto" / "candlewire_proto",
    "candlewire_features": ROOT / "rust_features" / "python" / "candlewire_features",
    "candlewire_server": ROOT / "server" / "python" / "candlewire_server",
    "candlewire_training": ROOT / "training" / "candlewire_training",
    "candlewire": ROOT / "clients" / "candlewire",
}
# Crate -> the workspace crates it may depend on by default. The Python bindings of candlewire-features, which
# no other crate builds, depend on candlewire-trees too.
ALLOWED_CRATES: dict[str, set[str]] = {
    "candlewire-features": set(),
    "candlewire-trees": set(),
    "candlewire-server": {"candlewire-features", "candlewire-trees"},
    "candlewire-load-generator": set(),
}
# What the pure-Rust feature core must not pull in when it is built without Python.
FOREIGN_TO_THE_CORE = {"pyo3", "numpy", "tonic", "tokio", "ort", "prost"}


def imported_packages(file: Path) -> set[str]:
    """Top-level packages that one module imports, wherever the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), filename=str(file))):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_point_one_way(package: str) -> None:
    files = sorted(FOLDERS[package].rglob("*.py"))
    assert files, f"{package}: nothing scanned, is the path still right?"
    found = set().union(*map(imported_packages, files)) & set(ALLOWED) - {package}
    assert found <= ALLOWED[package], f"{package} may not import {sorted(found - ALLOWED[package])}"


def test_the_rule_sees_a_forbidden_import(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("def f():\n    from candlewire_training.data import bars\n")
    assert imported_packages(module) == {"candlewire_training"}


def test_every_package_is_under_the_rule() -> None:
    rooms = [folder for folder in ROOT.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    shipped = {file.parent.name for room in rooms for file in room.rglob("py.typed")}
    assert shipped == set(ALLOWED)


@pytest.fixture(scope="module")
def crate_graph() -> dict[str, set[str]]:
    """Workspace crate -> everything it depends on by a normal dependency, default features, transitively."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    result = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    metadata = json.loads(result.stdout)
    names = {package["id"]: package["name"] for package in metadata["packages"]}
    edges: dict[str, set[str]] = {
        node["id"]: {
            dependency["pkg"]
            for dependency in node["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        }
        for node in metadata["resolve"]["nodes"]
    }
    graph: dict[str, set[str]] = {}
    for member in metadata["workspace_members"]:
        seen: set[str] = set()
        waiting = [member]
        while waiting:
            for dependency in edges[waiting.pop()]:
                if dependency not in seen:
                    seen.add(dependency)
                    waiting.append(dependency)
        graph[names[member]] = {names[package] for package in seen}
    return graph


def test_crates_point_one_way(crate_graph: dict[str, set[str]]) -> None:
    assert set(crate_graph) == set(ALLOWED_CRATES)
    for crate, dependencies in crate_graph.items():
        ours = dependencies & set(ALLOWED_CRATES)
        assert ours <= ALLOWED_CRATES[crate], (
            f"{crate} may not depend on {sorted(ours - ALLOWED_CRATES[crate])}"
        )


def test_feature_core_knows_no_python_and_no_network(crate_graph: dict[str, set[str]]) -> None:
    assert crate_graph["candlewire-features"], "no dependencies seen, is the graph still read right?"
    assert not crate_graph["candlewire-features"] & FOREIGN_TO_THE_CORE
