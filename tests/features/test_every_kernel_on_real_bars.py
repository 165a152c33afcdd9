"""What every kernel promises, kept over real bars as their vendors gave them, dirty rows included."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import candlewire_features as cf
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from candlewire_features._features import kernel_registry

from tests.features.conftest import PRICES, SOUND, real_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Floats = npt.NDArray[np.float64]
Bars = dict[str, npt.NDArray[Any]]

REGISTRY = json.loads(kernel_registry())
OUTPUTS: list[tuple[str, str, dict[str, int | float | str], str]] = [
    (f"{kernel['name']}.{output['name']}", kernel["name"], {}, output["name"])
    for kernel in REGISTRY
    for output in kernel["outputs"]
]
EVERYTHING = cf.FeatureSpec(OUTPUTS)
# Daily stocks with NaN rows, a fund with prices of zero, an index of flat bars, minutes without volume,
# hours with flat bars and hours without volume, five-minute bars with sessions of two kinds.
SERIES = [
    ("us_stocks_1d.parquet", "O"),
    ("us_stocks_1d.parquet", "DHR"),
    ("etfs_1d.parquet", "CWI"),
    ("indices_1d.parquet", "SPX_1950"),
    ("fx_1m.parquet", "EURUSD"),
    ("crypto_1h.parquet", "BTCUSD-COINBASE"),
    ("us_equities_5m.parquet", "JNUG"),
]
LENGTH = 900
IS_SOUND = SOUND.fill_null(value=False)  # a null compares with nothing
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "features.md"
# Kernels that remember where a session began, or how the one before ended: they forget with the session.
OF_SESSIONS = {"session_gap", "session_vwap"}
# A regime by thresholds of the ADX, which is a recursion.
OF_RECURSIONS = {"market_regime"}


def as_columns(frame: pl.DataFrame) -> Bars:
    times = np.ascontiguousarray(frame["ts"].dt.epoch("ns").to_numpy())
    return {"open_time_ns": times} | {name: np.ascontiguousarray(frame[name].to_numpy()) for name in PRICES}


def as_given(file: str, symbol: str) -> pl.DataFrame:
    """The first bars of a symbol, none of them left out."""
    frame = pl.scan_parquet(real_data() / file).filter(pl.col("symbol") == symbol).sort("ts").head(LENGTH)
    return frame.collect()


def sound_bars(file: str, symbol: str) -> Bars:
    return as_columns(as_given(file, symbol).filter(SOUND))


def rows(bars: Bars, which: Any) -> Bars:
    return {name: np.ascontiguousarray(values[which]) for name, values in bars.items()}


def bits(values: Floats) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(values).view(np.uint64)


def dirty() -> Iterator[tuple[str, str, pl.DataFrame]]:
    """Every symbol of every file that has an unsound row."""
    for path in sorted(real_data().glob("*.parquet")):
        frame = pl.scan_parquet(path).sort("symbol", "ts").collect().unique(["symbol", "ts"], keep="first")
        bad = frame.filter(~IS_SOUND)["symbol"].unique().to_list()
        for (symbol,), part in frame.filter(pl.col("symbol").is_in(bad)).group_by("symbol"):
            yield path.stem, str(symbol), part.sort("ts")


@pytest.mark.real_data
def test_unsound_rows_of_every_file_are_nan_and_leave_no_trace() -> None:
    unsound = 0
    for file, symbol, frame in dirty():
        sound = frame.select(IS_SOUND).to_series().to_numpy()
        features = cf.compute(as_columns(frame), EVERYTHING)
        assert np.isnan(features[~sound]).all(), f"{file} {symbol}"
        without = cf.compute(as_columns(frame.filter(SOUND)), EVERYTHING)
        np.testing.assert_array_equal(bits(features[sound]), bits(without), err_msg=f"{file} {symbol}")
        unsound += int((~sound).sum())
    assert unsound > 50, "too few unsound rows: are the files still what they were?"


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), SERIES)
def test_each_output_begins_at_its_declared_bar(file: str, symbol: str) -> None:
    features = cf.compute(sound_bars(file, symbol), EVERYTHING)
    first = np.array(EVERYTHING.feature_warmup_bars)
    declared = np.arange(len(features))[:, None] >= first
    wrong = (np.isfinite(features) != declared).any(axis=0)
    assert not wrong.any(), [name for name, bad in zip(EVERYTHING.names, wrong, strict=True) if bad]


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), SERIES)
@pytest.mark.parametrize("seed", [1, 2])
def test_any_chunks_of_a_panel_have_the_bits_of_the_batch(file: str, symbol: str, seed: int) -> None:
    """Dirty rows included; the panel is peeked at, written and restored on the way."""
    bars = as_columns(as_given(file, symbol))
    expected = cf.compute(bars, EVERYTHING)
    random = np.random.default_rng(seed)
    panel = cf.Panel(EVERYTHING, ["other", symbol])
    start = 0
    while start < len(expected):
        stop = min(start + int(random.integers(1, 120)), len(expected))
        part = rows(bars, slice(start, stop))
        given = [part[name] for name in ("open_time_ns", *PRICES)]
        index = np.ones(stop - start, dtype=np.int64)
        out, peeked = (np.zeros((stop - start, len(EVERYTHING))) for _ in range(2))
        before = panel.snapshot()
        panel.peek(index[:1], *(column[:1] for column in given), peeked[:1])
        assert panel.snapshot() == before, "a peek changed something"
        panel.update(index, *given, out)
        np.testing.assert_array_equal(bits(out), bits(expected[start:stop]), f"bars {start} to {stop}")
        np.testing.assert_array_equal(bits(peeked[0]), bits(expected[start]), f"peek at {start}")
        panel = cf.Panel.restore(EVERYTHING, panel.snapshot())
        start = stop


def first_that_looks_ahead(bars: Bars, features: Callable[[Bars], Floats]) -> int | None:
    """The first column with a value that bars after it change; None where there is none."""
    whole = features(bars)
    for length in (1, 63, 64, 65, 139, 256, 400, len(whole) - 1):
        part = features(rows(bars, slice(length)))
        changed = (bits(part) != bits(whole[:length])).any(axis=0)
        if changed.any():
            return int(np.argmax(changed))
    return None


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), SERIES)
def test_no_kernel_looks_ahead_and_a_planted_one_is_found(file: str, symbol: str) -> None:
    bars = sound_bars(file, symbol)
    assert first_that_looks_ahead(bars, lambda bars: cf.compute(bars, EVERYTHING)) is None

    def planted(bars: Bars) -> Floats:
        """Every feature, and among them the next bar's RSI."""
        features = cf.compute(bars, EVERYTHING)
        place = EVERYTHING.names.index("rsi.rsi")
        features[:-1, place] = features[1:, place]
        return features

    found = first_that_looks_ahead(bars, planted)
    assert found is not None
    assert EVERYTHING.names[found] == "rsi.rsi"


def recursive_outputs() -> set[str]:
    """Those that the table of warm-up in the docs names."""
    table = DOCUMENT.read_text(encoding="utf-8").split("<!-- warm-up")[1].split("<!-- end")[0]
    named = set()
    for kernel, outputs in re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE):
        named |= {f"{kernel}.{output}" for output in re.findall(r"`(\w+)`", outputs)}
    return named


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), SERIES)
@pytest.mark.parametrize("start", [1, 200, 511])
def test_what_is_not_in_the_table_of_warm_up_has_forgotten_all_before(
    file: str, symbol: str, start: int
) -> None:
    bars = sound_bars(file, symbol)
    earlier = cf.compute(bars, EVERYTHING)[start:]
    later = cf.compute(rows(bars, slice(start, None)), EVERYTHING)
    recursive = recursive_outputs()
    assert len(recursive) > 70, "is the table still where it was?"
    compared = 0
    for column, (name, kernel, _, _) in enumerate(OUTPUTS):
        if name in recursive or kernel in OF_SESSIONS | OF_RECURSIONS:
            continue
        first = EVERYTHING.feature_warmup_bars[column]
        np.testing.assert_array_equal(
            bits(later[first:, column]), bits(earlier[first:, column]), err_msg=f"{name} from bar {start}"
        )
        compared += 1
    assert compared > 200


@pytest.mark.real_data
def test_bars_twice_and_out_of_order_are_put_in_order() -> None:
    """The vendor's minutes of the Indian index: unsorted, and 1,130 of them twice with different prices."""
    frame = pl.read_parquet(real_data() / "india_1m.parquet").filter(pl.col("symbol") == "NIFTY50")
    assert not frame["ts"].is_sorted()
    assert frame["ts"].is_duplicated().sum() > 2000
    with pytest.raises(cf.InputError, match="sort the bars oldest first and drop duplicates"):
        cf.compute(frame, EVERYTHING)
    features = cf.compute_panel(frame, EVERYTHING)
    first = frame.select(pl.col("ts").is_first_distinct()).to_series().to_numpy()
    assert np.isnan(features[~first]).all(), "the second row of a time"
    once = frame.filter(pl.Series(first)).sort("ts")
    order = np.argsort(frame["ts"].filter(pl.Series(first)).to_numpy(), kind="stable")
    expected = cf.compute(as_columns(once), EVERYTHING)
    np.testing.assert_array_equal(bits(features[first][order]), bits(expected))
