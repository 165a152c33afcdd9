"""Share splits of the sample bars: an explicit table, applied openly.

Nothing is guessed from prices. AAPL's fall of 52 % on 2000-09-29 is a profit warning, not a split, and stays.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import polars as pl


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitEvent:
    """One share split: from `ex_date` on, one old share is `ratio` new ones."""

    symbol: str
    ex_date: date
    ratio: float

    def __str__(self) -> str:
        return f"{self.symbol} {self.ex_date.isoformat()} {self.ratio:g}:1"


SAMPLE_SPLITS: tuple[SplitEvent, ...] = (
    SplitEvent(symbol="AAPL", ex_date=date(2000, 6, 21), ratio=2.0),
    SplitEvent(symbol="AAPL", ex_date=date(2005, 2, 28), ratio=2.0),
    SplitEvent(symbol="MSFT", ex_date=date(2003, 2, 18), ratio=2.0),
)


def adjust_for_splits(bars: pl.DataFrame, events: tuple[SplitEvent, ...]) -> pl.DataFrame:
    """Bars before each split restated in new shares: prices divided, volume multiplied by the ratio.

    Args:
        bars: Columns `symbol`, `open_time_ns`, `open`, `high`, `low`, `close`, `volume`.
        events: The splits; those of absent symbols do nothing.
    """
    factor = pl.lit(1.0)
    for event in events:
        ex_time = datetime.combine(event.ex_date, time(), tzinfo=UTC)
        ex_ns = int(ex_time.timestamp()) * 1_000_000_000
        before = (pl.col("symbol") == event.symbol) & (pl.col("open_time_ns") < ex_ns)
        factor = factor * pl.when(before).then(event.ratio).otherwise(1.0)
    prices = [(pl.col(name) / factor).alias(name) for name in ("open", "high", "low", "close")]
    return bars.with_columns(*prices, (pl.col("volume") * factor).alias("volume"))


__all__ = ["SAMPLE_SPLITS", "SplitEvent", "adjust_for_splits"]
