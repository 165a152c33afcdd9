"""The session of each bar, told by zoneinfo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from tests.features.conftest import PRICES

if TYPE_CHECKING:
    import polars as pl

    from tests.features.adversarial import Bars

NEW_YORK = ZoneInfo("America/New_York")


def real_bars(frame: pl.DataFrame) -> Bars:
    """Columns as a kernel reads them."""
    bars: Bars = {name: np.ascontiguousarray(frame[name].to_numpy()) for name in PRICES}
    return bars | {"open_time_ns": frame["ts"].dt.timestamp("ns").to_numpy()}


def session_numbers(bars: Bars, calendar: str, hours: str) -> npt.NDArray[np.int64]:
    """Ordinal of the session's date of each bar, shape (bars,); -1 outside regular hours if only these count.

    Holidays and half days are not told: give days without them.
    """
    return np.array([_number(int(time), calendar, hours) for time in bars["open_time_ns"]])


def _number(time_ns: int, calendar: str, hours: str) -> Any:
    moment = datetime.fromtimestamp(time_ns / 1e9, UTC)
    if calendar == "24/7":
        return moment.toordinal()
    local = moment.astimezone(NEW_YORK).replace(tzinfo=None)
    if calendar == "FX":
        return (local + timedelta(hours=7)).toordinal()
    minute = local.hour * 60 + local.minute
    is_open = local.weekday() < 5 and 570 <= minute < 960
    return local.toordinal() if is_open or hours == "all" else -1
