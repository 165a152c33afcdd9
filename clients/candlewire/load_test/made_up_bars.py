"""Bars for a load: valid, in time order, of no market."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from candlewire_proto.v1.bars_pb2 import Bar as BarMessage

from candlewire.errors import InvalidInputError
from candlewire.types import Bar, BarFate, Signal

if TYPE_CHECKING:
    from candlewire.client import Client
    from candlewire.load_test.plan import LoadPlan

MINUTE_NS = 60 * 10**9
STEPS_NS = {
    "1m": MINUTE_NS,
    "5m": 5 * MINUTE_NS,
    "15m": 15 * MINUTE_NS,
    "1h": 60 * MINUTE_NS,
    "4h": 240 * MINUTE_NS,
    "1d": 1_440 * MINUTE_NS,
    "1w": 10_080 * MINUTE_NS,
}
WARMING_BARS = 64
MOST_WARMING_BARS = 2_048
# Poisson arrivals bring more bars than the rate says; this is many times their deviation.
SPARE_SHARE = 1.2


def made_up_bar(symbol: str, timeframe: str, open_time_ns: int, number: int) -> BarMessage:
    """Bar `number` of a symbol: prices swing around 100 without end."""
    opened = 100.0 + 5.0 * math.sin(0.11 * number) + math.sin(1.7 * number)
    closed = 100.0 + 5.0 * math.sin(0.11 * (number + 1)) + math.sin(1.7 * (number + 1))
    return BarMessage(
        symbol=symbol,
        timeframe=timeframe,
        open_time_ns=open_time_ns,
        open=opened,
        high=max(opened, closed) + 0.5,
        low=min(opened, closed) - 0.5,
        close=closed,
        volume=1_000.0 + 100.0 * (number % 17),
        is_final=True,
    )


def prepare_series(client: Client, plan: LoadPlan) -> tuple[int, ...]:
    """Publishes bars until every series is scored; returns the open time of each one's next bar.

    Starts behind the newest bar that the server holds.

    Raises:
        InvalidInputError: No such timeframe, the server refuses these bars, or time is too short for so many.
    """
    step_ns = STEPS_NS.get(plan.timeframe)
    if step_ns is None:
        raise InvalidInputError(
            f"timeframe is {plan.timeframe!r}; bars are made up for {', '.join(STEPS_NS)}"
        )
    next_ns = dict.fromkeys(plan.symbols, step_ns)
    held = client.latest(plan.symbols, timeframe=plan.timeframe)
    next_ns |= {event.bar.symbol: event.bar.open_time_ns + step_ns for event in held}
    cold = set(plan.symbols)
    for _ in range(0, MOST_WARMING_BARS, WARMING_BARS):
        _publish(client, plan, sorted(cold), next_ns, step_ns)
        newest = client.latest(sorted(cold), timeframe=plan.timeframe)
        cold -= {event.bar.symbol for event in newest if event.score.signal is not Signal.NOT_READY}
        if not cold:
            break
    bars_each = math.ceil(plan.rate * plan.duration_s * SPARE_SHARE / len(plan.symbols))
    room = min((time.time_ns() - opened_ns) // step_ns for opened_ns in next_ns.values())
    if bars_each > room:
        raise InvalidInputError(
            f"{bars_each:,} {plan.timeframe} bars of each symbol do not fit between the newest bar held and "
            f"now ({room:,} do): name more symbols, or shorten the load"
        )
    return tuple(next_ns[symbol] for symbol in plan.symbols)


def _publish(
    client: Client, plan: LoadPlan, symbols: list[str], next_ns: dict[str, int], step_ns: int
) -> None:
    bars = []
    for number in range(WARMING_BARS):
        for symbol in symbols:
            message = made_up_bar(symbol, plan.timeframe, next_ns[symbol], number)
            fields = {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
            bars.append(Bar(**fields))
            next_ns[symbol] += step_ns
    for ack in client.publish(bars):
        if ack.fate is BarFate.REJECTED:
            raise InvalidInputError(f"the server refuses the made-up bars of {ack.symbol}: {ack.message}")
