"""Column names as files spell them, and the part each plays in a bar."""

import re
from collections.abc import Iterable

from candlewire_training.errors import AmbiguousBarsError, BarsError

PRICES = ("open", "high", "low", "close")
# Part -> spellings, in lower case, blanks as underscores, without angle brackets.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "epoch": ("unix", "unix_timestamp", "open_time_ns", "open_time_ms"),
    "date": (
        *(
            "date",
            "datetime",
            "timestamp",
            "ts",
            "open_time",
            "opentime",
            "date_time",
            "gmt_time",
            "utc_time",
        ),
        *("local_time", "dtyyyymmdd", "trade_date", "bar_time", "index", "time_(eet)"),
    ),
    "time": ("time", "time_of_day", "hhmmss"),
    "open": ("open", "o", "open_price"),
    "high": ("high", "h", "high_price"),
    "low": ("low", "l", "low_price"),
    "close": ("close", "c", "close_price"),
    "adjusted_close": ("adj_close", "adjclose", "adjusted_close", "adjusted"),
    "volume": ("volume", "vol", "v", "volume_base"),
    "tick_volume": ("tickvol", "tick_volume", "tickvolume"),
    "symbol": ("symbol", "ticker", "name", "instrument", "code", "asset", "sym", "tic"),
    "timeframe": ("per", "timeframe", "interval", "period"),
}
_PART_OF = {spelling: part for part, spellings in SPELLINGS.items() for spelling in spellings}


def normalised(name: str) -> str:
    """A column name without case, angle brackets and blanks."""
    return re.sub(r"\s+", "_", name.strip().strip("<>").lower())


def listed(names: Iterable[str], *, most: int = 20) -> str:
    """Names out of a file for one line of a message: no control characters, none too long, not too many."""
    cleaned = ["".join(mark if mark.isprintable() else "?" for mark in name[:40]) for name in names]
    return ", ".join(cleaned[:most]) + (f" and {len(cleaned) - most} more" if len(cleaned) > most else "")


def parts_of(names: list[str], *, source: str) -> dict[str, str]:
    """Part -> column name.

    Raises:
        AmbiguousBarsError: Two columns could play one part.
        BarsError: Prices or times are missing.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        part = _PART_OF.get(normalised(name))
        if part is not None:
            found.setdefault(part, []).append(name)
    several = {part: columns for part, columns in found.items() if len(columns) > 1}
    if several:
        part, columns = next(iter(several.items()))
        raise AmbiguousBarsError(
            (f"columns {listed(columns)} could both be the {part}: rename or remove one",),
            source=source,
        )
    parts = {part: columns[0] for part, columns in found.items()}
    if "date" not in parts and "time" in parts and "epoch" not in parts:
        parts["date"] = parts.pop("time")
    missing = [name for name in PRICES if name not in parts]
    if missing:
        raise BarsError(
            f"{source}: column {', '.join(missing)} is missing; the file has {listed(names)}; "
            "rename the columns, or name the layout with --layout"
        )
    if not {"date", "epoch"} & set(parts):
        raise BarsError(
            f"{source}: no column holds the bars' times (date, time, timestamp); it has {listed(names)}"
        )
    return parts


def looks_like_header(names: tuple[str, ...]) -> bool:
    """Whether every price has a column of its name."""
    return set(PRICES) <= {_PART_OF.get(normalised(name)) for name in names}


__all__ = ["PRICES", "listed", "looks_like_header", "normalised", "parts_of"]
