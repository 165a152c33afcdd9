"""Delimited text: one reader for every layout that has a row a bar, told apart by a short description."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from candlewire_training.data.layouts.columns import PRICES, listed, parts_of
from candlewire_training.data.layouts.contract import Choices, Hint, Opening, RawBars
from candlewire_training.data.layouts.numbers import parse_numbers
from candlewire_training.data.layouts.opening import decode
from candlewire_training.data.layouts.symbols import (
    is_pair,
    symbol_of_name,
    symbol_of_pair,
    timeframe_of_name,
    timeframe_of_word,
)
from candlewire_training.data.layouts.times import parse_times
from candlewire_training.errors import BarsError


@dataclass(frozen=True, slots=True, kw_only=True)
class DelimitedLayout:
    """Text with a row a bar.

    Attributes:
        name: What --layout calls it.
        test: Why an opening is of this layout, or None.
        time_zone: Of naive times, where the format fixes it.
        stamp: What the bars' times name, where the format fixes it.
        title_lines: Lines above the header.
        headings: Names of the columns, where the file has none.
        rename: Column name (lower case) -> the part it plays, where the name alone misleads.
        daily: Every file of this layout is daily.
        prepare: Last change to the columns before they are read, with a note.
    """

    name: str
    test: Callable[[Opening], str | None]
    time_zone: Hint | None = None
    stamp: Hint | None = None
    title_lines: int = 0
    headings: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    daily: bool = False
    prepare: Callable[[pl.DataFrame], tuple[pl.DataFrame, tuple[str, ...]]] | None = None

    def recognise(self, opening: Opening) -> str | None:
        """Why the file is of this layout; None when it is not."""
        return self.test(opening) if opening.lines else None

    def read(self, opening: Opening, choices: Choices) -> RawBars:
        """The file's bars.

        Raises:
            BarsError: A row cannot be read.
            AmbiguousBarsError: Two columns could play one part, or dates two.
        """
        text = self._cells(opening)
        notes: tuple[str, ...] = ()
        if self.prepare is not None:
            text, notes = self.prepare(text)
        names = dict(self.rename)
        text = text.rename({name: names[name.lower()] for name in text.columns if name.lower() in names})
        first_line = 1 + (0 if self.headings else 1 + self.title_lines)
        raw = bars_of_text(text, choices, source=f"bars {opening.path.name}", first_line=first_line)
        stem = opening.path.stem
        daily = Hint(value="1d", why="every file of this layout is daily") if self.daily else None
        return RawBars(
            frame=raw.frame,
            symbol=symbol_of_name(stem),
            timeframe=daily or raw.timeframe or timeframe_of_name(stem),
            time_zone=self.time_zone,
            stamp=self.stamp,
            notes=(*notes, *raw.notes),
        )

    def _cells(self, opening: Opening) -> pl.DataFrame:
        data = opening.path.read_bytes()
        if not data.isascii():
            data = decode(data).encode()
        try:
            return pl.read_csv(
                io.BytesIO(data),
                has_header=not self.headings,
                new_columns=list(self.headings) or None,
                separator=opening.separator,
                skip_lines=self.title_lines,
                infer_schema=False,
            )
        except pl.exceptions.PolarsError as error:
            reason = str(error).strip().splitlines()[0]
            raise BarsError(f"bars {opening.path}: no readable table ({reason})") from error


def bars_of_text(text: pl.DataFrame, choices: Choices, *, source: str, first_line: int) -> RawBars:
    """Bars from columns of text.

    Args:
        text: Columns of strings; extra ones are left out.
        choices: The caller's word.
        source: What to call the bars in messages.
        first_line: Number of the line that holds the first row.
    """
    parts = parts_of(text.columns, source=source)
    columns: list[pl.Series] = []
    unreadable: dict[str, pl.Series] = {}
    for part in (*PRICES, "volume", "adjusted_close", "tick_volume"):
        if part in parts:
            numbers, bad = parse_numbers(text[parts[part]], whole="volume" in part)
            columns.append(numbers.alias(part))
            unreadable[parts[part]] = bad
    moments = text[parts["epoch"]] if "epoch" in parts else _moments(text, parts)
    times = parse_times(moments, date_format=choices.date_format)
    unreadable[parts.get("epoch") or parts["date"]] = times.when.is_null()
    frame = pl.DataFrame([times.when.alias("when"), *columns])
    if times.local is not None:
        frame = frame.with_columns(times.local.alias("local"))
    notes = [times.note] if times.note else []
    if "symbol" in parts:
        frame, note = _with_symbols(frame, text[parts["symbol"]])
        unreadable[parts["symbol"]] = frame["symbol"].is_null()
        notes += note
    kept, dropped = _without_unreadable(text, unreadable, choices, source=source, first_line=first_line)
    timeframe = _timeframe_column(text[parts["timeframe"]]) if "timeframe" in parts else None
    return RawBars(frame=frame.filter(kept), timeframe=timeframe, notes=(*notes, *dropped))


def _moments(text: pl.DataFrame, parts: dict[str, str]) -> pl.Series:
    date = text[parts["date"]]
    if "time" not in parts:
        return date
    clock = text[parts["time"]].str.strip_chars()
    # 90000 is 09:00:00 without its leading zero.
    clock = clock.str.pad_start(6, "0").zip_with(clock.str.contains(r"^\d{5}$").fill_null(value=False), clock)
    return (date.str.strip_chars() + " " + clock).alias("when")


def _with_symbols(frame: pl.DataFrame, symbols: pl.Series) -> tuple[pl.DataFrame, list[str]]:
    symbols = symbols.str.strip_chars().replace("", None)
    distinct = symbols.drop_nulls().unique().sort().to_list()
    pairs = {name: symbol_of_pair(name) for name in distinct if is_pair(name)}
    countries = {name: name[:-3] for name in distinct if name.upper().endswith(".US")}
    renamed = {**pairs, **countries}
    notes = [f"symbol {old} is called {new}" for old, new in list(renamed.items())[:3]]
    return frame.with_columns(symbols.replace(renamed).alias("symbol")), notes


def _timeframe_column(values: pl.Series) -> Hint | None:
    """Stooq's and MetaStock's <PER>: D, or minutes."""
    found = values.drop_nulls().unique().to_list()
    if len(found) != 1:
        return None
    text = str(found[0]).strip()
    minutes = {"1": "1m", "5": "5m", "15": "15m", "60": "1h", "240": "4h"}
    timeframe = minutes.get(text) or timeframe_of_word(text)
    return Hint(value=timeframe, why=f"the file's period is {text}") if timeframe else None


def _without_unreadable(
    text: pl.DataFrame, unreadable: dict[str, pl.Series], choices: Choices, *, source: str, first_line: int
) -> tuple[pl.Series, tuple[str, ...]]:
    bad = pl.DataFrame([mask.alias(str(index)) for index, mask in enumerate(unreadable.values())])
    any_bad = bad.select(pl.any_horizontal(pl.all()).alias("bad"))["bad"]
    count = int(any_bad.sum())
    if count == 0:
        return ~any_bad, ()
    row = int(any_bad.arg_max() or 0)
    column = next(name for name, mask in unreadable.items() if mask[row])
    value = text[column][row]
    what = f"line {first_line + row}: {listed([column])} {value!r} cannot be read"
    if count == text.height:
        raise BarsError(f"{source}: no row can be read; {what}")
    if choices.unreadable == "fail":
        raise BarsError(
            f"{source}: {what}, unlike the file's other rows ({count} of {text.height} rows are so); "
            "repair the file, or leave such rows out with --unreadable drop"
        )
    return ~any_bad, (f"left out {count} of {text.height} rows that cannot be read, the first: {what}",)


__all__ = ["DelimitedLayout", "bars_of_text"]
