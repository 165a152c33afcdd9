"""Timeframes: their names, lengths, and telling one from bar times."""

import numpy as np

from candlewire_training.arrays import I64
from candlewire_training.errors import BarsError, SettingsError

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS

# A month has no fixed length; 31 days never call a bar closed before it is.
TIMEFRAME_NS: dict[str, int] = {
    "1m": 60 * SECOND_NS,
    "5m": 300 * SECOND_NS,
    "15m": 900 * SECOND_NS,
    "1h": 3_600 * SECOND_NS,
    "4h": 14_400 * SECOND_NS,
    "1d": DAY_NS,
    "1w": 7 * DAY_NS,
    "1M": 31 * DAY_NS,
}


def timeframe_ns(timeframe: str) -> int:
    """Length of a bar in nanoseconds.

    Raises:
        SettingsError: The name is none of the contract's timeframes.
    """
    if timeframe not in TIMEFRAME_NS:
        raise SettingsError(f"timeframe {timeframe!r} is unknown; use one of {', '.join(TIMEFRAME_NS)}")
    return TIMEFRAME_NS[timeframe]


def parse_timeframes(text: str) -> tuple[str, ...]:
    """Timeframes with commas between them.

    Raises:
        SettingsError: One is unknown or comes twice, or there is none.
    """
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        timeframe_ns(name)
    if not names or len(set(names)) != len(names):
        raise SettingsError(f"timeframes {text!r}: name each once, for example 1h,1d")
    return names


def detect_timeframe(open_time_ns: I64) -> str:
    """The timeframe whose length is the commonest step between consecutive bars of one symbol.

    Args:
        open_time_ns: Open times of one symbol, shape (bars,), oldest first.

    Raises:
        BarsError: The commonest step is no known timeframe.
    """
    steps = np.diff(open_time_ns)
    if steps.size == 0:
        raise BarsError("timeframe cannot be told from a single bar; give --timeframe")
    values, counts = np.unique(steps, return_counts=True)
    step = int(values[np.argmax(counts)])
    for name, length in TIMEFRAME_NS.items():
        if step == length or (name == "1M" and 28 * DAY_NS <= step <= 31 * DAY_NS):
            return name
    raise BarsError(
        f"timeframe cannot be told: the commonest step between bars is {step / SECOND_NS:g} s; give "
        "--timeframe"
    )


__all__ = ["DAY_NS", "SECOND_NS", "TIMEFRAME_NS", "detect_timeframe", "parse_timeframes", "timeframe_ns"]
