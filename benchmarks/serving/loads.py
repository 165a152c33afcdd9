"""Loads and their results, through the load generator."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from processes import GENERATOR, BenchmarkError, on_core

if TYPE_CHECKING:
    from pathlib import Path

    from processes import Peer

WARM_UP_S = 30.0
SETTLE_MS = 300
"""Load before measuring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One kind of load.

    Attributes:
        name: Name in the report.
        arguments: What the generator is told, after the target.
        method: Method other than the peer's, for loads of other calls.
        bodies: Requests other than the peer's, sent in turn.
    """

    name: str
    arguments: tuple[str, ...]
    method: str | None = None
    bodies: tuple[Path, ...] = ()


def _time(duration_ms: int) -> tuple[str, ...]:
    return ("--warmup-ms", str(SETTLE_MS), "--duration-ms", str(duration_ms))


def closed(name: str, connections: int, in_flight: int, duration_ms: int, **others: Any) -> Load:  # noqa: ANN401
    """A closed loop of `connections` x `in_flight` callers."""
    shape = ("--connections", str(connections), "--in-flight", str(in_flight))
    return Load(name=name, arguments=("closed", *shape, *_time(duration_ms)), **others)


def stream(name: str, connections: int, in_flight: int, duration_ms: int, **others: Any) -> Load:  # noqa: ANN401
    """Bidirectional streams with `in_flight` messages on each."""
    shape = ("--connections", str(connections), "--in-flight", str(in_flight))
    return Load(name=name, arguments=("stream", *shape, *_time(duration_ms)), **others)


def opened(name: str, rate: float, duration_ms: int, *, connections: int = 8, tick_us: int = 0) -> Load:
    """An open loop of Poisson arrivals, sent each when it is due, or every `tick_us` what is due by then."""
    shape = ("--rate", f"{rate:.1f}", "--connections", str(connections), "--tick-us", str(tick_us))
    return Load(name=name, arguments=("open", *shape, *_time(duration_ms)))


def run(peer: Peer, load: Load, *, core: int | None = None) -> dict[str, Any]:
    """Puts `load` on `peer` once, from any core or from one.

    Raises:
        BenchmarkError: The generator failed, or no request was answered.
    """
    where = [
        "--target",
        peer.target,
        "--method",
        load.method or peer.method,
    ]
    for body in load.bodies or (peer.body,):
        where += ["--body", str(body)]
    command = [*on_core(core), GENERATOR, *where, *load.arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"{load.name} on {peer.name}: {done.stderr.strip()}")
    result: dict[str, Any] = json.loads(done.stdout)
    if result["latency_us"] is None:
        raise BenchmarkError(
            f"{load.name} on {peer.name}: nothing was answered, failures {result['failures']}"
        )
    return result


def warm_up(peer: Peer) -> None:
    """Waits until `peer` answers a short load.

    Raises:
        BenchmarkError: It does not within `WARM_UP_S`; the message says what it answered last.
    """
    deadline_s = time.monotonic() + WARM_UP_S
    while True:
        try:
            found = run(peer, closed("warm-up", 1, 1, 300))
        except BenchmarkError:
            found = None
            if time.monotonic() > deadline_s:
                raise
        if found is not None and not sum(found["failures"].values()):
            return
        if time.monotonic() > deadline_s:
            raise BenchmarkError(f"{peer.name} fails requests: {found}")
        time.sleep(0.2)


@dataclass(slots=True)
class Rounds:
    """Results of one load on one peer, a round each."""

    results: list[dict[str, Any]] = field(default_factory=list)

    def median(self, *path: str) -> float:
        """Median over the rounds of one figure, for example `("latency_us", "p99")`."""
        figures = []
        for result in self.results:
            figure: Any = result
            for key in path:
                figure = figure and figure[key]
            if figure is not None:
                figures.append(float(figure))
        return median(figures)

    def has(self, name: str) -> bool:
        """Whether any round has figures of this name."""
        return any(result.get(name) is not None for result in self.results)

    @property
    def rate(self) -> float | None:
        """Median answers per second, where counted; of an open loop those that came in the measured time."""
        names = [name for name in ("goodput", "rate") if self.has(name)]
        return self.median(names[0]) if names else None

    @property
    def failures(self) -> int:
        """Failed requests of all rounds."""
        return sum(sum(result["failures"].values()) + result["unanswered"] for result in self.results)
