"""Fixtures that every room's tests may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Continuous integration explores the same examples at every run; a developer's machine explores new ones.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("explore", deadline=None, max_examples=200)
settings.load_profile("ci" if os.environ.get("CI") else "explore")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real market bars; skips the test where it is absent."""
    value = os.environ.get("CANDLEWIRE_REAL_DATA")
    if not value:
        pytest.skip("CANDLEWIRE_REAL_DATA names no folder of real bars")
    folder = Path(value)
    if not folder.is_dir():
        pytest.skip(f"CANDLEWIRE_REAL_DATA: {folder} is no folder")
    return folder.resolve()
