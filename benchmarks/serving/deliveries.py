"""Bars that are due, acknowledged to their publisher and delivered to subscribers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import loads
from bars import PUBLISH, SYMBOLS, bodies
from candlewire_proto.v1 import signals_pb2
from loads import Load
from overload import keep
from report import Report, Target

if TYPE_CHECKING:
    from pathlib import Path

    from processes import Peer

SUBSCRIBE = "/candlewire.v1.SignalService/Subscribe"
BUFFER_SIGNALS = 65_536
SUBSCRIBERS, CONNECTIONS = 1_000, 50
ONE = "bars at 5,000/s, one subscriber"
OWN = f"bars at 5,000/s, {SUBSCRIBERS:,} subscribers of one symbol each"
FEW = "bars at 50/s, one subscriber"
ALL = f"bars at 50/s, {SUBSCRIBERS:,} subscribers of everything"
DELIVERED = "to the subscriber"
ACKNOWLEDGED = "to the acknowledgement"


def prepare(folder: Path, duration_ms: int) -> tuple[Load, ...]:
    """Loads of a publisher and its subscribers; their messages are written into `folder`."""
    everything = folder / "subscribe.bin"
    everything.write_bytes(signals_pb2.SubscribeRequest(buffer_signals=BUFFER_SIGNALS).SerializeToString())
    own = []
    for symbol in range(SYMBOLS):
        path = folder / f"subscribe-{symbol}.bin"
        request = signals_pb2.SubscribeRequest(symbols=[f"S{symbol}"], buffer_signals=BUFFER_SIGNALS)
        path.write_bytes(request.SerializeToString())
        own.append(path)

    def load(number: int, name: str, rate: int, subscribers: int, subscriptions: list[Path]) -> Load:
        # A bar that is there already has no signal, and the generator counts on one for each.
        messages = bodies(folder, (number + 0.125, number + 0.625))
        arguments = [
            "deliver",
            *("--rate", str(rate), "--duration-ms", str(duration_ms), "--subscribe-method", SUBSCRIBE),
            *("--subscribers", str(subscribers), "--connections", str(CONNECTIONS)),
        ]
        for path in subscriptions:
            arguments += ["--subscribe-body", str(path)]
        return Load(name=name, arguments=tuple(arguments), method=PUBLISH, bodies=messages)

    return (
        load(0, ONE, 5_000, 1, [everything]),
        load(1, OWN, 5_000, SUBSCRIBERS, own),
        load(2, FEW, 50, 1, [everything]),
        load(3, ALL, 50, SUBSCRIBERS, [everything]),
    )


def measure(report: Report, deliveries: tuple[Load, ...], peer: Peer) -> None:
    """One round of each: a row for what the publisher sees, one for the subscribers."""
    for load in deliveries:
        found = loads.run(peer, load)
        keep(report, load.name, replace(peer, name=f"{peer.name}, {ACKNOWLEDGED}"), found)
        keep(report, load.name, replace(peer, name=f"{peer.name}, {DELIVERED}"), _delivered(found))


def _delivered(found: dict[str, Any]) -> dict[str, Any]:
    return {
        **found,
        "rate": found["delivered_rate"],
        "latency_us": found["delivered_latency_us"],
        "unanswered": found["undelivered"],
    }


def targets(report: Report, name: str) -> list[Target]:
    """What was promised of bars on their way to subscribers."""

    def figure(load: str, which: str, *path: str) -> float:
        return report.results[load][f"{name}, {which}"].median(*path)

    def slower(with_all: str, without: str) -> float:
        with_all, without = (figure(load, ACKNOWLEDGED, "rate") for load in (with_all, without))
        return with_all / without

    return [
        Target(
            name=f"{ONE}: p50 to it",
            measured=figure(ONE, DELIVERED, "latency_us", "p50"),
            limit=150,
            unit="µs",
        ),
        Target(
            name=f"{ONE}: p99 to it",
            measured=figure(ONE, DELIVERED, "latency_us", "p99"),
            limit=1_000,
            unit="µs",
        ),
        Target(
            name=f"{OWN}: bars of the publisher, of those with one subscriber",
            measured=slower(OWN, ONE),
            limit=0.9,
            unit="x",
            at_least=True,
        ),
        Target(
            name=f"{ALL}: bars of the publisher, of those with one subscriber",
            measured=slower(ALL, FEW),
            limit=0.9,
            unit="x",
            at_least=True,
        ),
    ]


__all__ = ["measure", "prepare", "targets"]
