"""Snapshots that were forged, or written by another version: refused with what to do, checksum or not."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import candlewire_features as cf
import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = cf.FeatureSpec(
    [("roc", "roc", {"timeperiod": 2}), ("ema", "ema", {"timeperiod": 3}), ("vwap", "session_vwap")]
)
LAYOUT, KIND, SPEC_HASH, MEMORY_HASH, CONTENT = 8, 12, 16, 48, 88


@pytest.fixture
def snapshot(walk: dict[str, Any]) -> bytes:
    """A panel of one symbol after nine bars."""
    panel = cf.Panel(SPEC, ["A"])
    order = ("open_time_ns", "open", "high", "low", "close", "volume")
    columns = [np.ascontiguousarray(walk[name][:9]) for name in order]
    panel.update(np.zeros(9, dtype=np.int64), *columns, np.zeros((9, len(SPEC))))
    return panel.snapshot()


def signed(body: bytes) -> bytes:
    """The bytes with the checksum that belongs to them."""
    return body + hashlib.sha256(body).digest()


def changed(snapshot: bytes, place: int, value: bytes) -> bytes:
    body = snapshot[:-32]
    return signed(body[:place] + value + body[place + len(value) :])


def test_what_is_signed_anew_without_a_change_is_the_snapshot(snapshot: bytes) -> None:
    assert changed(snapshot, 0, b"") == snapshot
    assert cf.Panel.restore(SPEC, snapshot).snapshot() == snapshot


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda given: changed(given, LAYOUT, b"\x00\x00\x00\x00"),
            "layout 0, this version reads 1: restore it with the version that wrote it, or replay the bars",
        ),
        (
            lambda given: changed(given, LAYOUT, b"\x02\x00\x00\x00"),
            "layout 2, this version reads 1: restore it with the version that wrote it, or replay the bars",
        ),
        (
            lambda given: changed(given, MEMORY_HASH, bytes(32)),
            "another version of these kernels: replay the bars through this one",
        ),
        (lambda given: changed(given, SPEC_HASH, bytes(32)), "pass the spec it was taken with"),
        (
            lambda given: changed(given, KIND, b"\x01"),
            "holds a series, not a panel: restore it as what it is",
        ),
        (lambda given: changed(given, KIND, b"\x09"), "content of a later version, not a panel"),
        (lambda given: b"PAR1" + given[4:], "not a snapshot"),
        (lambda given: given[: len(given) // 2], "copy the whole file"),
        (lambda given: given + given, "copy the whole file"),
        (lambda given: given[:-1] + bytes([given[-1] ^ 1]), "damaged .checksum differs.: use another one"),
    ],
)
def test_each_refusal_says_what_to_do(
    snapshot: bytes, change: Callable[[bytes], bytes], message: str
) -> None:
    with pytest.raises(cf.SnapshotError, match=message):
        cf.Panel.restore(SPEC, change(snapshot))


def test_signed_nonsense_in_the_content_is_refused_or_runs(snapshot: bytes, walk: dict[str, Any]) -> None:
    """A right checksum over bytes that no panel wrote: no panic, and what is restored still takes bars."""
    order = ("open", "high", "low", "close", "volume")
    prices = [np.ascontiguousarray(walk[name][20:21]) for name in order]
    out = np.zeros((1, len(SPEC)))
    refused = 0
    for place in range(CONTENT, len(snapshot) - 32):
        for value in (b"\xff", b"\x80", b"\x7f", b"\x00"):
            try:
                panel = cf.Panel.restore(SPEC, changed(snapshot, place, value))
            except cf.SnapshotError as error:
                assert "inconsistent at" in str(error)  # noqa: PT017
                refused += 1
                continue
            assert len(panel) == 1
            panel.update(np.zeros(1, dtype=np.int64), np.array([2**62]), *prices, out)
            assert cf.Panel.restore(SPEC, panel.snapshot()).snapshot() == panel.snapshot()
    assert refused > 10
