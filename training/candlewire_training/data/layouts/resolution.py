"""From what a layout read to canonical bars: the questions every file must answer, and who answered them."""

from dataclasses import dataclass

import polars as pl

from candlewire_training.data.bars import COLUMNS, PRICES
from candlewire_training.data.layouts.columns import listed
from candlewire_training.data.layouts.contract import CLOSE_STAMP, OPEN_STAMP, STAMPS, Choices, Hint, RawBars
from candlewire_training.data.layouts.stamps import stamp_of_sessions
from candlewire_training.data.layouts.zones import Zone, parse_zone, to_utc
from candlewire_training.data.timeframes import DAY_NS, detect_timeframe, timeframe_ns
from candlewire_training.errors import AmbiguousBarsError, BarsError, SettingsError

GIVEN = "as given"
ZONE_QUESTION = (
    "the times carry no time zone: give --time-zone, for example UTC, America/New_York, or"
    " America/New_York+7h for the server time of most MT4/MT5 brokers"
)
STAMP_QUESTION = (
    "the file does not tell whether a bar's time is its open or its close: give --stamp open or --stamp close"
)
SYMBOL_QUESTION = "neither a column nor the file name {stem!r} tells the symbol: give --symbol"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedBars:
    """Bars of one file, as they stand in it, in canonical columns.

    `frame` holds bars.COLUMNS in the order symbol, time, source row; defects are all still there. A hint
    tells each answer and why; `time_zone` and `stamp` are `session dates` for bars that carry a date only.
    """

    frame: pl.DataFrame
    source: str
    layout: Hint
    timeframe: Hint
    time_zone: Hint
    stamp: Hint
    symbol: Hint
    notes: tuple[str, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols in order of name."""
        return tuple(self.frame["symbol"].unique().sort().to_list())


def resolve(raw: RawBars, choices: Choices, *, layout: Hint, source: str, stem: str) -> LoadedBars:
    """Canonical bars.

    Raises:
        AmbiguousBarsError: The file leaves something open; every question is asked at once.
        BarsError: A time does not exist in the zone, or the file holds no bars.
        SettingsError: A choice makes no sense.
    """
    if choices.stamp is not None and choices.stamp not in STAMPS:
        raise SettingsError(f"stamp {choices.stamp!r} is unknown; use open or close")
    if raw.frame.is_empty():
        raise BarsError(f"{source} holds no bars")
    questions: list[str] = []
    frame, symbol = _with_symbol(raw, choices, stem, questions)
    notes = list(raw.notes)
    frame = frame.with_row_index("row")
    zone = Hint(value=choices.time_zone, why=GIVEN) if choices.time_zone else raw.time_zone
    zone = zone or choices.fallback_time_zone
    descending = _descending(frame)
    if descending:
        notes.append("rows run from new to old")
    timeframe = _timeframe(frame, raw, choices, questions)
    dated = _session_dates(frame, timeframe)
    if dated is not None:
        frame, zone, stamp = dated, Hint(value="session dates", why="bars carry dates"), None
        if choices.stamp is not None:
            raise SettingsError(
                f"stamp {choices.stamp!r} makes no sense for bars that carry dates only; leave it out"
            )
        stamp = Hint(value="session dates", why="bars carry dates")
    else:
        frame, zone = _with_instants(frame, zone, descending=descending, source=source, questions=questions)
        stamp = _stamp(frame, raw, choices, zone, timeframe)
        if stamp is None and zone is not None and timeframe is not None:
            # Without a zone the question may be idle: exchange hours may answer it.
            questions.append(STAMP_QUESTION)
    if questions or zone is None or timeframe is None or stamp is None or symbol is None:
        raise AmbiguousBarsError(tuple(dict.fromkeys(questions)), source=source)
    frame, value_notes = _with_values(frame, choices)
    shift = timeframe_ns(timeframe.value) if stamp.value == CLOSE_STAMP else 0
    open_time = (
        pl.col("when").dt.replace_time_zone(None).cast(pl.Datetime("ns")).cast(pl.Int64) - shift
    ).alias("open_time_ns")
    ordered = frame.with_columns(open_time).sort("symbol", "open_time_ns", "row", maintain_order=True)
    if not descending and not _in_order(frame):
        notes.append("rows were not in order of time: they are sorted")
    return LoadedBars(
        frame=ordered.select(COLUMNS),
        source=source,
        layout=layout,
        timeframe=timeframe,
        time_zone=zone,
        stamp=stamp,
        symbol=symbol,
        notes=(*notes, *value_notes),
    )


def _with_symbol(
    raw: RawBars, choices: Choices, stem: str, questions: list[str]
) -> tuple[pl.DataFrame, Hint | None]:
    if "symbol" in raw.frame.columns:
        several = raw.frame["symbol"].n_unique() > 1
        if choices.symbol is None:
            return raw.frame, Hint(value="column", why="a column names it")
        if several:
            frame = raw.frame.filter(pl.col("symbol") == choices.symbol)
            if frame.is_empty():
                raise SettingsError(f"symbol {choices.symbol!r} is not in the file, which holds several")
            return frame, Hint(value=choices.symbol, why=GIVEN)
    symbol = Hint(value=choices.symbol, why=GIVEN) if choices.symbol else raw.symbol
    if symbol is None:
        questions.append(SYMBOL_QUESTION.format(stem=listed([stem])))
        return raw.frame.with_columns(pl.lit("?").alias("symbol")), None
    return raw.frame.with_columns(pl.lit(symbol.value).alias("symbol")), symbol


def _descending(frame: pl.DataFrame) -> bool:
    """Whether the longest symbol's rows run from new to old."""
    one = _longest(frame)["when"]
    back = (
        int((one.diff().cast(pl.Int64) < 0).sum() or 0)
        if one.dtype != pl.Date
        else int((one.cast(pl.Int64).diff() < 0).sum() or 0)
    )
    return back * 2 > one.len() - 1


def _in_order(frame: pl.DataFrame) -> bool:
    steps = frame.select(pl.col("when").cast(pl.Int64).diff().over("symbol").alias("step"))[
        "step"
    ].drop_nulls()
    return bool((steps >= 0).all())


def _longest(frame: pl.DataFrame) -> pl.DataFrame:
    lengths = frame.group_by("symbol").len().sort(["len", "symbol"], descending=[True, False])
    return frame.filter(pl.col("symbol") == lengths["symbol"][0])


def _timeframe(frame: pl.DataFrame, raw: RawBars, choices: Choices, questions: list[str]) -> Hint | None:
    if choices.timeframe is not None:
        timeframe_ns(choices.timeframe)
        return Hint(value=choices.timeframe, why=GIVEN)
    times = (
        _longest(frame)["when"]
        .cast(pl.Datetime("ns"))
        .dt.replace_time_zone(None)
        .cast(pl.Int64)
        .unique()
        .sort()
    )
    try:
        told = Hint(value=detect_timeframe(times.to_numpy()), why="the commonest step between bars")
    except BarsError as error:
        if raw.timeframe is None:
            questions.append(str(error))
            return None
        told = None
    if raw.timeframe is None:
        return told
    timeframe_ns(raw.timeframe.value)
    if told is not None and timeframe_ns(told.value) < timeframe_ns(raw.timeframe.value):
        questions.append(
            f"the timeframe is {raw.timeframe.value} by {raw.timeframe.why}, yet the commonest step between"
            f" bars is {told.value}: give --timeframe"
        )
    return raw.timeframe


def _session_dates(frame: pl.DataFrame, timeframe: Hint | None) -> pl.DataFrame | None:
    """Times as dates at 00:00 UTC, for bars of a day and more that carry dates or local midnights only."""
    if frame.schema["when"] == pl.Date:
        return frame.with_columns(pl.col("when").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"))
    if timeframe is None or timeframe_ns(timeframe.value) < DAY_NS:
        return None
    local = "local" if "local" in frame.columns else "when"
    midnight = frame[local].dt.replace_time_zone(None).drop_nulls()
    if not (midnight.dt.time().cast(pl.Int64) == 0).all():
        return None
    return frame.with_columns(pl.col(local).dt.replace_time_zone("UTC").alias("when"))


def _with_instants(
    frame: pl.DataFrame, zone: Hint | None, *, descending: bool, source: str, questions: list[str]
) -> tuple[pl.DataFrame, Hint | None]:
    dtype = frame.schema["when"]
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        if zone is None or zone.why != GIVEN:
            return frame, Hint(value="UTC", why="times carry their offset from UTC, or count from the epoch")
        raise SettingsError(
            f"time zone {zone.value!r} makes no sense: the file's times carry their own; leave it out"
        )
    if zone is None:
        questions.append(ZONE_QUESTION)
        return frame, None
    clock = parse_zone(zone.value)
    parts = [
        part.with_columns(
            part["when"].alias("local"), to_utc(part["when"], clock, descending=descending, source=source)
        )
        for part in frame.partition_by("symbol", maintain_order=True)
    ]
    return pl.concat(parts), zone


def _stamp(
    frame: pl.DataFrame, raw: RawBars, choices: Choices, zone: Hint | None, timeframe: Hint | None
) -> Hint | None:
    if choices.stamp is not None:
        return Hint(value=choices.stamp, why=GIVEN)
    if raw.stamp is not None:
        return raw.stamp
    if zone is None or timeframe is None:
        return None
    clock = parse_zone(zone.value)
    if "local" not in frame.columns or clock != Zone(name=clock.name):
        return None
    return stamp_of_sessions(_longest(frame)["local"], zone=clock.name, bar_ns=timeframe_ns(timeframe.value))


def _with_values(frame: pl.DataFrame, choices: Choices) -> tuple[pl.DataFrame, list[str]]:
    notes: list[str] = []
    if "volume" not in frame.columns:
        tick = "tick_volume" in frame.columns
        volume = pl.col("tick_volume") if tick else pl.lit(0.0)
        frame = frame.with_columns(volume.cast(pl.Float64).alias("volume"))
        notes.append("volume is the tick count" if tick else "the file has no volume: it is 0")
    if choices.adjusted and "adjusted_close" not in frame.columns:
        raise SettingsError("adjusted makes no sense: the file has no adjusted close; leave --adjusted out")
    if "adjusted_close" in frame.columns:
        differs = frame.filter(
            (pl.col("adjusted_close") - pl.col("close")).abs() > 1e-9 * pl.col("close").abs()
        ).height
        if choices.adjusted:
            factor = pl.col("adjusted_close") / pl.col("close")
            frame = frame.with_columns(*[(pl.col(name) * factor).alias(name) for name in PRICES[:3]])
            frame = frame.with_columns(pl.col("adjusted_close").alias("close"))
            notes.append(
                f"prices are scaled to the adjusted close, which differs in {differs} bars; volume is not"
            )
        else:
            notes.append(
                f"the adjusted close is left out, it differs in {differs} bars (use it with --adjusted)"
            )
    return frame, notes


__all__ = ["GIVEN", "OPEN_STAMP", "LoadedBars", "resolve"]
