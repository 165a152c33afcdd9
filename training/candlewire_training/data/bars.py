"""Bars in one canonical table: checked, sorted, fingerprinted. Nothing is repaired silently."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time

import numpy as np
import polars as pl

from candlewire_training.arrays import F64, I64
from candlewire_training.data.timeframes import detect_timeframe, timeframe_ns
from candlewire_training.errors import BarsError, SettingsError, TooFewBarsError

PRICES = ("open", "high", "low", "close")
COLUMNS = ("symbol", "open_time_ns", *PRICES, "volume")
BAD_BAR_POLICIES = ("fail", "drop")


@dataclass(frozen=True, slots=True, kw_only=True)
class BarTable:
    """Bars of many symbols at one timeframe.

    `frame` holds COLUMNS, sorted by symbol and time; `notes` says what was done to the bars on the way in.
    """

    frame: pl.DataFrame
    timeframe: str
    source: str
    notes: tuple[str, ...] = ()

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols in order of name."""
        return tuple(self.frame["symbol"].unique().sort().to_list())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the values, whatever file or order they came in."""
        digest = hashlib.sha256(self.timeframe.encode())
        for (symbol,), part in self.frame.group_by("symbol", maintain_order=True):
            digest.update(f"\n{symbol}\n".encode())
            for name in COLUMNS[1:]:
                digest.update(np.ascontiguousarray(part[name].to_numpy()).tobytes())
        return digest.hexdigest()

    def until(self, end: datetime | None) -> "BarTable":
        """Only the bars that opened before `end`; all of them without an end."""
        return self.between(None, end)

    def between(self, start: datetime | None, end: datetime | None) -> "BarTable":
        """Only the bars with start <= open time < end.

        Raises:
            TooFewBarsError: No bar is left.
        """
        frame = self.frame
        if start is not None:
            frame = frame.filter(pl.col("open_time_ns") >= to_ns(start))
        if end is not None:
            frame = frame.filter(pl.col("open_time_ns") < to_ns(end))
        if frame.is_empty():
            first, last = self.frame["open_time_ns"].min(), self.frame["open_time_ns"].max()
            raise TooFewBarsError(
                f"no bar lies between {start or 'the beginning'} and {end or 'the end'}; "
                f"the bars span {date_text(first)} to {date_text(last)}"
            )
        return replace(self, frame=frame)

    def of_symbol(self, symbol: str) -> dict[str, F64 | I64]:
        """Columns of one symbol as arrays of shape (bars,), oldest first."""
        part = self.frame.filter(pl.col("symbol") == symbol)
        return {name: np.ascontiguousarray(part[name].to_numpy()) for name in COLUMNS[1:]}


def parse_date(text: str, *, option: str) -> datetime:
    """An ISO date or time as UTC.

    Raises:
        SettingsError: The text is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"{option} {text!r} is no date; write it as 2012-01-31") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def to_ns(moment: datetime | date) -> int:
    """Nanoseconds since the Unix epoch, UTC."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time(), tzinfo=UTC)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    delta = moment - epoch
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000


def date_text(open_time_ns: object) -> str:
    """A bar time for people: the date, with the time of day when there is one."""
    moment = datetime.fromtimestamp(int(str(open_time_ns)) / 1e9, tz=UTC)
    return moment.strftime("%Y-%m-%d" if moment.time() == time() else "%Y-%m-%d %H:%M")


def canonical_bars(
    frame: pl.DataFrame, *, source: str, timeframe: str | None = None, bad_bars: str = "fail"
) -> BarTable:
    """A checked table from columns as people have them.

    Args:
        frame: `symbol` (optional when there is one), `timeframe` (optional), a time column named
            `open_time_ns` (integer), `ts`, `open_time`, `timestamp`, `date` or `time`, and `open`, `high`,
            `low`, `close`, `volume`.
        source: What to call the bars in messages.
        timeframe: Overrides what the bars say; None detects it.
        bad_bars: `fail` refuses the bars at the first defect, `drop` leaves such rows out and counts them.

    Raises:
        BarsError: A column is missing or a bar is bad.
        SettingsError: The timeframe or the policy is unknown.
    """
    if bad_bars not in BAD_BAR_POLICIES:
        raise SettingsError(f"bad-bars {bad_bars!r} is unknown; use one of {', '.join(BAD_BAR_POLICIES)}")
    if frame.is_empty():
        raise BarsError(f"{source} holds no bars")
    frame, chosen = _with_timeframe(frame, source, timeframe)
    table = _with_canonical_columns(frame, source).sort("symbol", "open_time_ns", maintain_order=True)
    table, notes = _without_defects(table, source, bad_bars)
    if chosen is None:
        # A short series may have a gap at every step: the longest one tells best.
        longest = table.group_by("symbol").len().sort("len", "symbol", descending=[True, False])["symbol"][0]
        chosen = detect_timeframe(table.filter(pl.col("symbol") == longest)["open_time_ns"].to_numpy())
    timeframe_ns(chosen)
    return BarTable(frame=table, timeframe=chosen, source=source, notes=notes)


def _with_timeframe(
    frame: pl.DataFrame, source: str, timeframe: str | None
) -> tuple[pl.DataFrame, str | None]:
    if "timeframe" not in frame.columns:
        return frame, timeframe
    present = sorted(frame["timeframe"].cast(pl.String).unique().drop_nulls().to_list())
    if timeframe is not None:
        kept = frame.filter(pl.col("timeframe") == timeframe)
        if kept.is_empty():
            raise BarsError(f"{source} holds no bars of timeframe {timeframe}; it holds {', '.join(present)}")
        return kept, timeframe
    if len(present) > 1:
        raise BarsError(
            f"{source} holds several timeframes ({', '.join(present)}); choose one with --timeframe"
        )
    return frame, present[0] if present else None


def _with_canonical_columns(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    lower = {name: name.lower() for name in frame.columns if name.lower() not in frame.columns}
    frame = frame.rename(lower)
    missing = [name for name in (*PRICES, "volume") if name not in frame.columns]
    if missing:
        raise BarsError(
            f"{source}: column {', '.join(missing)} is missing; it holds {', '.join(frame.columns)}"
        )
    if "symbol" not in frame.columns:
        raise BarsError(f"{source}: column symbol is missing; add it, even for a single symbol")
    numbers = [pl.col(name).cast(pl.Float64, strict=True) for name in (*PRICES, "volume")]
    try:
        return frame.select(
            pl.col("symbol").cast(pl.String), _open_time(frame, source).alias("open_time_ns"), *numbers
        )
    except pl.exceptions.PolarsError as error:
        raise BarsError(f"{source}: a column cannot be read as numbers: {_first_line(error)}") from error


def _open_time(frame: pl.DataFrame, source: str) -> pl.Expr:
    if "open_time_ns" in frame.columns:
        return pl.col("open_time_ns").cast(pl.Int64, strict=True)
    for name in ("ts", "open_time", "timestamp", "datetime", "date", "time"):
        if name not in frame.columns:
            continue
        dtype = frame.schema[name]
        if isinstance(dtype, pl.Datetime):
            column = pl.col(name)
            aware = column.dt.convert_time_zone("UTC") if dtype.time_zone else column
            return aware.dt.replace_time_zone(None).dt.cast_time_unit("ns").cast(pl.Int64)
        if dtype == pl.Date:
            return pl.col(name).cast(pl.Datetime("ns")).cast(pl.Int64)
        raise BarsError(f"{source}: column {name} is {dtype}; make it a timestamp, or give open_time_ns")
    raise BarsError(f"{source}: column ts (or open_time_ns) is missing; it holds {', '.join(frame.columns)}")


def _without_defects(table: pl.DataFrame, source: str, bad_bars: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    prices = [pl.col(name) for name in PRICES]
    body_high, body_low = pl.max_horizontal("open", "close"), pl.min_horizontal("open", "close")
    unreadable = pl.any_horizontal(
        pl.col("symbol").is_null(), pl.col("open_time_ns").is_null(), pl.col("open_time_ns") <= 0
    )
    checks: tuple[tuple[str, pl.Expr], ...] = (
        ("has no symbol or no time", unreadable),
        (
            "has a price that is not finite",
            pl.any_horizontal(*[~p.is_finite().fill_null(value=False) for p in prices]),
        ),
        ("has a price of zero or below", pl.any_horizontal(*[p <= 0 for p in prices])),
        ("has high below low", pl.col("high") < pl.col("low")),
        ("has open or close outside low..high", (body_high > pl.col("high")) | (body_low < pl.col("low"))),
        (
            "has a volume that is negative or not finite",
            ~pl.col("volume").is_finite().fill_null(value=False) | (pl.col("volume") < 0),
        ),
    )
    notes: list[str] = []
    for meaning, defect in checks:
        bad = table.filter(defect)
        if bad.is_empty():
            continue
        if bad_bars == "fail":
            raise BarsError(_defect_text(bad, source, meaning))
        notes.append(f"dropped {bad.height} rows: a bar {meaning}")
        table = table.filter(~defect)
    table, duplicates = _without_duplicates(table, source, bad_bars)
    if table.is_empty():
        raise BarsError(f"{source}: every bar is bad; {'; '.join(notes)}")
    return table, (*notes, *duplicates)


def _without_duplicates(
    table: pl.DataFrame, source: str, bad_bars: str
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    repeated = pl.struct("symbol", "open_time_ns").is_duplicated()
    bad = table.filter(repeated)
    if bad.is_empty():
        return table, ()
    if bad_bars == "fail":
        raise BarsError(_defect_text(bad, source, "appears more than once"))
    exact = table.unique(maintain_order=True)
    kept = exact.filter(~repeated)
    return kept, (f"dropped {table.height - kept.height} rows: a bar appears more than once",)


def _defect_text(bad: pl.DataFrame, source: str, meaning: str) -> str:
    row = bad.row(0, named=True)
    when = date_text(row["open_time_ns"]) if row["open_time_ns"] else "?"
    prices = " ".join(f"{name} {row[name]}" for name in (*PRICES, "volume"))
    return (
        f"{source}: the bar {row['symbol']} {when} {meaning} ({prices}), one of {bad.height} such rows; "
        "repair them, or leave them out with --bad-bars drop"
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


__all__ = [
    "BAD_BAR_POLICIES",
    "COLUMNS",
    "PRICES",
    "BarTable",
    "canonical_bars",
    "date_text",
    "parse_date",
    "to_ns",
]
