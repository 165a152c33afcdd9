"""The documents keep up with the code."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    return [ROOT / name for name in listing.decode().split("\0") if name and (ROOT / name).is_file()]


def test_architecture_names_every_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    crates = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    rooms = {*workspace["tool"]["uv"]["workspace"]["members"], *crates["workspace"]["members"]}
    assert rooms, "no rooms seen, are the workspaces still there?"
    missing = sorted(room for room in rooms if f"`{room}/`" not in text)
    assert not missing, f"ARCHITECTURE.md says nothing of {missing}"


def workspace_version() -> str:
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    return str(cargo["workspace"]["package"]["version"])


def test_changelog_matches_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(workspace_version())}\b", changelog, re.MULTILINE)


def test_one_version_everywhere() -> None:
    version = workspace_version()
    projects = [file for file in tracked_files() if file.name == "pyproject.toml"]
    assert len(projects) >= 6
    for project in projects:
        assert tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"] == version, project


def test_every_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE)) - {"check-tools"}
    explained = set(re.findall(r"^([a-z][a-z-]*):.*## ", makefile, re.MULTILINE))
    assert {"setup", "demo", "test", "lint"} <= explained
    assert targets == explained


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_between_documents_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert links, f"{document}: no links seen"
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing, f"{document} links to nothing: {missing}"


def test_no_file_is_too_long_to_read() -> None:
    """Source files stay small enough to hold in one reading; see STYLE: split by noun."""
    sources = [
        file
        for file in tracked_files()
        if file.suffix in {".py", ".rs"} and "candlewire_proto" not in file.parts
    ]
    assert sources
    long = {
        str(file.relative_to(ROOT)): count
        for file in sources
        if (count := file.read_bytes().count(b"\n")) > 600
    }
    assert not long, f"past 600 lines: {long}"
