"""The package agrees with its stub, its exports and its documentation."""

from __future__ import annotations

import doctest
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import candlewire_features as cf

ROOT = Path(__file__).resolve().parents[2]


def test_exports_equal_all() -> None:
    public = {name for name in vars(cf) if not name.startswith("_")} - {
        "bar_status",
        "batch",
        "expressions",
        "indicators",
        "talib",
    }
    assert public | {"__version__"} == set(cf.__all__)


def test_documented_examples_run() -> None:
    result = doctest.testmod(cf)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_stub_matches_the_compiled_module() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "candlewire_features"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_extension_needs_no_version_of_python_of_its_own() -> None:
    assert cf._features.__file__.endswith((".abi3.so", ".pyd"))  # type: ignore[attr-defined]
    manifest = (ROOT / "rust_features" / "Cargo.toml").read_text()
    assert '"abi3-py311"' in manifest


def test_kernel_files_are_formatted() -> None:
    """cargo fmt does not find files that a macro declares, and `kernel_files!` declares every kernel."""
    files = sorted((ROOT / "rust_features" / "src" / "kernels").glob("*/*.rs"))
    assert len(files) > 10, "no kernels found: is the path still right?"
    rustfmt = shutil.which("rustfmt")
    assert rustfmt, "rustfmt is missing: run rustup component add rustfmt"
    done = subprocess.run(
        [rustfmt, "--check", "--edition", "2024", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_table_of_warm_up_is_that_of_todays_kernels() -> None:
    path = ROOT / "rust_features" / "measure_warm_up.py"
    spec = importlib.util.spec_from_file_location("measure_warm_up", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.TARGET.read_text(encoding="utf-8")
    assert module.document(text) == text, "run python rust_features/measure_warm_up.py"
