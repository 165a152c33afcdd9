"""Open loops: shares of what a server saturates at, and more than that.

The generator shares the machine with the server. At 150 % of what a cheap model saturates at, both together
ask for more than all cores: the own echo, which does nothing, cannot answer that many either, and what is
late then is late in the generator. So the overload is measured twice: on all cores, with the echo beside it,
and with the server and the generator on a core each, where the server alone is too small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import loads
from loads import Rounds
from processes import GENERATOR_CORE
from report import Report, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processes import Peer

SATURATING = "8 x 32"
APART = ", a core each"
"""What the names of loads end with that have the server and the generator on a core each."""
SHARES = (20, 50, 80, 150)
OVERLOAD = SHARES[-1]
TICK_US, OVERLOAD_TICK_US = 200, 100
"""How often what is due is sent and answers are looked for: a timer a request, or to be woken by each answer,
would cost the generator, and so the server beside it, as much as the request. Latency counts from when a
request was due until its answer was looked at all the same, so that a tick adds itself to the mean.

With 50 us the generator and the server's threads keep two cores busy at half of what the closed loop
saturates at: one of them then often waits for a core, for as long as a tick of the system's clock (4 ms)."""


def share(percent: int, ending: str = "") -> str:
    """Name of the open loop at `percent` % of saturation."""
    return f"open loop, {percent} % of saturation{ending}"


def keep(report: Report, load: str, peer: Peer, found: dict[str, object]) -> None:
    """Adds one result."""
    report.results.setdefault(load, {}).setdefault(peer.name, Rounds()).results.append(found)


def open_loops(report: Report, servers: Sequence[Peer], echo: Peer, rounds: int, duration_ms: int) -> None:
    """Poisson arrivals at shares of the rate that the closed loop of the same server saturated at.

    The echo gets the rates of the first server. Light loads show little of a model: only the first server
    takes part.
    """
    for percent in SHARES:
        compared = servers if percent == OVERLOAD else servers[:1]
        for _ in range(rounds):
            for server in (*compared, echo):
                measured = servers[0] if server is echo else server
                rate = report.results[SATURATING][measured.name].median("rate") * percent / 100
                tick_us = OVERLOAD_TICK_US if percent == OVERLOAD else TICK_US
                load = loads.opened(share(percent), rate, duration_ms, tick_us=tick_us)
                keep(report, load.name, server, loads.run(server, load))
    for server in servers:
        saturation = report.results[SATURATING][server.name].median("rate")
        report.notes.append(
            f"Saturation of {server.name}: {saturation:,.0f} scores/s, the median of {SATURATING}."
        )


def apart(report: Report, servers: Sequence[Peer], echo: Peer, rounds: int, duration_ms: int) -> None:
    """The overload once more for servers that run on one core while the generator has the other."""
    for _ in range(rounds):
        for server in (*servers, echo):
            load = loads.closed(SATURATING + APART, 8, 32, duration_ms)
            keep(report, load.name, server, loads.run(server, load, core=GENERATOR_CORE))
    for _ in range(rounds):
        for server in (*servers, echo):
            measured = servers[0] if server is echo else server
            rate = report.results[SATURATING + APART][measured.name].median("rate") * OVERLOAD / 100
            load = loads.opened(share(OVERLOAD, APART), rate, duration_ms, tick_us=OVERLOAD_TICK_US)
            keep(report, load.name, server, loads.run(server, load, core=GENERATOR_CORE))
    report.notes += [_bound(report, server, echo) for server in servers]


def _bound(report: Report, server: Peer, echo: Peer) -> str:
    """What goodput one core can hold when a refusal costs what an answer of the echo costs."""
    load = SATURATING + APART
    saturation, limit = (report.results[load][peer.name].median("rate") for peer in (server, echo))
    refusal, offered = saturation / limit, OVERLOAD / 100
    # goodput + (offered - goodput) x refusal = 1, in answers' worth of processor time.
    goodput = min(1.0, max(0.0, 1 - offered * refusal) / (1 - refusal)) if refusal < 1 else 0.0
    return (
        f"On one core {server.name} answers {saturation:,.0f} requests a second, the echo {limit:,.0f}. "
        f"Were a refusal as dear as an answer of the echo, goodput at {OVERLOAD} % could be {goodput:.2f}."
    )


def targets(report: Report, names: Sequence[str], echo: str, ending: str = "") -> list[Target]:
    """What was promised of the overload, for each server; the echo had the rate of the first."""
    load, saturating = share(OVERLOAD, ending), SATURATING + ending
    found = []
    limits = report.results[load][echo]
    for name in names:
        results = report.results[load][name]
        at_same_rate = name == names[0]
        goodput = results.median("goodput") / report.results[saturating][name].median("rate")
        promises = [
            ("p99 of accepted", "latency_us", 20_000),
            ("p99 of refusals", "refused_latency_us", 5_000),
        ]
        found.append(
            Target(name=f"{load}, {name}: goodput", measured=goodput, limit=0.9, unit="x", at_least=True)
        )
        found += [
            Target(
                name=f"{load}, {name}: {what}",
                measured=results.median(figure, "p99"),
                limit=limit,
                unit="µs",
                echo=limits.median("latency_us", "p99") if at_same_rate else None,
            )
            for what, figure, limit in promises
            if results.has(figure)
        ]
    return found


__all__ = ["APART", "OVERLOAD", "SATURATING", "apart", "keep", "open_loops", "share", "targets"]
