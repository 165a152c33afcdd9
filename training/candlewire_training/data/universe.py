"""Universes: which symbols belong together, what they are, where and when they trade. Plain TOML files."""

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from candlewire_training.data.layouts.zones import parse_zone
from candlewire_training.data.universe_calendar import Calendar, calendar_of_name
from candlewire_training.errors import SettingsError

ASSET_CLASSES = ("stock", "etf", "index", "crypto", "fx", "commodity")
FIELDS = {"name", "asset_class", "calendar", "time_zone", "symbols", "note"}
FOLDER = "universe_files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """Symbols of one asset class on one calendar.

    Attributes:
        name: What --universe calls it.
        asset_class: One of ASSET_CLASSES.
        calendar: When the symbols trade.
        time_zone: The clock of naive times in their files.
        symbols: In order of name; empty means any symbol.
        note: For people.
    """

    name: str
    asset_class: str
    calendar: Calendar
    time_zone: str
    symbols: tuple[str, ...]
    note: str = ""

    def __contains__(self, symbol: object) -> bool:
        return not self.symbols or symbol in self.symbols


def shipped_universes() -> tuple[str, ...]:
    """Names of the universes that the package ships."""
    folder = resources.files("candlewire_training.data") / FOLDER
    return tuple(
        sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    )


def read_universe(name_or_file: str) -> Universe:
    """A universe by the name of one that ships, or by its file.

    Raises:
        SettingsError: There is no such universe, or its file says something impossible.
    """
    shipped = resources.files("candlewire_training.data") / FOLDER / f"{name_or_file}.toml"
    if name_or_file in shipped_universes():
        return parse_universe(shipped.read_text(encoding="utf-8"), source=f"universe {name_or_file}")
    path = Path(name_or_file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"universe {name_or_file!r} is no file and none of {', '.join(shipped_universes())}"
        ) from error
    return parse_universe(text, source=f"universe {path.name}")


def parse_universe(text: str, *, source: str) -> Universe:
    """A universe from TOML.

    Raises:
        SettingsError: A field is missing, unknown, or has an impossible value.
    """
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{source}: no readable TOML ({error})") from error
    unknown = sorted(set(fields) - FIELDS)
    if unknown:
        raise SettingsError(f"{source}: field {unknown[0]} is unknown; use {', '.join(sorted(FIELDS))}")
    words: dict[str, str] = {}
    for name in ("name", "asset_class", "calendar"):
        value = fields.get(name)
        if not isinstance(value, str) or not value:
            raise SettingsError(f"{source}: field {name} is missing or no text")
        words[name] = value
    if words["asset_class"] not in ASSET_CLASSES:
        raise SettingsError(
            f"{source}: asset_class {words['asset_class']!r} is unknown; use one of"
            f" {', '.join(ASSET_CLASSES)}"
        )
    symbols = fields.get("symbols", [])
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) and symbol for symbol in symbols):
        raise SettingsError(f"{source}: field symbols must be a list of names")
    repeated = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
    if repeated:
        raise SettingsError(f"{source}: symbol {repeated[0]} is listed twice")
    calendar = calendar_of_name(words["calendar"])
    time_zone = str(fields.get("time_zone", calendar.zone))
    parse_zone(time_zone)
    return Universe(
        name=words["name"],
        asset_class=words["asset_class"],
        calendar=calendar,
        time_zone=time_zone,
        symbols=tuple(sorted(symbols)),
        note=str(fields.get("note", "")),
    )


__all__ = ["ASSET_CLASSES", "Universe", "parse_universe", "read_universe", "shipped_universes"]
