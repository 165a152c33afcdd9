"""The core has one small reviewed file with `unsafe`, and no call that panics outside its tests."""

from __future__ import annotations

import re
from pathlib import Path

CRATE = Path(__file__).resolve().parents[2] / "rust_features"
REVIEWED = "instructions.rs"
COMMENT = re.compile(r"//.*|\"(?:[^\"\\]|\\.)*\"")


def code(path: Path) -> str:
    """What the compiler reads of a file, without its own tests, which may have a file of their own."""
    if path.name == "tests.rs":
        assert "#[cfg(test)]\nmod tests;" in path.parent.with_suffix(".rs").read_text(encoding="utf-8")
        return ""
    text = COMMENT.sub("", path.read_text(encoding="utf-8"))
    return text.split("#[cfg(test)]")[0]


def test_unsafe_stands_in_the_reviewed_file_alone() -> None:
    files = sorted((CRATE / "src").rglob("*.rs"))
    assert len(files) > 80, "no sources found: is the path still right?"
    with_unsafe = {path.name for path in files if re.search(r"\bunsafe(_code)?\b", code(path))}
    assert with_unsafe == {REVIEWED}
    reviewed = (CRATE / "src" / REVIEWED).read_text(encoding="utf-8")
    assert len(reviewed.splitlines()) < 150, "small enough to review"
    assert reviewed.count("// SAFETY:") >= reviewed.count("unsafe {"), "each block says why it is sound"
    workspace = (CRATE.parent / "Cargo.toml").read_text(encoding="utf-8")
    assert re.search(r'^unsafe_code = "deny"$', workspace, re.MULTILINE)
    assert "[lints]\nworkspace = true" in (CRATE / "Cargo.toml").read_text(encoding="utf-8")


def test_nothing_outside_the_tests_may_panic_by_a_call() -> None:
    calls = re.compile(
        r"\.unwrap\(\)|\.expect\(|\b(?:panic|unreachable|todo|unimplemented|assert|assert_eq)!\("
    )
    found = {
        f"{path.relative_to(CRATE)}: {match.group()}"
        for path in (CRATE / "src").rglob("*.rs")
        for match in calls.finditer(code(path))
    }
    assert not found
