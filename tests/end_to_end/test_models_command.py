"""`candlewire models` against the real server: an operator lists, shows, promotes and rolls back."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

from .conftest import COMMAND, Serve

OLDER, NEWER = 20200101000000, 20300101000000


@pytest.fixture(scope="module")
def two_versions(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store with a later version of the same model, which is not deployed."""
    copy = tmp_path_factory.mktemp("models") / "store"
    shutil.copytree(store, copy)
    first = next((copy / "daily").glob("[0-9]*"))
    later = copy / "daily" / str(NEWER)
    shutil.copytree(first, later)
    manifest = json.loads((later / "manifest.json").read_text(encoding="utf-8")) | {"version": NEWER}
    # The graph carries the manifest too, and the server holds the one to the other.
    graph = onnx.load_model(later / "model.onnx")
    (carried,) = [entry for entry in graph.metadata_props if entry.key == "candlewire.manifest"]
    carried.value = json.dumps(json.loads(carried.value) | {"version": NEWER})
    onnx.save_model(graph, later / "model.onnx")
    manifest["onnx"]["sha256"] = hashlib.sha256((later / "model.onnx").read_bytes()).hexdigest()
    (later / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def admin(serve: Serve, two_versions: Path) -> Iterator[str]:
    with serve(two_versions) as served:
        yield served.admin


def run(admin: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"CANDLEWIRE_ADMIN": admin, "COLUMNS": "200"}
    done = subprocess.run(
        [COMMAND, "models", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def versions(admin: str) -> dict[int, dict[str, Any]]:
    listed = run(admin, "list", "--json")
    assert listed.returncode == 0, listed.stderr
    return {one["version"]: one for one in json.loads(listed.stdout)}


def test_an_operator_promotes_and_rolls_back(admin: str) -> None:
    before = versions(admin)
    (first,) = set(before) - {NEWER}
    assert before[first]["role"] == "production"
    assert {one["state"] for one in before.values()} <= {"ready", "available"}
    promoted = run(admin, "promote", "daily", str(NEWER), "--reason", "a test")
    assert promoted.returncode == 0, promoted.stderr
    assert f"{NEWER} is production, before it {first}" in promoted.stdout
    assert versions(admin)[NEWER]["role"] == "production"
    back = run(admin, "rollback", "daily", "--reason", "a test")
    assert f"{first} is production again" in back.stdout
    assert versions(admin)[first]["role"] == "production"


def test_show_tells_what_evaluates_the_trees(admin: str) -> None:
    shown = run(admin, "show", "daily")
    assert shown.returncode == 0, shown.stderr
    assert "long-run target 90%" in shown.stdout
    assert "tree kernel" in shown.stdout or "ONNX Runtime" in shown.stdout
    found = json.loads(run(admin, "show", "daily", "--json").stdout)
    assert found["tree_nodes"]
    assert found["feature_spec_hash"] in shown.stdout


def test_what_does_not_exist_is_refused_in_one_line(admin: str) -> None:
    for arguments in (("show", "weekly"), ("promote", "daily", str(OLDER))):
        refused = run(admin, *arguments)
        assert refused.returncode != 0
        assert len(refused.stderr.strip().splitlines()) == 1
        assert arguments[-1] in refused.stderr
    assert "daily" in run(admin, "reload").stdout
