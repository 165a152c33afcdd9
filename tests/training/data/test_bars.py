"""Bars are checked, never repaired silently."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from candlewire_training.data.bars import canonical_bars, parse_date
from candlewire_training.data.parquet import read_bars, write_bars
from candlewire_training.errors import BarsError, SettingsError, TooFewBarsError

from tests.training.conftest import DAY_NS, random_walk

WALK = random_walk("AAA", bars=50, seed=1)


def with_value(column: str, value: float, row: int = 20) -> pl.DataFrame:
    values = WALK[column].to_list()
    values[row] = value
    return WALK.with_columns(pl.Series(column, values, dtype=WALK.schema[column]))


DEFECTS = {
    "a price that is not finite": with_value("close", float("nan")),
    "a price of zero or below": with_value("low", -1.0),
    "high below low": with_value("high", 1.0),
    "open or close outside low..high": with_value("open", 1e6),
    "a volume that is negative": with_value("volume", -5.0),
    "more than once": pl.concat([WALK, WALK.slice(7, 1)]),
}


@pytest.mark.parametrize("meaning", DEFECTS)
def test_a_defect_is_refused_by_name(meaning: str) -> None:
    with pytest.raises(BarsError, match=meaning) as caught:
        canonical_bars(DEFECTS[meaning], source="bars")
    message = str(caught.value)
    assert "AAA 2000-01-" in message
    assert "--bad-bars drop" in message
    assert "\n" not in message


@pytest.mark.parametrize("meaning", DEFECTS)
def test_dropping_is_told(meaning: str) -> None:
    table = canonical_bars(DEFECTS[meaning], source="bars", bad_bars="drop")
    # Of exact copies one is kept; a bar that is wrong goes.
    assert table.frame.height == (50 if meaning == "more than once" else 49)
    assert len(table.notes) == 1
    assert "dropped" in table.notes[0]


def test_copies_that_disagree_are_all_dropped() -> None:
    other = with_value("volume", 7.0).slice(20, 1)
    table = canonical_bars(pl.concat([WALK, other]), source="bars", bad_bars="drop")
    assert table.frame.height == 49
    assert table.notes == ("dropped 2 rows: a bar appears more than once",)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(BarsError, match="column low is missing"):
        canonical_bars(WALK.drop("low"), source="bars")
    with pytest.raises(BarsError, match="column symbol is missing"):
        canonical_bars(WALK.drop("symbol"), source="bars")
    with pytest.raises(BarsError, match="column ts"):
        canonical_bars(WALK.drop("open_time_ns"), source="bars")
    with pytest.raises(BarsError, match="ts is String"):
        canonical_bars(WALK.rename({"open_time_ns": "ts"}).cast({"ts": pl.String}), source="bars")
    with pytest.raises(BarsError, match="numbers"):
        canonical_bars(WALK.with_columns(close=pl.lit("x")), source="bars")


@pytest.mark.parametrize("name", ["ts", "Date", "open_time", "TIMESTAMP"])
def test_time_columns_mean_the_same(name: str) -> None:
    times = pl.col("open_time_ns").cast(pl.Datetime("ns")).dt.cast_time_unit("us")
    frame = WALK.with_columns(times.alias(name)).drop("open_time_ns")
    assert canonical_bars(frame, source="bars").fingerprint == canonical_bars(WALK, source="bars").fingerprint


def test_a_zone_is_converted_to_utc() -> None:
    local = pl.col("open_time_ns").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    frame = WALK.with_columns(local.dt.convert_time_zone("America/New_York").alias("ts")).drop("open_time_ns")
    assert canonical_bars(frame, source="bars").frame.equals(canonical_bars(WALK, source="bars").frame)


def test_order_does_not_change_the_fingerprint() -> None:
    table = canonical_bars(WALK, source="bars")
    assert (
        canonical_bars(WALK.sample(fraction=1.0, shuffle=True, seed=3), source="x").fingerprint
        == table.fingerprint
    )
    assert canonical_bars(with_value("volume", 1.0), source="bars").fingerprint != table.fingerprint


def test_the_timeframe_is_told_from_the_bars() -> None:
    assert canonical_bars(WALK, source="bars").timeframe == "1d"
    hourly = WALK.with_columns(pl.int_range(1, 51).cast(pl.Int64).mul(DAY_NS // 24).alias("open_time_ns"))
    assert canonical_bars(hourly, source="bars").timeframe == "1h"
    assert canonical_bars(hourly, source="bars", timeframe="1d").timeframe == "1d"
    odd = WALK.with_columns(pl.int_range(1, 51).cast(pl.Int64).mul(12345).alias("open_time_ns"))
    with pytest.raises(BarsError, match="--timeframe"):
        canonical_bars(odd, source="bars")
    with pytest.raises(SettingsError, match="'7m' is unknown"):
        canonical_bars(WALK, source="bars", timeframe="7m")


def test_several_timeframes_ask() -> None:
    both = pl.concat([WALK.with_columns(timeframe=pl.lit(name)) for name in ("1d", "1h")])
    with pytest.raises(BarsError, match="several timeframes"):
        canonical_bars(both, source="bars")
    assert canonical_bars(both, source="bars", timeframe="1d").frame.height == 50
    with pytest.raises(BarsError, match="no bars of timeframe 1w"):
        canonical_bars(both, source="bars", timeframe="1w")


def test_parquet_round_trip(tmp_path: Path) -> None:
    table = canonical_bars(WALK, source="bars")
    write_bars(table, tmp_path / "deep" / "a.parquet")
    assert read_bars(tmp_path / "deep" / "a.parquet").fingerprint == table.fingerprint
    assert read_bars(tmp_path).fingerprint == table.fingerprint


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(BarsError, match="no such file"):
        read_bars(tmp_path / "none.parquet")
    with pytest.raises(BarsError, match=r"no \.parquet file"):
        read_bars(tmp_path)
    empty = tmp_path / "empty.parquet"
    empty.touch()
    with pytest.raises(BarsError, match="file is empty"):
        read_bars(empty)
    whole = tmp_path / "whole.parquet"
    write_bars(canonical_bars(WALK, source="bars"), whole)
    truncated = tmp_path / "truncated.parquet"
    truncated.write_bytes(whole.read_bytes()[:700])
    with pytest.raises(BarsError, match="truncated"):
        read_bars(truncated)
    with pytest.raises(BarsError, match="holds no bars"):
        canonical_bars(WALK.clear(), source="bars")


def test_a_date_range_cuts_at_the_open() -> None:
    table = canonical_bars(WALK, source="bars")
    day = datetime(2000, 1, 11, tzinfo=UTC)
    assert table.until(day).frame.height == 10
    assert table.between(day, None).frame.height == 40
    with pytest.raises(TooFewBarsError, match="2000-01-01 to 2000-02-19"):
        table.between(datetime(2030, 1, 1, tzinfo=UTC), None)
    with pytest.raises(SettingsError, match="is no date"):
        parse_date("yesterday", option="--until")
