"""Sessions, clocks and calendars agree with zoneinfo and with the sessions that really took place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import candlewire_features as cf
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from tests.features.conftest import load, real_data

Floats = npt.NDArray[np.float64]
NEW_YORK = ZoneInfo("America/New_York")
ZONES = {
    "XNYS": NEW_YORK,
    "XNSE": ZoneInfo("Asia/Kolkata"),
    "FX": NEW_YORK,
    "24/7": UTC,
    "UTC": UTC,
}


def columns(times_ns: npt.NDArray[np.int64]) -> dict[str, Any]:
    ones = np.ones(len(times_ns))
    return {"open_time_ns": times_ns, **dict.fromkeys(("open", "high", "low", "close", "volume"), ones)}


def features(bars: Any, kernel: str, outputs: list[str], **parameters: Any) -> dict[str, Floats]:
    spec = cf.FeatureSpec([(output, kernel, parameters, output) for output in outputs])
    return dict(zip(outputs, cf.compute(bars, spec).T, strict=True))


def times(*local: datetime) -> npt.NDArray[np.int64]:
    return np.array([int(moment.timestamp()) * 1_000_000_000 for moment in local], dtype=np.int64)


def new_york(year: int, month: int, day: int, hour: int, minute: int) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=NEW_YORK)


@pytest.mark.parametrize("calendar", ZONES)
def test_clocks_agree_with_zoneinfo(calendar: str) -> None:
    random = np.random.default_rng(5)
    first, last = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1970, 2037))
    seconds = np.unique(random.integers(first, last, 20_000))
    # The hours around every change of summer time are where clocks go wrong.
    seconds = np.unique(np.concatenate([seconds, changes(first, last, ZONES[calendar])]))
    ours = features(columns(seconds * 1_000_000_000), "local_time", ["hour", "weekday"], calendar=calendar)
    local = [datetime.fromtimestamp(int(second), ZONES[calendar]) for second in seconds]
    hour = np.array([moment.hour + moment.minute / 60 + moment.second / 3600 for moment in local])
    assert np.abs(ours["hour"] - hour).max() < 1e-12
    # The FX day begins at 17:00.
    shift = timedelta(hours=7 if calendar == "FX" else 0)
    weekday = np.array([(moment.replace(tzinfo=None) + shift).weekday() for moment in local])
    assert np.array_equal(ours["weekday"], weekday)


def changes(first: int, last: int, zone: Any) -> npt.NDArray[np.int64]:
    hours = np.arange(first, last, 6 * 3600)
    offset = [datetime.fromtimestamp(int(hour), zone).utcoffset() for hour in hours]
    near = [hours[i] for i in range(len(hours) - 1) if offset[i] != offset[i + 1]]
    return np.array([hour + minute * 60 for hour in near for minute in range(-60, 420, 7)], dtype=np.int64)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "since", "until"),
    [
        ("us_stocks_1d.parquet", "2013-03-01", "2017-02-01"),
        # Between closures at short notice: Johnson's mourning, the blackout of 1977, hurricane Gloria, Nixon,
        # September 2001, Reagan, Ford, hurricane Sandy.
        ("us_stocks_long_1d.parquet", "1981-01-01", "1985-09-01"),
        ("us_stocks_long_1d.parquet", "1985-10-01", "1994-04-01"),
        ("us_stocks_long_1d.parquet", "1994-05-01", "2001-09-01"),
        ("us_stocks_long_1d.parquet", "2001-10-01", "2004-06-01"),
        ("us_stocks_long_1d.parquet", "2004-07-01", "2007-01-01"),
        ("us_stocks_long_1d.parquet", "2007-02-01", "2012-10-01"),
        ("indices_1d.parquet", "2013-01-01", "2018-12-01"),
    ],
)
def test_new_york_sessions_are_those_that_took_place(file: str, since: str, until: str) -> None:
    date = pl.col("ts").dt.date()
    between = (date >= pl.lit(since).str.to_date()) & (date < pl.lit(until).str.to_date())
    # Single symbols miss sessions; a session is what any symbol of the file traded.
    sessions = pl.scan_parquet(real_data() / file).filter(between).select("ts").unique().sort("ts").collect()
    one = pl.lit(1.0)
    frame = sessions.with_columns(open=one, high=one, low=one, close=one, volume=one)
    outputs = ["days_to_month_end", "day_of_month", "days_since_session"]
    ours = features(frame, "trading_calendar", outputs, calendar="XNYS", stamp="date")
    month = frame["ts"].dt.truncate("1mo")
    ordinal = frame.select(pl.int_range(1, pl.len() + 1).over(month)).to_series().to_numpy()
    count = frame.select(pl.len().over(month)).to_series().to_numpy()
    wrong = ours["day_of_month"] != ordinal
    assert not wrong.any(), frame["ts"].dt.date().to_numpy()[wrong][:5]
    assert np.array_equal(ours["days_to_month_end"], count - ordinal)
    assert np.array_equal(ours["days_since_session"][1:], frame["ts"].diff().dt.total_days().to_numpy()[1:])


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("calendar", "file", "symbol", "least"),
    [
        ("FX", "fx_1h.parquet", "EURUSD", 0.9999),
        ("XNYS", "us_equities_1m.parquet", "AFRM", 1.0),
        ("XNSE", "india_1m.parquet", "NIFTY50", 0.99),
        ("24/7", "crypto_1h.parquet", "BTCUSDT", 1.0),
    ],
)
def test_markets_trade_when_their_calendar_says(calendar: str, file: str, symbol: str, least: float) -> None:
    is_open = features(load(file, symbol), "session", ["is_open"], calendar=calendar)["is_open"]
    assert is_open.mean() >= least


def test_a_session_is_measured_from_its_open_to_its_close() -> None:
    moments = [
        (new_york(2026, 3, 6, 9, 29), -1, 391, 0, 0, 0, 0),
        (new_york(2026, 3, 6, 9, 30), 0, 390, 1, 1, 0, 0),
        (new_york(2026, 3, 6, 15, 30), 360, 30, 1, 0, 1, 360 / 390),
        (new_york(2026, 3, 9, 9, 59), 29, 361, 1, 1, 0, 29 / 390),  # after summer time began
        (new_york(2026, 3, 9, 16, 0), 390, 0, 0, 0, 0, 1),
        (new_york(2026, 7, 3, 10, 0), 30, 360, 0, 0, 0, 30 / 390),  # Independence Day, kept on Friday
        (new_york(2026, 11, 27, 12, 45), 195, 15, 1, 0, 1, 195 / 210),  # half day
        (new_york(2026, 11, 27, 13, 0), 210, 0, 0, 0, 0, 1),
    ]
    outputs = ["minute", "minutes_to_close", "is_open", "is_opening", "is_closing", "progress"]
    ours = features(columns(times(*(moment for moment, *_ in moments))), "session", outputs)
    for row, (moment, *expected) in enumerate(moments):
        assert [ours[name][row] for name in outputs] == pytest.approx(expected, abs=1e-12), moment


def test_the_fx_week_runs_from_sunday_to_friday_17_new_york() -> None:
    moments = [
        (new_york(2026, 3, 8, 16, 59), 0, 1439),
        (new_york(2026, 3, 8, 17, 0), 1, 0),  # the Sunday on which summer time began
        (new_york(2026, 3, 11, 16, 59), 1, 1439),
        (new_york(2026, 3, 13, 16, 59), 1, 1439),
        (new_york(2026, 3, 13, 17, 0), 0, 0),
    ]
    ours = features(
        columns(times(*(moment for moment, *_ in moments))), "session", ["is_open", "minute"], calendar="FX"
    )
    assert ours["is_open"].tolist() == [float(is_open) for _, is_open, _ in moments]
    assert ours["minute"].tolist() == [float(minute) for _, _, minute in moments]


def test_overnight_marks_the_first_bar_of_a_local_date() -> None:
    bars = columns(
        times(
            new_york(2026, 3, 5, 19, 30),  # past midnight UTC, same evening in New York
            new_york(2026, 3, 5, 19, 45),
            new_york(2026, 3, 6, 9, 30),
            new_york(2026, 3, 6, 9, 31),
            new_york(2026, 3, 9, 9, 30),
        )
    )
    bars["open"] = np.array([1.0, 1.0, 1.5, 1.0, 0.5])
    bars["high"], bars["low"] = np.full(5, 2.0), np.full(5, 0.25)
    ours = features(bars, "overnight", ["flag", "days", "log_return"])
    assert np.isnan(ours["flag"][0])
    assert ours["flag"][1:].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert ours["days"][1:].tolist() == [0.0, 1.0, 0.0, 3.0]
    assert ours["log_return"][1:] == pytest.approx([0.0, np.log(1.5), 0.0, np.log(0.5)])
    assert features(bars, "overnight", ["flag"], calendar="UTC")["flag"][1:].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_cycles_close() -> None:
    hours = np.arange(24 * 7 + 1, dtype=np.int64) * 3_600_000_000_000
    outputs = ["hour_sin", "hour_cos", "weekday_sin", "weekday_cos"]
    ours = features(columns(hours), "local_time", outputs, calendar="24/7")
    for name in ("hour", "weekday"):
        assert np.allclose(ours[f"{name}_sin"] ** 2 + ours[f"{name}_cos"] ** 2, 1.0)
    for values in ours.values():
        assert values[0] == values[-1]
    assert len({(s, c) for s, c in zip(ours["hour_sin"], ours["hour_cos"], strict=True)}) == 24
