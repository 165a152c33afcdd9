"""The bars that the package ships: five US stocks, daily, adjusted for splits from an explicit table."""

from dataclasses import replace
from importlib import resources

import polars as pl

from candlewire_training.data.bars import BarTable, canonical_bars
from candlewire_training.data.split_events import SAMPLE_SPLITS, adjust_for_splits

FILE = "us_stocks_unadjusted_1d.parquet"


def sample_bars(*, adjusted: bool = True) -> BarTable:
    """The shipped bars; as traded when `adjusted` is false."""
    with resources.as_file(resources.files("candlewire_training.data") / "sample_bars" / FILE) as path:
        raw = canonical_bars(pl.read_parquet(path), source="sample bars")
    if not adjusted:
        return replace(raw, notes=("as traded: splits are not adjusted",))
    events = ", ".join(str(event) for event in SAMPLE_SPLITS)
    return replace(
        raw,
        frame=adjust_for_splits(raw.frame, SAMPLE_SPLITS),
        notes=(f"adjusted for splits: {events}; dividends are not adjusted",),
    )


__all__ = ["FILE", "sample_bars"]
