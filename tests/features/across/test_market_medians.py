"""The market's medians of the volatility inputs, beside a computation over tables that shares no code."""

from __future__ import annotations

import candlewire_features as cf
import numpy as np
import polars as pl
import pytest

from tests.features.conftest import SOUND, real_data

WINDOWS = {"current": 1, "short": 5, "medium": 22, "long": 66}
INPUTS = [*WINDOWS, "ewma"]
SPEC = cf.FeatureSpec(
    [
        *((name, "range_variance", {}, name) for name in WINDOWS),
        ("ewma", "ewma_variance", {"smoothing": 0.06}, "variance"),
        *((f"market_{name}", "cross_section", {"of": name}, "median") for name in INPUTS),
    ]
)


def expected(frame: pl.DataFrame) -> pl.DataFrame:
    """Each input of each symbol, and its median over the symbols at a time, in the frame's rows."""
    gap = (pl.col("open") / pl.col("close").shift(1)).log().over("symbol")
    span, body = (pl.col("high") / pl.col("low")).log(), (pl.col("close") / pl.col("open")).log()
    within = (span**2 / 2 - 0.386 * body**2).clip(lower_bound=0)
    change = (pl.col("close") / pl.col("close").shift(1)).log().over("symbol")
    table = frame.with_columns(value=gap**2 + within, squared=change**2)
    table = table.with_columns(
        **{name: pl.col("value").rolling_mean(bars).over("symbol") for name, bars in WINDOWS.items()},
        ewma=pl.col("squared").ewm_mean(alpha=0.06, adjust=True, ignore_nulls=True).over("symbol"),
    )
    floored = {name: pl.max_horizontal(name, pl.col("long") / 50) for name in ("current", "short", "medium")}
    # Without the longest window there is none of the others.
    table = table.with_columns(
        **{name: pl.when(pl.col("long").is_not_null()).then(value) for name, value in floored.items()}
    )
    return table.with_columns(**{f"market_{name}": pl.col(name).median().over("ts") for name in INPUTS})


@pytest.mark.real_data
def test_medians_of_real_funds_equal_those_of_tables() -> None:
    bars = pl.scan_parquet(real_data() / "etfs_1d.parquet").filter(pl.col("ts").dt.year() >= 2015, SOUND)
    frame = bars.unique(["symbol", "ts"], keep="first").sort("symbol", "ts").collect()
    assert frame["symbol"].n_unique() > 30
    ours = cf.compute_panel(frame, SPEC)
    truth = expected(frame)
    for column, name in enumerate([*INPUTS, *(f"market_{name}" for name in INPUTS)]):
        mine, theirs = ours[:, column], truth[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        if name.startswith("market_"):
            # A symbol shows the market's median from its own first value on.
            theirs = np.where(np.isnan(mine), np.nan, theirs)
        assert np.isfinite(mine).sum() > 10_000, name
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(theirs), err_msg=name)
        np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-14, err_msg=name)
