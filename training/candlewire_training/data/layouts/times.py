"""Times as text: dates with or without a time of day, offsets, and counts since the Unix epoch."""

from dataclasses import dataclass

import polars as pl

from candlewire_training.errors import AmbiguousBarsError

# Year first, or all digits, or a month in letters; then numbers whose order must be told.
DATE_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"\d{4}-\d{1,2}-\d{1,2}", "%Y-%m-%d"),
    (r"\d{4}/\d{1,2}/\d{1,2}", "%Y/%m/%d"),
    (r"\d{4}\.\d{1,2}\.\d{1,2}", "%Y.%m.%d"),
    (r"\d{8}", "%Y%m%d"),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", "%d.%m.%Y"),
    (r"\d{1,2}-[A-Za-z]{3}-\d{4}", "%d-%b-%Y"),
    (r"[A-Za-z]{3} \d{1,2}, \d{4}", "%b %d, %Y"),
)
UNORDERED_PATTERNS: tuple[tuple[str, str, str], ...] = (
    (r"\d{1,2}/\d{1,2}/\d{4}", "%d/%m/%Y", "%m/%d/%Y"),
    (r"\d{1,2}-\d{1,2}-\d{4}", "%d-%m-%Y", "%m-%d-%Y"),
)
TIME_OF_DAY = (
    r"(?:["
    r" T,]+(?P<hour>\d{1,2})(?::?(?P<minute>\d{2}))?(?::?(?P<second>\d{2}))?(?:[.,](?P<fraction>\d{1,9}))?"
    r"(?:[- ]?(?P<half>[AaPp][Mm]))?[ ]*(?P<zone>Z|UTC|(?:GMT|UTC)?[+-]\d{2}:?\d{2}|GMT)?)?"
)
# Digits of a count since the epoch, to nanoseconds. Ten digits of seconds begin in 2001.
EPOCH_UNITS: dict[int, tuple[str, int]] = {
    10: ("seconds", 10**9),
    13: ("milliseconds", 10**6),
    16: ("microseconds", 10**3),
    19: ("nanoseconds", 1),
}
DAY_FIRST, MONTH_FIRST = "day-first", "month-first"
UNIT_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "d": 86_400 * 10**9}
# What 64 bits of nanoseconds hold, with a margin for zones and shifts: the years 1691 to 2248.
LATEST_NS = 8_800_000_000_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedTimes:
    """A column of times.

    Attributes:
        when: Date when no row has a time of day; Datetime in UTC when rows have offsets; else naive Datetime.
            Null where the text is no time.
        local: The times as written, where `when` is in UTC because of an offset.
        note: How the text was read, where that is worth saying.
    """

    when: pl.Series
    local: pl.Series | None = None
    note: str | None = None


def parse_times(text: pl.Series, *, date_format: str | None = None) -> ParsedTimes:
    """Times from text.

    Raises:
        AmbiguousBarsError: Day and month cannot be told apart.
    """
    text = text.str.strip_chars().replace("", None)
    epoch = _epoch(text)
    if epoch is not None:
        return epoch
    pattern, layout, note = _date_layout(text, date_format)
    parts = text.str.extract_groups(rf"^(?P<date>{pattern}){TIME_OF_DAY}$").struct.unnest()
    dates = within_clock(parts["date"].str.to_date(layout, strict=False))
    if parts["hour"].is_null().all():
        return ParsedTimes(when=dates.alias("when"), note=note)
    frame = parts.with_columns(dates.alias("day")).select(
        local=pl.col("day").cast(pl.Datetime("ns")) + _time_of_day(), offset=_offset()
    )
    local = frame["local"]
    if frame["offset"].null_count() < frame.height:
        # A row without an offset among rows with one becomes null: it names no instant.
        utc = frame.select((pl.col("local") - pl.col("offset")).dt.replace_time_zone("UTC").alias("when"))[
            "when"
        ]
        return ParsedTimes(when=utc, local=local, note=note)
    return ParsedTimes(when=local.alias("when"), note=note)


def within_clock(times: pl.Series) -> pl.Series:
    """Dates or times, null where nanoseconds since the epoch cannot hold them."""
    counts = times.to_physical().cast(pl.Int64)
    unit_ns = UNIT_NS[times.dtype.time_unit] if isinstance(times.dtype, pl.Datetime) else UNIT_NS["d"]
    limit = LATEST_NS // unit_ns
    # Compared as counts: the library cannot turn every count into a calendar date.
    return times.set(~counts.is_between(-limit, limit).fill_null(value=True), None)


def _epoch(text: pl.Series) -> ParsedTimes | None:
    """Counts since the epoch; the commonest length decides, as a column may change its unit in the middle."""
    digits = text.str.strip_suffix(".0")
    lengths = digits.filter(digits.str.contains(r"^\d+$").fill_null(value=False)).str.len_chars()
    if lengths.is_empty() or lengths.len() * 2 <= text.len() - text.null_count():
        return None
    found = [(size, EPOCH_UNITS[size]) for size in lengths.unique().sort().to_list() if size in EPOCH_UNITS]
    if not found:
        return None
    number = digits.cast(pl.Int64, strict=False)
    length = digits.str.len_chars()
    result = pl.Series("when", [None] * text.len(), dtype=pl.Int64)
    for size, (_, scale) in found:
        # A number beyond what 64 bits hold in nanoseconds names no time.
        result = (number * scale).zip_with((length == size) & (number <= LATEST_NS // scale), result)
    units = " and ".join(unit for _, (unit, _) in found)
    when = result.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").alias("when")
    return ParsedTimes(when=when, note=f"times are {units} since the Unix epoch")


def _date_layout(text: pl.Series, date_format: str | None) -> tuple[str, str, str | None]:
    """The pattern that most rows match: (regular expression, strptime format, note)."""

    def rows(pattern: str) -> int:
        return int(text.str.contains(rf"^(?:{pattern}){TIME_OF_DAY}$").sum() or 0)

    counts = {pattern: rows(pattern) for pattern, *_ in (*DATE_PATTERNS, *UNORDERED_PATTERNS)}
    best = max(counts, key=lambda pattern: counts[pattern])
    for pattern, layout in DATE_PATTERNS:
        if pattern == best:
            return pattern, layout, None
    day_first, month_first = next(tuple(rest) for pattern, *rest in UNORDERED_PATTERNS if pattern == best)
    if date_format is not None:
        return (
            best,
            day_first if date_format == DAY_FIRST else month_first,
            f"dates are {date_format}, as given",
        )
    dates = text.str.extract(rf"^({best})").drop_nulls()
    fits = [
        layout
        for layout in (day_first, month_first)
        if dates.str.to_date(layout, strict=False).null_count() == 0
    ]
    if len(fits) != 1:
        example = dates[0]
        raise AmbiguousBarsError(
            (
                (
                    f"dates such as {example} may be day first or month first: give --date-format day-first"
                    " or month-first"
                ),
            )
        )
    order = DAY_FIRST if fits[0] == day_first else MONTH_FIRST
    return best, fits[0], f"dates are {order}: no other reading fits every row"


def _time_of_day() -> pl.Expr:
    hour = pl.col("hour").cast(pl.Int64, strict=False).fill_null(0)
    half = pl.col("half").str.to_lowercase()
    hour = pl.when(half == "pm").then(hour % 12 + 12).when(half == "am").then(hour % 12).otherwise(hour)
    fraction = pl.col("fraction").str.pad_end(9, "0").cast(pl.Int64, strict=False).fill_null(0)
    minute = pl.col("minute").cast(pl.Int64, strict=False).fill_null(0)
    second = pl.col("second").cast(pl.Int64, strict=False).fill_null(0)
    valid = (hour < 24) & (minute < 60) & (second < 60)
    length = ((hour * 60 + minute) * 60 + second) * 1_000_000_000 + fraction
    return pl.when(valid).then(length).otherwise(None).cast(pl.Duration("ns"))


def _offset() -> pl.Expr:
    zone = pl.col("zone")
    groups = zone.str.extract_groups(r"(?<sign>[+-])(?<hours>\d{2}):?(?<minutes>\d{2})$")
    hours = groups.struct.field("hours").cast(pl.Int64, strict=False)
    minutes = groups.struct.field("minutes").cast(pl.Int64, strict=False)
    sign = pl.when(groups.struct.field("sign") == "-").then(-1).otherwise(1)
    return (
        pl.when(zone.is_in(["Z", "UTC", "GMT"]))
        .then(0)
        .otherwise(sign * (hours * 60 + minutes) * 60_000_000_000)
        .cast(pl.Duration("ns"))
    )


__all__ = ["DAY_FIRST", "MONTH_FIRST", "ParsedTimes", "parse_times", "within_clock"]
