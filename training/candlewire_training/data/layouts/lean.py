"""LEAN's zips: a csv without header, its meaning in the names of file and folders."""

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from candlewire_training.data.layouts.columns import listed
from candlewire_training.data.layouts.contract import SIDES, Choices, Hint, Opening, RawBars
from candlewire_training.errors import AmbiguousBarsError, BarsError, SettingsError

SECURITY_TYPES = {"equity", "forex", "cfd", "crypto", "cryptofuture", "index"}
# LEAN writes prices of equities as integers, in ten-thousandths.
EQUITY_SCALE = 1e-4
RESOLUTIONS = {"minute": "1m", "hour": "1h", "daily": "1d"}
MARKET_ZONES = {"usa": "America/New_York", "india": "Asia/Kolkata", "oanda": "UTC"}
TRADE_COLUMNS = ("when", "open", "high", "low", "close", "volume")
QUOTE_COLUMNS = (
    *("when", "bid_open", "bid_high", "bid_low", "bid_close", "bid_size"),
    *("ask_open", "ask_high", "ask_low", "ask_close", "ask_size"),
)
_MEMBER = re.compile(
    r"^(?:(?P<date>\d{8})_)?(?P<symbol>[^_]+?)(?:_(?P<resolution>minute|second|tick|hour|daily))?(?:_(?:trade|quote))?\.csv$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """What the names of folders, zip and member say."""

    symbol: str
    date: str | None
    timeframe: Hint | None
    security_type: str | None
    zone: Hint | None


class Lean:
    """LEAN's zips of trades and quotes."""

    name = "lean"

    def recognise(self, opening: Opening) -> str | None:
        """Why the file is of this layout; None when it is not."""
        if (
            opening.path.suffix.lower() != ".zip"
            or not opening.path.is_file()
            or not zipfile.is_zipfile(opening.path)
        ):
            return None
        with zipfile.ZipFile(opening.path) as archive:
            named = [name for name in archive.namelist() if _MEMBER.match(name)]
        return f"a zip of {named[0]}" if named else None

    def read(self, opening: Opening, choices: Choices) -> RawBars:
        """The member's bars.

        Raises:
            AmbiguousBarsError: The zip holds several csv files, or the names leave the market open.
            BarsError: The zip cannot be read.
            SettingsError: There is no such member or side.
        """
        if choices.side is not None and choices.side not in SIDES:
            raise SettingsError(f"side {choices.side!r} is unknown; use one of {', '.join(SIDES)}")
        member, cells = _member(opening.path, choices)
        names = _names(opening.path, member)
        frame, notes = _prices(cells, choices, source=f"bars {opening.path.name}")
        frame, scale_notes = _scaled(frame, names, choices, source=f"bars {opening.path.name}")
        frame = frame.with_columns(_times(cells, names, source=f"bars {opening.path.name}"))
        return RawBars(
            frame=frame,
            symbol=Hint(value=names.symbol.upper(), why="name of the csv in the zip"),
            timeframe=names.timeframe,
            time_zone=names.zone,
            stamp=Hint(value="open", why="LEAN stamps a bar at its open"),
            notes=(*notes, *scale_notes, *_date_notes(opening.path, names)),
        )


def _member(path: Path, choices: Choices) -> tuple[str, pl.DataFrame]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            if choices.member is not None and choices.member not in members:
                raise SettingsError(
                    f"member {choices.member!r} is not in {path.name}; it holds {listed(members)}"
                )
            if len(members) > 1 and choices.member is None:
                question = (
                    f"the zip holds {listed(members)}, whose dates cannot both be right: choose one"
                    " with --member"
                )
                raise AmbiguousBarsError((question,), source=f"bars {path.name}")
            member = choices.member or members[0]
            data = archive.read(member)
    except (zipfile.BadZipFile, OSError, IndexError) as error:
        raise BarsError(f"bars {path}: no readable zip with a csv ({error})") from error
    try:
        return member, pl.read_csv(io.BytesIO(data), has_header=False, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise BarsError(f"bars {path}: {member} is no table ({str(error).splitlines()[0]})") from error


def _names(path: Path, member: str) -> _Names:
    words = [
        word for part in (*path.parent.parts[-5:], path.stem) for word in re.split(r"[_\-]", part.lower())
    ]
    match = _MEMBER.match(Path(member).name)
    if match is None:
        raise BarsError(
            f"bars {path.name}: {member} is not named as LEAN names its files, for example"
            " 20140501_eurusd_minute_quote.csv"
        )
    resolution = match["resolution"] or next((word for word in words if word in RESOLUTIONS), None)
    if resolution in {"second", "tick"}:
        raise BarsError(
            f"bars {path.name}: {resolution} data are no bars of a known timeframe; use minute, hour or daily"
        )
    security_type = next((word for word in words if word in SECURITY_TYPES), None)
    market = next((word for word in words if word in MARKET_ZONES), None)
    zone: Hint | None = None
    if market is not None:
        zone = Hint(value=MARKET_ZONES[market], why=f"LEAN's market {market}")
    elif security_type in {"crypto", "cryptofuture"}:
        zone = Hint(value="UTC", why="LEAN's crypto data are in UTC")
    return _Names(
        symbol=match["symbol"],
        date=match["date"] or next((word for word in words[::-1] if re.fullmatch(r"\d{8}", word)), None),
        timeframe=(
            Hint(value=RESOLUTIONS[resolution], why=f"LEAN's resolution {resolution}") if resolution else None
        ),
        security_type=security_type,
        zone=zone,
    )


def _prices(cells: pl.DataFrame, choices: Choices, *, source: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    names = {len(TRADE_COLUMNS): TRADE_COLUMNS, len(QUOTE_COLUMNS): QUOTE_COLUMNS}.get(cells.width)
    if names is None:
        raise BarsError(f"{source}: rows have {cells.width} cells; LEAN's trades have 6 and its quotes 11")
    try:
        numbers = cells.select(
            pl.col(column).cast(pl.Float64).fill_null(float("nan")).alias(name)
            for column, name in list(zip(cells.columns, names, strict=True))[1:]
        )
    except pl.exceptions.PolarsError as error:
        raise BarsError(f"{source}: a cell is no number ({str(error).strip().splitlines()[0]})") from error
    if names is TRADE_COLUMNS:
        if choices.side is not None:
            raise SettingsError(f"side {choices.side!r} makes no sense: {source} holds trades, not quotes")
        return numbers, ()
    side = choices.side or "mid"
    if side == "mid":
        prices = [((pl.col(f"bid_{p}") + pl.col(f"ask_{p}")) / 2).alias(p) for p in TRADE_COLUMNS[1:5]]
        note = "prices are the middle of bid and ask (choose another with --side)"
    else:
        prices = [pl.col(f"{side}_{p}").alias(p) for p in TRADE_COLUMNS[1:5]]
        note = f"prices are the {side}"
    return numbers.select(*prices, pl.lit(0.0).alias("volume")), (note, "quotes carry no volume: it is 0")


def _scaled(
    frame: pl.DataFrame, names: _Names, choices: Choices, *, source: str
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    prices = list(TRADE_COLUMNS[1:5])
    whole = frame.select(pl.all_horizontal((pl.col(prices) % 1 == 0).all())).item()
    scale, why = choices.price_scale, "as given"
    if scale is None and names.security_type is not None:
        scale, why = (EQUITY_SCALE, "LEAN's equities") if names.security_type == "equity" else (1.0, "")
    if scale is None and not whole:
        scale = 1.0
    if scale is None:
        question = (
            "prices are whole numbers and no folder names the security type, so they may be in"
            " ten-thousandths: give --price-scale 0.0001 or 1"
        )
        raise AmbiguousBarsError((question,), source=source)
    if scale == 1.0:
        return frame, ()
    divisor = 1 / scale
    exact = round(divisor) if abs(divisor - round(divisor)) < 1e-9 * divisor else divisor
    # numpy divides; polars would multiply by 0.0001, which is not always the nearest price.
    scaled = [pl.Series(name, frame[name].to_numpy() / exact) for name in prices]
    return frame.with_columns(scaled), (f"prices times {scale:g} ({why})",)


def _times(cells: pl.DataFrame, names: _Names, *, source: str) -> pl.Series:
    text = cells[cells.columns[0]].str.strip_chars()
    if text.str.contains(r"^\d{8} \d{2}:\d{2}$").all():
        return text.str.to_datetime("%Y%m%d %H:%M", time_unit="ns").alias("when")
    if not text.str.contains(r"^\d{1,8}$").all() or names.date is None:
        raise BarsError(
            f"{source}: times are neither dates nor milliseconds of a day that the name gives ({text[0]})"
        )
    try:
        midnight = pl.Series([names.date]).str.to_datetime("%Y%m%d", time_unit="ns")[0]
    except pl.exceptions.PolarsError as error:
        raise BarsError(f"{source}: {names.date} in the name is no date") from error
    return (
        pl.DataFrame(
            {"day": [midnight], "ms": [text.cast(pl.Int64)]},
            schema={"day": pl.Datetime("ns"), "ms": pl.List(pl.Int64)},
        )
        .explode("ms")
        .select((pl.col("day") + (pl.col("ms") * 1_000_000).cast(pl.Duration("ns"))).alias("when"))["when"]
    )


def _date_notes(path: Path, names: _Names) -> tuple[str, ...]:
    stem = path.stem.split("_")[0]
    if names.date is not None and re.fullmatch(r"\d{8}", stem) and stem != names.date:
        return (f"the csv is dated {names.date}, its zip {stem}: the csv's date is used",)
    return ()


__all__ = ["EQUITY_SCALE", "Lean"]
