"""Bars: a warm panel to publish into, and the loads on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import grpc
import loads
from candlewire_proto.v1 import bars_pb2, bars_pb2_grpc
from speed_model import FEATURES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loads import Load

PUBLISH = "/candlewire.v1.BarService/Publish"
SYMBOLS = 256
DAY_NS = 86_400 * 10**9
BARS = FEATURES + 12
"""Bars of each symbol before the load: enough for every feature."""


def bar(symbol: int, day: int, shift: float = 0.0) -> bars_pb2.PublishRequest:
    """One bar of one symbol; another `shift` is another price."""
    price = 100 + 3 * math.sin(day * 0.7 + symbol) + shift
    one = bars_pb2.Bar(
        symbol=f"S{symbol}",
        timeframe="1d",
        open_time_ns=DAY_NS * day,
        open=price,
        high=price + 1,
        low=price - 1,
        close=price,
        volume=1_000,
        is_final=True,
    )
    return bars_pb2.PublishRequest(bar=one, client_sequence=symbol)


def warm_panel(target: str) -> None:
    """Publishes the bars that make every feature of every symbol warm.

    Raises:
        RuntimeError: A bar was not taken in.
    """

    def history() -> Iterator[bars_pb2.PublishRequest]:
        for day in range(1, BARS + 1):
            for symbol in range(SYMBOLS):
                yield bar(symbol, day)

    with grpc.insecure_channel(target) as channel:
        for answer in bars_pb2_grpc.BarServiceStub(channel).Publish(history()):
            if answer.fate not in {bars_pb2.BAR_FATE_ACCEPTED, bars_pb2.BAR_FATE_DUPLICATE}:
                raise RuntimeError(f"a bar was not taken in: {answer}")


def bodies(folder: Path, shifts: tuple[float, float] = (0.25, 0.5)) -> tuple[Path, ...]:
    """The newest bar of each symbol with two prices in turn.

    Every message corrects a bar, so every one is scored; after a load of the same prices some may be there
    already.
    """
    written = []
    for shift in shifts:
        for symbol in range(SYMBOLS):
            path = folder / f"bar-{shift}-{symbol}.bin"
            path.write_bytes(bar(symbol, BARS, shift).SerializeToString())
            written.append(path)
    return tuple(written)


def bar_loads(folder: Path, duration_ms: int) -> list[Load]:
    """One bar in flight, and as many as the server takes; an acknowledgement follows the signal."""
    publish = {"method": PUBLISH, "bodies": bodies(folder)}
    return [
        loads.stream("bars, one in flight", 1, 1, duration_ms, **publish),
        loads.stream("bars, one stream x 256", 1, 256, duration_ms, **publish),
    ]
