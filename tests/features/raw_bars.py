"""Vendors' files as they come: columns by name or place, thousands separators and all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from .conftest import PRICES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# File, rows before the header (-1: there is none), and its columns for PRICES, by name or by place.
RAW: dict[str, tuple[int, Sequence[str]]] = {
    "csv_ohlcv/AAPL_2012_2017.csv": (0, PRICES),
    "csv_ohlcv/GOOGL_yahoo_adjclose.csv": (0, PRICES),
    "csv_ohlcv/TSLA_quoted_reordered_columns.csv": (0, PRICES),
    "kaggle_txt/spy.us.txt": (0, PRICES),
    "kaggle_txt/msft.us.txt": (0, PRICES),
    "cryptodatadownload/Coinbase_BTCUSD_d.csv": (1, PRICES),
    "dukascopy/EURUSD_1H_ASK.csv": (0, PRICES),
    "mt5/EURUSD_M1.csv": (0, PRICES),
    "us_local_time/GS_1min.csv": (0, PRICES),
    "nse/WIPRO.csv": (-1, ("1", "2", "3", "4", "6")),
    "wide_multisymbol/bitfinex_BTC_ETH_USD_d.csv": (
        0,
        ("btc:open", "btc:high", "btc:low", "btc:close", "btc:volume"),
    ),
    "freqtrade/ARB_USDT-1h.feather": (0, PRICES),
}


def raw_bars(folder: Path, name: str) -> pl.DataFrame:
    """PRICES of a raw file in the order of its rows; what is no number is null."""
    skip, columns = RAW[name]
    if name.endswith("feather"):
        return pl.read_ipc(folder / name).select(PRICES)
    frame = pl.read_csv(folder / name, has_header=skip >= 0, skip_rows=max(skip, 0), infer_schema_length=0)
    frame.columns = [str(place) if skip < 0 else name.lower() for place, name in enumerate(frame.columns)]
    number = (pl.col(columns).str.replace_all(",", "").cast(pl.Float64, strict=False),)
    return frame.select(*number).rename(dict(zip(columns, PRICES, strict=True)))
