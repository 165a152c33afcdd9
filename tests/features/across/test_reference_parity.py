"""Correlation and beta against a reference symbol equal TA-Lib's, over real bars."""

from __future__ import annotations

import candlewire_features as cf
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import talib

from tests.features.conftest import SOUND, real_data

Floats = npt.NDArray[np.float64]


def prices_of(log_returns: Floats) -> Floats:
    """Prices whose simple returns are these numbers: TA-Lib's BETA takes prices and simple returns."""
    return np.concatenate([[1.0], np.cumprod(1.0 + log_returns)])


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "reference", "symbols"),
    [
        ("etfs_1d.parquet", "SPY", ("QQQ", "SSO", "SH", "TLT", "FAZ", "GLD")),
        ("crypto_1h.parquet", "BTCUSDT", ("ETHUSDT", "DOGEUSDT", "TRXUSDT")),
        ("fx_1h.parquet", "EURUSD", ("NZDUSD",)),
    ],
)
@pytest.mark.parametrize("period", [5, 60])
def test_correlation_and_beta_equal_talib(
    file: str, reference: str, symbols: tuple[str, ...], period: int
) -> None:
    outputs = ("correlation", "beta")
    parameters = {"reference": reference, "timeperiod": period}
    spec = cf.FeatureSpec([(name, "reference", parameters, name) for name in outputs])
    frame = pl.scan_parquet(real_data() / file).filter(SOUND).sort("symbol", "ts").collect()
    compared = 0
    for symbol in symbols:
        pair = frame.filter(pl.col("symbol").is_in([symbol, reference])).unique(
            ["symbol", "ts"], keep="first"
        )
        # The bars that both have, as the kernel pairs them.
        common = pair.filter(pl.len().over("ts") == 2).sort("ts", "symbol").tail(20_000)
        features = pl.DataFrame(cf.compute_panel(common, spec), schema=list(outputs))
        ours = pl.concat([common, features], how="horizontal").filter(pl.col("symbol") == symbol)
        closes = [common.filter(pl.col("symbol") == name)["close"].to_numpy() for name in (reference, symbol)]
        theirs, own = (np.diff(np.log(close)) for close in closes)
        # Neither depends on the unit; TA-Lib takes sums of squares below 1e-14 for zero.
        correlation = talib.CORREL(1e3 * own, 1e3 * theirs, period)
        beta = talib.BETA(prices_of(theirs), prices_of(own), period)
        for name, expected in (("correlation", np.concatenate([[np.nan], correlation])), ("beta", beta)):
            mine = ours[name].to_numpy()
            assert np.array_equal(np.isnan(mine), np.isnan(expected)), f"{symbol} {name}: first valid bar"
            moves = np.isfinite(expected) & (expected != 0.0)
            # Running sums, in TA-Lib, keep the rounding of what left the window.
            error = np.abs(mine - expected)[moves] / np.maximum(np.abs(expected[moves]), 1.0)
            assert np.quantile(error, 0.99) < 1e-9, f"{symbol} {name}"
            assert error.max() < 1e-6, f"{symbol} {name}"
            compared += int(moves.sum())
    assert compared > 4000
