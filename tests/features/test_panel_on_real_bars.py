"""Every preset over real bars: stream, peek, snapshot and any chunking have the bits of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import candlewire_features as cf
import numpy as np
import polars as pl
import pytest

from tests.features.conftest import PRICES, SOUND, real_data

if TYPE_CHECKING:
    import numpy.typing as npt

PRESETS = ("core", "standard", "full", "extended")
SYMBOLS = 90  # more than one tile of a panel, and no whole number of them
BARS = 420


def real_bars(file: str) -> list[dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]]]:
    """The newest bars of the symbols of a file that have most, one table of columns for each."""
    frame = pl.scan_parquet(real_data() / file).filter(SOUND).sort("symbol", "ts").collect()
    counts = frame.group_by("symbol").len().sort("len", "symbol", descending=[True, False])
    tables = []
    for symbol in counts["symbol"].head(SYMBOLS):
        own = frame.filter(pl.col("symbol") == symbol).unique("ts", keep="first", maintain_order=True)
        own = own.sort("ts").tail(BARS)
        times = own["ts"].dt.epoch("ns").to_numpy()
        prices = {name: np.ascontiguousarray(own[name].cast(pl.Float64).to_numpy()) for name in PRICES}
        tables.append({"open_time_ns": np.ascontiguousarray(times)} | prices)
    assert min(len(table["close"]) for table in tables) > 250, "too few bars: is the file still what it was?"
    return tables


@pytest.mark.real_data
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("file", ["us_stocks_1d.parquet", "crypto_1h.parquet"])
def test_any_way_through_real_bars_has_the_bits_of_the_batch(file: str, preset: str) -> None:
    spec = cf.FeatureSpec.preset(preset)
    if spec.needs_panel:
        pytest.skip(f"{preset} compares symbols: it has no batch of one symbol")
    tables = real_bars(file)
    expected = [cf.compute(table, spec) for table in tables]
    random = np.random.default_rng(11)
    panel = cf.Panel(spec, [str(symbol) for symbol in range(len(tables))])
    seen = np.zeros(len(tables), dtype=np.int64)
    lengths = np.array([len(table["close"]) for table in tables])
    calls = 0
    while (seen < lengths).any():
        # Some of the symbols, in any order, each with its next bar.
        ready = random.permutation(np.flatnonzero(seen < lengths))[: random.integers(1, len(tables) + 1)]
        time, opening, high, low, close, volume = (
            np.array([tables[symbol][name][seen[symbol]] for symbol in ready])
            for name in ("open_time_ns", *PRICES)
        )
        out, peeked = (np.zeros((len(ready), len(spec))) for _ in range(2))
        if calls % 7 == 0:
            panel.peek(ready, time, opening, high, low, close, volume, peeked)
        statuses = panel.update(ready, time, opening, high, low, close, volume, out)
        assert (statuses == cf.BarStatus.APPLIED).all()
        if calls % 7 == 0:
            np.testing.assert_array_equal(peeked.view(np.uint64), out.view(np.uint64))
        for row, symbol in zip(out, ready, strict=True):
            whole = expected[symbol][seen[symbol]]
            np.testing.assert_array_equal(row.view(np.uint64), whole.view(np.uint64), f"{symbol} {calls}")
        seen[ready] += 1
        calls += 1
        if calls % 97 == 0:
            panel = cf.Panel.restore(spec, panel.snapshot())
    assert calls > BARS


@pytest.mark.real_data
@pytest.mark.parametrize("preset", PRESETS)
def test_later_real_bars_change_no_earlier_feature(preset: str) -> None:
    spec = cf.FeatureSpec.preset(preset)
    if spec.needs_panel:
        pytest.skip(f"{preset} compares symbols: it has no batch of one symbol")
    table = real_bars("us_stocks_1d.parquet")[0]
    whole = cf.compute(table, spec)
    for bars in (1, 63, 64, 65, 200, len(whole) - 1):
        prefix = cf.compute({name: values[:bars] for name, values in table.items()}, spec)
        np.testing.assert_array_equal(prefix.view(np.uint64), whole[:bars].view(np.uint64), str(bars))
