"""`compute` from mappings and frames, and what it refuses."""

from __future__ import annotations

from typing import Any

import candlewire_features as cf
import numpy as np
import polars as pl
import pytest

CORE = cf.FeatureSpec.preset("core")


def test_core_is_valid_and_moves_after_its_warm_up(walk: dict[str, Any]) -> None:
    values = cf.compute(walk, CORE)
    assert values.shape == (400, len(CORE))
    assert values.dtype == np.float64
    assert np.isfinite(values[CORE.warmup_bars :]).all()
    assert np.isnan(values[CORE.warmup_bars - 1]).any()
    assert (values[CORE.warmup_bars :].std(axis=0) > 0).all()


def test_core_does_not_depend_on_the_price_level(walk: dict[str, Any]) -> None:
    scaled = walk | {name: walk[name] * 1024.0 for name in ("open", "high", "low", "close")}
    np.testing.assert_allclose(cf.compute(scaled, CORE), cf.compute(walk, CORE), rtol=1e-9, atol=1e-12)


def test_a_frame_gives_the_same_bits_as_its_columns(walk: dict[str, Any]) -> None:
    expected = cf.compute(walk, CORE)
    frame = pl.DataFrame(walk)
    for unit in ("ns", "us", "ms"):
        times = pl.from_epoch("open_time_ns", "ns").cast(pl.Datetime(unit, "UTC"))
        for name in ("ts", "open_time"):
            other = frame.select(times.alias(name), pl.exclude("open_time_ns"))
            np.testing.assert_array_equal(cf.compute(other, CORE), expected)
    np.testing.assert_array_equal(cf.compute(frame, CORE), expected)


def test_a_null_in_a_frame_is_a_bad_bar(walk: dict[str, Any]) -> None:
    frame = pl.DataFrame(walk)
    hole = frame.with_columns(
        close=pl.when(pl.int_range(pl.len()) == 300).then(None).otherwise(pl.col("close")),
        volume=pl.col("volume").cast(pl.Int64),
    )
    without = frame.with_columns(volume=pl.col("volume").cast(pl.Int64)).filter(pl.int_range(pl.len()) != 300)
    values = cf.compute(hole, CORE)
    assert np.isnan(values[300]).all()
    np.testing.assert_array_equal(np.delete(values, 300, axis=0), cf.compute(without, CORE))


def test_no_bars_give_no_rows(walk: dict[str, Any]) -> None:
    assert cf.compute({name: column[:0] for name, column in walk.items()}, CORE).shape == (0, len(CORE))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"close": None}, "no column close"),
        ({"open_time_ns": None}, "no column open_time_ns or open_time or ts"),
        ({"close": np.zeros(400, np.float32)}, "close is ndarray of float32"),
        ({"close": np.zeros(800)[::2]}, "contiguous"),
        ({"close": np.zeros((400, 1))}, "one-dimensional"),
        ({"close": [1.0] * 400}, "close is list"),
        ({"close": np.zeros(399)}, "close has length 399, expected 400"),
        ({"open_time_ns": np.zeros(400)}, "open_time_ns is ndarray of float64"),
        ({"open_time_ns": np.zeros(400, np.int64)}, r"open_time_ns\[1\] is 0, not after 0"),
        ({"open_time_ns": np.full(400, np.datetime64("NaT"))}, "missing times"),
        # Milliseconds, as exchanges give them: taken for nanoseconds they would lie in 1970.
        (
            {"open_time_ns": None, "ts": np.arange(400, dtype=np.int64) * 60_000},
            "ts holds int64: give datetimes, or nanoseconds as open_time_ns",
        ),
        ({"open_time_ns": None, "ts": [1] * 400}, "ts holds list: give datetimes"),
    ],
)
def test_refusals_name_the_column_and_the_remedy(
    walk: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    bars = {name: column for name, column in (walk | change).items() if column is not None}
    with pytest.raises(cf.InputError, match=message):
        cf.compute(bars, CORE)


def test_tables_of_other_libraries_give_the_same(walk: dict[str, Any]) -> None:
    expected = cf.compute(walk, CORE)
    columns = {name: column for name, column in walk.items() if name != "open_time_ns"}
    times = walk["open_time_ns"].astype("datetime64[ns]")
    pandas = pytest.importorskip("pandas")
    for time in (times, pandas.Series(times).dt.tz_localize("UTC")):
        frame = pandas.DataFrame({"ts": time} | columns)
        np.testing.assert_array_equal(cf.compute(frame, CORE), expected)
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"ts": times} | columns)
    np.testing.assert_array_equal(cf.compute(table, CORE), expected)
    np.testing.assert_array_equal(cf.compute(table.to_batches()[0], CORE), expected)


def test_a_lazy_frame_is_collected(walk: dict[str, Any]) -> None:
    frame = pl.DataFrame(walk).with_columns(symbol=pl.lit("A"), other=pl.lit("no number"))
    expected = cf.compute(walk, CORE)
    np.testing.assert_array_equal(cf.compute(frame.lazy(), CORE), expected)
    np.testing.assert_array_equal(cf.compute_panel(frame.lazy(), CORE), expected)
    with pytest.raises(
        cf.InputError, match="no column close: they have symbol, open_time_ns, open, high, low"
    ):
        cf.compute(frame.lazy().drop("close"), CORE)


@pytest.mark.parametrize("bars", [None, [1, 2], "bars.parquet", 3.0])
def test_what_is_no_table_is_refused(bars: Any) -> None:
    for function in (cf.compute, cf.compute_panel):
        with pytest.raises(
            cf.InputError, match="pass a mapping of NumPy arrays, a DataFrame or an Arrow table"
        ):
            function(bars, CORE)


def test_words_among_the_prices_are_refused(walk: dict[str, Any]) -> None:
    frame = pl.DataFrame(walk).with_columns(close=pl.lit("n/a"))
    pandas = pytest.importorskip("pandas")
    for bars in (frame, pandas.DataFrame(walk).assign(close="n/a")):
        with pytest.raises(
            cf.InputError, match=r"close holds values that are no numbers .* cast it to float64"
        ):
            cf.compute(bars, CORE)
