"""A panel agrees with the batch by bits, and a refused call changes nothing."""

from __future__ import annotations

import threading
from typing import Any

import candlewire_features as cf
import numpy as np
import numpy.typing as npt
import pytest

CORE = cf.FeatureSpec.preset("core")
ORDER = ("open_time_ns", "open", "high", "low", "close", "volume")


def bars_at(walk: dict[str, Any], rows: npt.NDArray[np.int64]) -> list[npt.NDArray[Any]]:
    return [np.ascontiguousarray(walk[name][rows]) for name in ORDER]


def step(
    method: Any,
    symbols: npt.NDArray[Any],
    columns: list[npt.NDArray[Any]],
    out: npt.NDArray[Any],
) -> npt.NDArray[np.uint8]:
    statuses: npt.NDArray[np.uint8] = method(symbols, *columns, out)
    return statuses


def test_a_panel_agrees_with_the_batch_by_bits(walk: dict[str, Any]) -> None:
    expected = cf.compute(walk, CORE)
    panel = cf.Panel(CORE, [f"S{symbol}" for symbol in range(40)])
    symbols = np.arange(40, dtype=np.int64)
    out = np.zeros((40, len(CORE)))
    for bar in range(300):
        # Each symbol sees the same walk, later symbols from a later bar on.
        rows = bar + symbols
        columns = bars_at(walk, rows)
        peeked = np.zeros_like(out)
        step(panel.peek, symbols, columns, peeked)
        statuses = step(panel.update, symbols, columns, out)
        assert (statuses == cf.BarStatus.APPLIED).all()
        np.testing.assert_array_equal(peeked, out)
        np.testing.assert_array_equal(out[0], expected[bar])
    np.testing.assert_array_equal(out[39], cf.compute({k: v[39:] for k, v in walk.items()}, CORE)[299])


def test_each_bad_bar_reports_its_own_status(walk: dict[str, Any]) -> None:
    panel = cf.Panel(CORE, ["A", "B", "C", "D", "E", "F"])
    symbols = np.arange(6, dtype=np.int64)
    out = np.zeros((6, len(CORE)))
    step(panel.update, symbols, bars_at(walk, np.full(6, 5)), out)
    time, opening, high, low, close, volume = bars_at(walk, np.full(6, 6))
    close[1] = np.nan
    low[2] = -1.0
    high[3] = low[3] / 2
    volume[4] = -1.0
    time[5] = walk["open_time_ns"][5]
    assert panel.update(symbols, time, opening, high, low, close, volume, out).tolist() == list(range(6))
    assert np.isnan(out[1:]).all()
    assert np.isfinite(out[0]).any()


def test_a_refused_call_changes_nothing(walk: dict[str, Any]) -> None:
    panel = cf.Panel(CORE, ["A", "B"])
    out = np.full((2, len(CORE)), -1.0)
    columns = bars_at(walk, np.array([0, 0]))
    both = np.array([0, 1], dtype=np.int64)
    refused: list[tuple[Any, Any, str]] = [
        (np.array([0, 2], dtype=np.int64), out, r"symbol_index\[1\] is 2, the panel has 2"),
        (np.array([-1, 0], dtype=np.int64), out, r"symbol_index\[0\]"),
        (both[:1], out[:1], "open_time_ns has length 2, expected 1"),
        (both, out[:1], "with shape"),
        (both, out.T.copy().T, "row-major"),
        (both, out.astype(np.float32), "float64"),
        (both.astype(np.int32), out, "symbol_index is ndarray of int32"),
    ]
    for symbols, matrix, message in refused:
        with pytest.raises(cf.InputError, match=message):
            step(panel.update, symbols, columns, matrix)
    frozen = out.copy()
    frozen.flags.writeable = False
    with pytest.raises(cf.InputError, match="writable"):
        step(panel.update, both, columns, frozen)
    with pytest.raises(cf.InputError, match="high"):
        step(panel.update, both, [*columns[:2], out[:, 0], *columns[3:]], out)
    assert (out == -1.0).all()
    assert step(panel.update, both, columns, out).tolist() == [0, 0]


def test_symbols_can_be_added_and_panels_reset(walk: dict[str, Any]) -> None:
    panel = cf.Panel(CORE, ["A"])
    assert panel.add_symbol("B") == 1
    assert (panel.symbols, len(panel), panel.symbol_index("B")) == (["A", "B"], 2, 1)
    for action in (
        lambda: panel.add_symbol("A"),
        lambda: panel.symbol_index("C"),
        lambda: cf.Panel(CORE, ["A", "A"]),
    ):
        with pytest.raises(cf.InputError, match="symbol"):
            action()
    runs = []
    for _ in range(2):
        out = np.zeros((60, len(CORE)))
        step(panel.update, np.ones(60, dtype=np.int64), bars_at(walk, np.arange(60)), out)
        runs.append(out)
        panel.reset()
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.isfinite(runs[0][CORE.warmup_bars :]).all()


def test_threads_share_a_panel_without_losing_a_bar(walk: dict[str, Any]) -> None:
    panel = cf.Panel(CORE, [f"S{symbol}" for symbol in range(4)])
    outs = [np.zeros((400, len(CORE))) for _ in range(4)]

    def feed(symbol: int) -> None:
        for bar in range(400):
            step(
                panel.update, np.array([symbol]), bars_at(walk, np.array([bar])), outs[symbol][bar : bar + 1]
            )

    threads = [threading.Thread(target=feed, args=(symbol,)) for symbol in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = cf.compute(walk, CORE)
    for out in outs:
        np.testing.assert_array_equal(out, expected)


def test_a_restored_panel_continues_with_the_same_bits(walk: dict[str, Any]) -> None:
    panel = cf.Panel(CORE, ["A", "B"])
    both = np.array([0, 1], dtype=np.int64)
    out, other = np.zeros((2, len(CORE))), np.zeros((2, len(CORE)))
    for bar in range(60):
        step(panel.update, both, bars_at(walk, np.array([bar, bar + 1])), out)
    snapshot = panel.snapshot()
    restored = cf.Panel.restore(CORE, snapshot)
    assert restored.symbols == ["A", "B"]
    assert restored.snapshot() == snapshot
    for bar in range(60, 120):
        columns = bars_at(walk, np.array([bar, bar + 1]))
        step(panel.update, both, columns, out)
        step(restored.update, both, columns, other)
        np.testing.assert_array_equal(out, other)
    for damaged, message in [
        (snapshot[:-1], "copy the whole file"),
        (snapshot[:-1] + b"x", "damaged"),
        (b"", "not a snapshot"),
    ]:
        with pytest.raises(cf.SnapshotError, match=message):
            cf.Panel.restore(CORE, damaged)
    with pytest.raises(cf.SnapshotError, match="pass the spec it was taken with"):
        cf.Panel.restore(cf.FeatureSpec([("a", "rsi")]), snapshot)


def test_every_single_bit_of_a_snapshot_counts(walk: dict[str, Any]) -> None:
    spec = cf.FeatureSpec([("r", "roc", {"timeperiod": 2}), ("e", "ema", {"timeperiod": 3})])
    panel = cf.Panel(spec, ["A"])
    out = np.zeros((1, len(spec)))
    for bar in range(9):
        step(panel.update, np.array([0], dtype=np.int64), bars_at(walk, np.array([bar])), out)
    snapshot = panel.snapshot()
    for length in range(len(snapshot)):
        with pytest.raises(cf.SnapshotError):
            cf.Panel.restore(spec, snapshot[:length])
    for place in range(8 * len(snapshot)):
        flipped = bytearray(snapshot)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(cf.SnapshotError):
            cf.Panel.restore(spec, bytes(flipped))


def test_gaps_have_their_status(walk: dict[str, Any]) -> None:
    text = """
        timeframe: 1d
        gap: {reset_after: 3}
        features:
          - {name: rsi, kernel: rsi, parameters: {timeperiod: 3}}
          - {name: "1w:sma", kernel: "1w:sma", parameters: {timeperiod: 1}}
    """
    spec = cf.FeatureSpec.from_yaml(text)
    assert spec == cf.FeatureSpec.from_json(spec.canonical_json)
    panel = cf.Panel(spec, ["A"])
    out = np.zeros((1, 2))
    statuses = []
    rows = [*range(30), *range(40, 60)]
    for row in rows:
        columns = bars_at(walk, np.array([row]))
        statuses += step(panel.update, np.zeros(1, dtype=np.int64), columns, out).tolist()
    assert statuses.index(cf.BarStatus.RESET_AFTER_GAP) == 30
    assert sum(statuses) == cf.BarStatus.RESET_AFTER_GAP
    batch = cf.compute({name: column[rows] for name, column in walk.items()}, spec)
    np.testing.assert_array_equal(batch[-1], out[0])
    assert np.isnan(batch[30:33, 0]).all()


def test_threads_change_no_bit(walk: dict[str, Any]) -> None:
    names = [f"S{symbol}" for symbol in range(1_100)]
    alone, shared = cf.Panel(CORE, names), cf.Panel(CORE, names, threads=2)
    assert (alone.threads, shared.threads) == (1, 2)
    assert cf.Panel(CORE, names, threads=0).threads >= 1
    symbols = np.arange(len(names), dtype=np.int64)
    expected, out = np.zeros((2, len(names), len(CORE)))
    for bar in range(60):
        columns = bars_at(walk, bar + symbols % 100)
        columns[4][bar] = np.nan
        statuses = step(alone.update, symbols, columns, expected)
        np.testing.assert_array_equal(step(shared.update, symbols, columns, out), statuses)
        np.testing.assert_array_equal(out, expected)
    assert shared.snapshot() == alone.snapshot()
    assert cf.Panel.restore(CORE, shared.snapshot(), threads=2).snapshot() == alone.snapshot()
