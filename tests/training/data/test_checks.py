"""Each check finds its defect where one was put, and nothing in sound bars."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from candlewire_training.data.bars import to_ns
from candlewire_training.data.checks.catalogue import CHECKS
from candlewire_training.data.checks.contract import POLICIES, Finding
from candlewire_training.data.checks.policies import (
    apply_policies,
    import_defaults,
    keep_all,
    parse_policies,
    refusal,
    refused,
)
from candlewire_training.data.checks.report import check_symbol, symbol_bars
from candlewire_training.data.checks.stationarity import measure_stationarity
from candlewire_training.data.timeframes import DAY_NS
from candlewire_training.data.universe_calendar import calendar_of_name
from candlewire_training.errors import SettingsError

LATER = to_ns(datetime(2030, 1, 1, tzinfo=UTC))
BARS = 120


def sound_bars(bars: int = BARS, *, seed: int = 5) -> pl.DataFrame:
    """Daily bars of a market that never closes, a quiet walk around 100."""
    generator = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(0.01 * generator.standard_normal(bars)))
    opened = np.concatenate(([100.0], close[:-1])) * np.exp(0.002 * generator.standard_normal(bars))
    spread = 1.005 + 0.005 * generator.random(bars)
    return pl.DataFrame(
        {
            "symbol": ["AAA"] * bars,
            "open_time_ns": to_ns(date(2021, 1, 4)) + DAY_NS * np.arange(bars),
            "open": opened,
            "high": np.maximum(opened, close) * spread,
            "low": np.minimum(opened, close) / spread,
            "close": close,
            "volume": 1e5 * (1 + generator.random(bars)),
        }
    )


def findings(
    frame: pl.DataFrame, *, calendar: str | None = "24/7", timeframe: str = "1d", now_ns: int = LATER
) -> dict[str, Finding]:
    hours = calendar_of_name(calendar) if calendar else None
    bars = symbol_bars("AAA", frame, timeframe=timeframe, calendar=hours, sessions=None, now_ns=now_ns)
    return {found.defect: found for found in check_symbol(bars)}


def changed(frame: pl.DataFrame, row: int, **values: float) -> pl.DataFrame:
    at = pl.int_range(pl.len()) == row
    return frame.with_columns(
        pl.when(at).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in values.items()
    )


@pytest.mark.parametrize("seed", range(5))
def test_sound_bars_have_no_defect(seed: int) -> None:
    assert findings(sound_bars(400, seed=seed)) == {}


def scaled(frame: pl.DataFrame, row: int, factor: float, *names: str) -> pl.DataFrame:
    return changed(frame, row, **{name: frame[name][row] * factor for name in names})


PLANTS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "missing-value": lambda frame: changed(frame, 50, close=float("nan")),
    "nonpositive-price": lambda frame: changed(frame, 50, low=0.0),
    "negative-volume": lambda frame: changed(frame, 50, volume=-1.0),
    "ohlc-violation": lambda frame: changed(frame, 50, high=frame["low"][50] * 0.99),
    "zero-volume": lambda frame: changed(frame, 50, volume=0.0),
    "repeated-bar": lambda frame: pl.concat([frame[:51], frame[50:]]),
    "conflicting-bar": lambda frame: pl.concat([frame[:51], scaled(frame, 50, 1.001, "close", "high")[50:]]),
    "out-of-order": lambda frame: pl.concat([frame[:50], frame[51:52], frame[50:51], frame[52:]]),
    "gap": lambda frame: pl.concat([frame[:50], frame[51:]]),
    "misquote": lambda frame: scaled(frame, 50, 0.1, "low"),
    "outlier": lambda frame: scaled(frame, 50, 0.7, "close", "low"),
    "large-move": lambda frame: scaled(frame, 50, 0.6, "close", "low"),
    "off-grid": lambda frame: changed(frame, 50, open_time_ns=int(frame["open_time_ns"][50]) + DAY_NS // 3),
}


@pytest.mark.parametrize("defect", sorted(PLANTS))
def test_a_planted_defect_is_found(defect: str) -> None:
    found = findings(PLANTS[defect](sound_bars()))
    assert defect in found
    assert found[defect].examples
    assert 0 < found[defect].rows.sum() <= 2


def test_every_check_is_tested() -> None:
    elsewhere = {
        "flat-bar",
        "stale-price",
        "coarse-price",
        "suspected-split",
        "outside-session",
        "partial-last-bar",
        "volume-break",
    }
    assert {check.defect for check in CHECKS} == set(PLANTS) | elsewhere


def test_only_the_misquoted_bar_is_marked() -> None:
    found = findings(scaled(sound_bars(), 50, 10.0, "close", "high"))
    assert np.flatnonzero(found["misquote"].rows).tolist() == [50]
    assert "outlier" not in found


def split_bars(day: int, ratio: float, *, volume: float = 1.0, spread: float = 1.0) -> pl.DataFrame:
    """Sound bars that trade at 1/ratio from a day on, with that day's volume and range stretched."""
    after = pl.int_range(pl.len()) >= day
    on = pl.int_range(pl.len()) == day
    prices = [
        pl.when(after).then(pl.col(name) / ratio).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    ]
    frame = sound_bars().with_columns(
        *prices, pl.when(after).then(pl.col("volume") * ratio).otherwise(pl.col("volume")).alias("volume")
    )
    return frame.with_columns(
        pl.when(on).then(pl.col("volume") * volume).otherwise(pl.col("volume")).alias("volume"),
        pl.when(on).then(pl.col("high") * spread).otherwise(pl.col("high")).alias("high"),
        pl.when(on).then(pl.col("low") / spread).otherwise(pl.col("low")).alias("low"),
    )


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (2, "near 2:1"),
        (10, "near 10:1"),
        (1.5, "near 3:2"),
        (0.25, "up .*near 4:1"),
        (2.45, "no simple ratio"),
    ],
)
@pytest.mark.parametrize("day", [3, 60, 110])
def test_an_unadjusted_split_is_suspected(ratio: float, text: str, day: int) -> None:
    found = findings(split_bars(day, ratio))["suspected-split"]
    assert np.flatnonzero(found.rows).tolist() == [day]
    assert re.search(text, found.examples[0])


@pytest.mark.parametrize(("volume", "spread"), [(20, 1.0), (1, 1.2), (20, 1.2)])
def test_a_crash_is_no_split(volume: float, spread: float) -> None:
    assert "suspected-split" not in findings(split_bars(60, 2.0, volume=volume, spread=spread))


def test_stale_prices_and_flat_bars() -> None:
    frame = sound_bars()
    for row in range(40, 46):
        frame = changed(frame, row, open=100.0, high=100.0, low=100.0, close=100.0)
    found = findings(frame)
    assert np.flatnonzero(found["stale-price"].rows).tolist() == list(range(40, 46))
    assert found["flat-bar"].count == 6
    assert "6 bars" in found["stale-price"].examples[0]
    four = changed(changed(frame, 40, open=99.0, low=99.0), 45, open=99.0, low=99.0)
    assert "stale-price" not in findings(four)


def test_a_feed_that_counts_other_trades() -> None:
    after = pl.int_range(pl.len()) >= 70
    frame = sound_bars().with_columns(
        pl.when(after).then(pl.col("volume") * 25).otherwise(pl.col("volume")).alias("volume")
    )
    found = findings(frame)["volume-break"]
    assert np.flatnonzero(found.rows).tolist() == [70]
    # One wild day is no break.
    assert "volume-break" not in findings(scaled(sound_bars(), 70, 100.0, "volume"))


def test_coarse_prices_are_no_outliers() -> None:
    steps = np.random.default_rng(1).integers(2, 4, BARS) / 100
    frame = sound_bars().with_columns(pl.Series(name, steps) for name in ("open", "high", "low", "close"))
    found = findings(frame)
    assert found["coarse-price"].count > BARS // 2
    assert "outlier" not in found
    assert "suspected-split" not in found


def test_volume_that_is_never_there_is_one_line() -> None:
    found = findings(sound_bars().with_columns(pl.lit(0.0).alias("volume")))
    assert found["zero-volume"].count == BARS
    assert len(found["zero-volume"].examples) == 1


def minutes(day: date, first: int, count: int) -> pl.DataFrame:
    start = to_ns(day) + first * 60 * 10**9
    return sound_bars(count).with_columns((start + pl.int_range(count) * 60 * 10**9).alias("open_time_ns"))


def test_sessions_of_an_exchange() -> None:
    # 2021-11-26 is a half day: New York closes at 13:00, 18:00 UTC.
    whole = minutes(date(2021, 11, 26), 14 * 60 + 30, 210)
    assert "gap" not in findings(whole, calendar="XNYS", timeframe="1m")
    holed = pl.concat([whole[:100], whole[103:]])
    assert findings(holed, calendar="XNYS", timeframe="1m")["gap"].count == 3
    early = pl.concat([minutes(date(2021, 11, 26), 14 * 60 + 20, 10), whole])
    assert findings(early, calendar="XNYS", timeframe="1m")["outside-session"].count == 10


def test_currencies_rest_at_the_weekend() -> None:
    # Friday 16:58 New York to Sunday 17:02, and one minute missing on Sunday.
    friday = minutes(date(2021, 6, 4), 20 * 60 + 58, 2)
    sunday = minutes(date(2021, 6, 6), 21 * 60, 3)
    assert "gap" not in findings(pl.concat([friday, sunday]), calendar="FX", timeframe="1m")
    assert (
        findings(pl.concat([friday, sunday[:1], sunday[2:]]), calendar="FX", timeframe="1m")["gap"].count == 1
    )


def test_gaps_need_something_to_be_held_against() -> None:
    assert "gap" not in findings(PLANTS["gap"](sound_bars()), calendar=None)


def test_the_last_bar_may_not_be_over() -> None:
    frame = sound_bars()
    last = int(frame["open_time_ns"][-1])
    found = findings(frame, now_ns=last + DAY_NS - 1)
    assert np.flatnonzero(found["partial-last-bar"].rows).tolist() == [BARS - 1]
    assert "partial-last-bar" not in findings(frame, now_ns=last + DAY_NS)
    downloaded = changed(frame, BARS - 1, open_time_ns=last + 3 * 10**12)
    assert "its time is no bar's" in findings(downloaded)["partial-last-bar"].examples[0]


def test_policies_drop_flag_and_refuse() -> None:
    frame = scaled(changed(sound_bars(), 30, volume=0.0), 50, 0.1, "low")
    bars = symbol_bars("AAA", frame, timeframe="1d", calendar=None, sessions=None, now_ns=LATER)
    found = check_symbol(bars)
    policies = parse_policies(["misquote=drop", "zero-volume=flag"], base=keep_all())
    kept, dropped = apply_policies(bars.frame, found, policies)
    assert dropped == {"misquote": 1}
    assert kept.height == BARS - 1
    assert kept.filter(pl.col("defects") == "zero-volume").height == 1
    assert kept["defects"].null_count() + kept.filter(pl.col("defects") == "").height == BARS - 2
    assert refused(found, policies) == ()
    unwanted = refused(found, parse_policies(["misquote=fail"], base=keep_all()))
    assert "--on misquote=drop" in str(refusal(unwanted, "bars"))


def test_keeping_changes_no_bit() -> None:
    frame = scaled(sound_bars(), 50, 0.1, "low")
    bars = symbol_bars("AAA", frame, timeframe="1d", calendar=None, sessions=None, now_ns=LATER)
    kept, dropped = apply_policies(bars.frame, check_symbol(bars), keep_all())
    assert dropped == {}
    assert kept.drop("source_row").equals(frame)


def test_policies_are_read() -> None:
    assert set(import_defaults()) == {check.defect for check in CHECKS}
    everything = parse_policies(["all=drop", "gap=flag"], base=keep_all())
    assert everything["gap"] == "flag"
    # What is not in a bar cannot be dropped with it.
    assert {defect for defect, policy in everything.items() if policy != "drop"} == {"gap", "volume-break"}
    for text in ("gap=drop", "gap", "nothing=keep", "gap=repair"):
        with pytest.raises(SettingsError, match=r"policy|defect"):
            parse_policies([text], base=keep_all())
    assert all(set(check.policies) <= set(POLICIES) for check in CHECKS)


def test_stationarity_tells_a_walk_from_noise() -> None:
    frame = sound_bars(800)
    walk = measure_stationarity(
        symbol_bars("AAA", frame, timeframe="1d", calendar=None, sessions=None, now_ns=LATER)
    )
    assert walk is not None
    assert walk.returns_stationary
    assert not walk.close_stationary
    noise = 100 * np.exp(0.01 * np.random.default_rng(3).standard_normal(800))
    level = frame.with_columns(pl.Series(name, noise) for name in ("open", "high", "low", "close"))
    around = measure_stationarity(
        symbol_bars("AAA", level, timeframe="1d", calendar=None, sessions=None, now_ns=LATER)
    )
    assert around is not None
    assert around.close_stationary


def test_stationarity_needs_movement() -> None:
    still = sound_bars().with_columns(pl.lit(5.0).alias("close"))
    assert (
        measure_stationarity(
            symbol_bars("AAA", still, timeframe="1d", calendar=None, sessions=None, now_ns=LATER)
        )
        is None
    )
