"""Bars of a longer timeframe, made inside the engine, equal those that the vendor made."""

from __future__ import annotations

import itertools

import candlewire_features as cf
import numpy as np
import polars as pl
import pytest

from tests.features.conftest import PRICES, load


def resampled(frame: pl.DataFrame, base: str, longer: str) -> pl.DataFrame:
    """The longer bars that become visible while the frame's bars come in, by their open time.

    A moving average of one value is the value: so a spec shows what its longer bars are.
    """
    features = "\n".join(
        f"  - {{name: {name}, kernel: '{longer}:sma', parameters: {{timeperiod: 1, source: {name}}}}}"
        for name in PRICES
    )
    spec = cf.FeatureSpec.from_yaml(f"timeframe: {base}\nfeatures:\n{features}\n")
    values = pl.DataFrame(cf.compute(frame, spec), schema=list(PRICES))
    length = pl.duration(**{{"m": "minutes", "h": "hours"}[base[-1]]: int(base[:-1])})
    closes_one = (pl.col("ts") + length).dt.truncate(longer) == pl.col("ts") + length
    whole = pl.concat([frame.select("ts"), values], how="horizontal").filter(closes_one)
    opened = (pl.col("ts") + length).dt.offset_by(f"-{longer}")
    return whole.with_columns(ts=opened).filter(pl.col("close").is_not_nan())


@pytest.mark.real_data
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
def test_hours_made_of_five_minutes_are_the_vendors_hours(symbol: str) -> None:
    ours = resampled(load("crypto_5m.parquet", symbol), "5m", "1h")
    vendors = load("crypto_1h.parquet", symbol).select("ts", *PRICES)
    both = ours.join(vendors, on="ts", suffix="_vendor")
    assert len(both) > 6000, f"{symbol}: only {len(both)} hours in common"
    for name in PRICES[:4]:
        assert (both[name] == both[f"{name}_vendor"]).all(), name
    np.testing.assert_allclose(both["volume"], both["volume_vendor"], rtol=1e-9)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "symbol", "base", "longer"),
    [
        ("crypto_1m.parquet", "BTCUSDT", "1m", "5m"),
        ("crypto_1m.parquet", "ETHUSDT", "1m", "1h"),
        ("crypto_5m.parquet", "SOLUSDT", "5m", "1h"),
        ("crypto_1h.parquet", "BTCUSD-COINBASE", "1h", "1d"),
    ],
)
def test_longer_bars_are_those_that_polars_makes(file: str, symbol: str, base: str, longer: str) -> None:
    frame = load(file, symbol)
    ours = resampled(frame, base, longer)
    grouped = frame.group_by_dynamic("ts", every=longer).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )
    both = ours.join(grouped, on="ts", suffix="_polars")
    assert len(both) >= len(grouped) - 2, f"{len(both)} of {len(grouped)} bars"
    assert len(both) > 400
    for name in PRICES[:4]:
        assert (both[name] == both[f"{name}_polars"]).all(), name
    np.testing.assert_allclose(both["volume"], both["volume_polars"], rtol=1e-9)


def chained(frame: pl.DataFrame, *timeframes: str) -> pl.DataFrame:
    """Bars of the last timeframe, each made of those of the one before it."""
    for base, longer in itertools.pairwise(timeframes):
        frame = resampled(frame, base, longer).select("ts", *PRICES)
    return frame


@pytest.mark.real_data
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
def test_days_are_the_same_by_whichever_way_minutes_become_them(symbol: str) -> None:
    frame = load("crypto_1m.parquet", symbol)
    steps = chained(frame, "1m", "5m", "1h", "1d")
    assert len(steps) == 20
    for way in (("1m", "1d"), ("1m", "1h", "1d"), ("1m", "15m", "4h", "1d")):
        other = chained(frame, *way)
        assert other.select("ts", *PRICES[:4]).equals(steps.select("ts", *PRICES[:4])), way
        np.testing.assert_allclose(other["volume"], steps["volume"], rtol=1e-12)


@pytest.mark.real_data
@pytest.mark.parametrize("symbol", ["EURUSD", "NZDUSD"])
def test_days_made_of_hours_open_and_close_as_the_brokers_days(symbol: str) -> None:
    """Two files of the broker, independent of each other.

    Both hold middles of bid and ask, and the day's highest bid need not fall together with its highest ask:
    so the highest middle of the hours may lie below the middle of the two, never above.
    """
    ours = resampled(load("fx_1h.parquet", symbol), "1h", "1d")
    both = ours.join(load("fx_1d.parquet", symbol).select("ts", *PRICES), on="ts", suffix="_broker")
    assert len(both) > 2500, f"{symbol}: only {len(both)} days in common"
    for name in ("open", "close"):
        assert (both[name] == both[f"{name}_broker"]).mean() > 0.999, name
    for name, sign in (("high", 1), ("low", -1)):
        inside = sign * (both[f"{name}_broker"] - both[name])
        assert (inside > -1e-12).mean() > 0.999, name
        assert (inside.abs() < 1e-12).mean() > 0.85, name
        assert inside.max() < 0.002, name


@pytest.mark.real_data
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_a_vendors_hour_is_visible_from_its_close_on_and_not_before(symbol: str) -> None:
    frame = load("crypto_5m.parquet", symbol).head(20_000)
    vendors = load("crypto_1h.parquet", symbol).select("ts", vendor="close")
    text = "{timeframe: 5m, features: [{name: c, kernel: '1h:sma', parameters: {timeperiod: 1}}]}"
    seen = frame.select("ts").with_columns(c=cf.compute(frame, cf.FeatureSpec.from_yaml(text))[:, 0])
    # A bar of five minutes is known at its close, and with it the hours that closed by then.
    known = pl.col("ts") + pl.duration(minutes=5)
    newest = known.dt.truncate("1h").dt.offset_by("-1h")
    both = seen.with_columns(hour=newest).join(vendors, left_on="hour", right_on="ts")
    valid = both.filter(pl.col("c").is_not_nan())
    assert len(valid) > 19_000
    assert (valid["c"] == valid["vendor"]).all()
