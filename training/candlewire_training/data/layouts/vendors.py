"""The delimited layouts of vendors and programs, each in a few lines."""

import re

import polars as pl

from candlewire_training.data.layouts.columns import listed, looks_like_header, normalised
from candlewire_training.data.layouts.contract import Hint, Opening
from candlewire_training.data.layouts.delimited import DelimitedLayout
from candlewire_training.data.layouts.opening import split_cells
from candlewire_training.errors import AmbiguousBarsError

_OHLCV = {"date", "open", "high", "low", "close", "volume"}


def _columns_are(*names: str) -> "_HeaderTest":
    return _HeaderTest(frozenset(names))


class _HeaderTest:
    """A layout that its set of column names identifies."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def __call__(self, opening: Opening) -> str | None:
        special = sorted(self.names - _OHLCV)
        return f"header has {', '.join(special)}" if set(opening.header) == self.names else None


def _first_row(opening: Opening) -> tuple[str, ...]:
    return split_cells(opening.lines[1], opening.separator) if len(opening.lines) > 1 else ()


def _stooq(opening: Opening) -> str | None:
    return "header starts with <TICKER>,<PER>" if opening.header[:2] == ("<ticker>", "<per>") else None


def _metatrader(opening: Opening) -> str | None:
    header = opening.header
    return "header has <DATE> and <TICKVOL>" if "<date>" in header and "<tickvol>" in header else None


def _metatrader_4(opening: Opening) -> str | None:
    cells = opening.cells
    dated = (
        len(cells) == 7
        and re.fullmatch(r"\d{4}\.\d{2}\.\d{2}", cells[0])
        and re.fullmatch(r"\d{2}:\d{2}", cells[1])
    )
    return "no header; date as 2020.01.31, then the time" if dated else None


def _dukascopy(opening: Opening) -> str | None:
    row = _first_row(opening)
    named = looks_like_header(opening.cells) and normalised(opening.cells[0]).endswith(("time", "time_(eet)"))
    dotted = bool(row) and re.match(r"\d{2}\.\d{2}\.\d{4} \d{2}:\d{2}:\d{2}\.\d{3}", row[0])
    return "times such as 31.01.2017 22:00:00.000" if named and dotted else None


def _cryptodatadownload(opening: Opening) -> str | None:
    titled = "cryptodatadownload" in opening.lines[0].lower() and len(opening.lines) > 1
    return "a title line names CryptoDataDownload" if titled else None


def _nse(opening: Opening) -> str | None:
    cells = opening.cells
    dated = len(cells) == 8 and re.fullmatch(r"[0-3]\d[01]\d{3}", cells[0]) is not None
    return "no header; eight cells, the date as ddmmyy" if dated and opening.separator == "," else None


def _binance(opening: Opening) -> str | None:
    cells = opening.cells
    klines = (
        len(cells) == 12
        and re.fullmatch(r"\d{13}|\d{16}", cells[0])
        and re.fullmatch(r"\d{13}|\d{16}", cells[6])
    )
    return "no header; twelve cells with open and close times since the epoch" if klines else None


def _generic(opening: Opening) -> str | None:
    return "a header names the columns" if looks_like_header(opening.cells) else None


def _coin_volume(text: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Of several volumes, that in units of the coin; the others are in money or are counts of trades."""
    volumes = [name for name in text.columns if normalised(name).startswith("volume")]
    if len(volumes) < 2:
        return text, ()
    symbols = text[next(name for name in text.columns if normalised(name) == "symbol")].drop_nulls()
    symbol = str(symbols[0]).upper() if symbols.len() else ""
    coin = [name for name in volumes if symbol.startswith(normalised(name).removeprefix("volume_").upper())]
    coin += [name for name in volumes if normalised(name) in {"volume_from", "volume_crypto"}]
    if len(coin) != 1:
        raise AmbiguousBarsError((f"columns {listed(volumes)} could both be the volume: remove one",))
    text = text.drop([name for name in volumes if name != coin[0]]).rename({coin[0]: "volume"})
    return text, (f"volume is {coin[0]}",)


def _real_or_tick_volume(text: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Real volume where the broker gives any; else the count of ticks, said aloud."""
    named = {normalised(name): name for name in text.columns}
    tick = named.get("tickvol") or named.get("tick_volume")
    real = named.get("vol") or named.get("volume") or named.get("real_volume")
    if tick is None:
        return text, ()
    if real is not None:
        if text[real].cast(pl.Float64, strict=False).fill_null(0.0).sum() > 0:
            return text.drop(tick), (f"volume is {real}; the tick count {tick} is left out",)
        text = text.drop(real)
    return text.rename({tick: "volume"}), (
        f"volume is the tick count ({tick}); the file holds no real volume",
    )


def _nse_dates(text: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Ddmmyy with its century: a file's years run from 1990 on, when the exchange was not yet open."""
    written = text["date"].str.strip_chars()
    century = pl.when(pl.col("date").str.slice(4, 2).cast(pl.Int32, strict=False) >= 90).then(pl.lit("19"))
    parts = pl.DataFrame({"date": written})
    dated = parts.select(
        pl.concat_str(
            century.otherwise(pl.lit("20")),
            pl.col("date").str.slice(4, 2),
            pl.col("date").str.slice(2, 2),
            pl.col("date").str.slice(0, 2),
        )
        .fill_null("")
        .alias("date")
    )["date"]
    readable = written.str.contains(r"^\d{6}$").fill_null(value=False)
    return text.with_columns(dated.zip_with(readable, written).alias("date")), ("dates are ddmmyy",)


_START = Hint(value="open", why="this layout stamps a bar at its open")

DELIMITED_LAYOUTS: tuple[DelimitedLayout, ...] = (
    DelimitedLayout(name="yahoo", test=_columns_are(*_OHLCV, "adj close"), stamp=_START),
    DelimitedLayout(
        name="stooq",
        test=_stooq,
        time_zone=Hint(value="Europe/Warsaw", why="Stooq writes Warsaw time"),
        stamp=_START,
    ),
    DelimitedLayout(name="kaggle-txt", test=_columns_are(*_OHLCV, "openint"), stamp=_START, daily=True),
    DelimitedLayout(name="kaggle-5yr", test=_columns_are(*_OHLCV, "name"), daily=True),
    DelimitedLayout(
        name="dukascopy",
        test=_dukascopy,
        time_zone=Hint(value="UTC", why="Dukascopy writes UTC"),
        stamp=_START,
    ),
    # Broker time differs from broker to broker: the zone is never assumed.
    DelimitedLayout(name="mt5", test=_metatrader, stamp=_START, prepare=_real_or_tick_volume),
    DelimitedLayout(
        name="mt4",
        test=_metatrader_4,
        stamp=_START,
        headings=("date", "time", "open", "high", "low", "close", "volume"),
    ),
    DelimitedLayout(
        name="cryptodatadownload",
        test=_cryptodatadownload,
        time_zone=Hint(value="UTC", why="CryptoDataDownload writes UTC"),
        stamp=_START,
        title_lines=1,
        prepare=_coin_volume,
    ),
    DelimitedLayout(
        name="nse",
        test=_nse,
        headings=("date", "open", "high", "low", "close", "traded_value", "volume", "trades"),
        daily=True,
        prepare=_nse_dates,
    ),
    # A backtrader feed may be stamped at either end and in any zone: both are asked for.
    DelimitedLayout(
        name="backtrader", test=lambda o: "header has OpenInterest" if "openinterest" in o.header else None
    ),
    DelimitedLayout(
        name="binance",
        test=_binance,
        stamp=_START,
        headings=(
            *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades"),
            *("taker_volume", "taker_quote_volume", "ignored"),
        ),
    ),
)
GENERIC = DelimitedLayout(name="csv", test=_generic)

__all__ = ["DELIMITED_LAYOUTS", "GENERIC"]
