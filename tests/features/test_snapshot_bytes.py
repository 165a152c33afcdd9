"""The bytes of snapshots: those of today are tomorrow's older ones, and the same on every machine."""

from __future__ import annotations

import hashlib
from typing import Any

import candlewire_features as cf
import numpy as np
import numpy.typing as npt
import pytest

SPEC = cf.FeatureSpec.from_yaml(
    """
    timeframe: 5m
    gap: {reset_after: 50}
    features:
      - {name: rsi, kernel: rsi, parameters: {timeperiod: 3}}
      - {name: "15m:ema", kernel: "15m:ema", parameters: {timeperiod: 2}}
      - {name: vwap, kernel: session_vwap, parameters: {calendar: 24/7}}
    """
)
# A panel of this spec after forty bars, written by version 0.1.0 in layout 1.
WRITTEN = bytes.fromhex(
    """
    435746454154534e010000000200000088ec0a580e2450bd61c73b63060eb7eb12e87134bfe36569466ad703be50a2665df8
    c4c42ebd73ee2a9b3bf72f21e45aa1aa4820afa74d80a2cd3dd99d504621e100000000000000010000000000000001000000
    000000004128000000000000000008581ea40a000000000000003059408c24b51d01320440a1149c36877a17400400000000
    0000000000000000000000010000000000000001000000000000000000000000005940000000000052ed40f505cc3e6ee0b5
    3f7319351ebb214e3f0d0000000000000000e02992d209000052dc8225e1005c40020000000000000052dc8225e1005c4001
    0000000000000001000000000000000008581ea40a00000000000000ed5c400000000000fd5c400000000000205940000000
    00003059400000000000609040fc01cae5b5e8081f6fdfe4a0553b05e6a321f3b56d1f78843bc51db368560589
    """
)
# SHA-256 of a panel's snapshot after 150 bars.
DIGESTS = {
    "core": "3e6735d7213597261bca57b5f53b4ef08a13a4c36dd51edac40dd4ac6bcb6efa",
    "standard": "06f51ed576bda8c41e4908da3a4a4caf79cfb0816b828c8deb66725d80dc3210",
    "full": "5a9bde44e0695582097eaeeefb574ad95058e49f283f97a1c66aca1b73389cc9",
    "extended": "79c67dd2b8f2b883fc7af0075d70841402d40bea8c7584eda14a99bae9981e09",
}


def bars(count: int) -> list[npt.NDArray[Any]]:
    """Open times and prices of five-minute bars, from sums and products alone: exact on every machine."""
    steps = np.arange(count, dtype=np.int64)
    noise, before = ((step * 7919 + step * step * 104_729) % 1009 for step in (steps, steps - 1))
    close, opening = 100.0 + noise / 64.0, 100.0 + before / 64.0
    high, low = np.maximum(opening, close) + 0.25, np.minimum(opening, close) - 0.25
    return [steps * 300_000_000_000, opening, high, low, close, 1000.0 + noise]


def after(spec: cf.FeatureSpec, count: int) -> cf.Panel:
    """A panel of one symbol that has seen some bars."""
    panel = cf.Panel(spec, ["A"])
    panel.update(np.zeros(count, dtype=np.int64), *bars(count), np.zeros((count, len(spec))))
    return panel


def test_a_snapshot_written_by_an_earlier_build_goes_on_with_the_same_bits() -> None:
    panel = cf.Panel.restore(SPEC, WRITTEN)
    assert panel.snapshot() == WRITTEN
    given = [np.ascontiguousarray(column[40:60]) for column in bars(60)]
    out = np.zeros((20, len(SPEC)))
    panel.update(np.zeros(20, dtype=np.int64), *given, out)
    times, opening, high, low, close, volume = bars(60)
    columns = {"open": opening, "high": high, "low": low, "close": close, "volume": volume}
    expected = cf.compute({"open_time_ns": times} | columns, SPEC)[40:]
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(out.view(np.uint64), expected.view(np.uint64))


@pytest.mark.parametrize("preset", cf.preset_names())
def test_the_bytes_are_those_of_every_machine(preset: str) -> None:
    """Other bytes for these bars: raise REVISION of the kernel that remembers other things."""
    assert hashlib.sha256(after(cf.FeatureSpec.preset(preset), 150).snapshot()).hexdigest() == DIGESTS[preset]


def test_the_way_to_a_state_leaves_no_trace_in_its_bytes() -> None:
    whole = after(SPEC, 40).snapshot()
    assert whole == WRITTEN
    panel = cf.Panel(SPEC, ["A"])
    for start in range(0, 40, 7):
        part = [np.ascontiguousarray(column[start : min(start + 7, 40)]) for column in bars(40)]
        count = len(part[0])
        panel.update(np.zeros(count, dtype=np.int64), *part, np.zeros((count, len(SPEC))))
        panel = cf.Panel.restore(SPEC, panel.snapshot())
    assert panel.snapshot() == whole


def test_neighbours_that_step_together_leave_no_trace_in_its_bytes() -> None:
    spec, symbols, count = cf.FeatureSpec.preset("full"), 64, 150
    together, alone = (cf.Panel(spec, [f"S{symbol}" for symbol in range(symbols)]) for _ in range(2))
    columns = bars(count)
    for bar in range(count):
        row = [np.repeat(column[bar], symbols) for column in columns]
        together.update(np.arange(symbols, dtype=np.int64), *row, np.zeros((symbols, len(spec))))
    for symbol in range(symbols):
        index = np.full(count, symbol, dtype=np.int64)
        alone.update(index, *columns, np.zeros((count, len(spec))))
    assert together.snapshot() == alone.snapshot()
