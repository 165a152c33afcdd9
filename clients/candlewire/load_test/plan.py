"""What to send: the plan of a load, and each worker's part of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from candlewire.connection import Connection, Tls
from candlewire.errors import InvalidInputError
from candlewire.load_test.schedule import Arrivals

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_SUBSCRIBERS = 5_000


class Scenario(StrEnum):
    """What is put under load."""

    SCORING = "scoring"
    BARS_TO_SIGNAL = "bars-to-signal"
    FAN_OUT = "fan-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """A load.

    Attributes:
        scenario: Scores; bars until their signal is back; bars until every subscriber has their signal.
        rate: Requests, or bars, per second.
        duration_s: Length of the load.
        arrivals: Constant or Poisson.
        processes: Processes that send, so that one interpreter is not the limit.
        connections: Connections of the scoring scenario, over all processes.
        feature_count: Values in a row of the scoring scenario; the rows are standard normal draws.
        model: Model to score with; empty means the default route.
        symbols: Symbols of the made-up bars.
        timeframe: Timeframe of the made-up bars.
        subscribers: Subscribers of the fan-out, over all processes.
        timeout_ms: Deadline of a score; longest wait for signals after the last bar.
        seed: Of rows, arrivals and prices.
    """

    scenario: Scenario = Scenario.SCORING
    rate: float
    duration_s: float
    arrivals: Arrivals = Arrivals.POISSON
    processes: int = 1
    connections: int = 4
    feature_count: int = 1
    model: str = ""
    symbols: tuple[str, ...] = ()
    timeframe: str = "1d"
    subscribers: int = 100
    timeout_ms: float = 1_000.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("rate", "duration_s", "processes", "connections", "subscribers"):
            if not getattr(self, name) > 0:
                raise InvalidInputError(f"{name} is {getattr(self, name)}; it must be above zero")
        if self.subscribers > MOST_SUBSCRIBERS:
            raise InvalidInputError(
                f"subscribers is {self.subscribers}; at most {MOST_SUBSCRIBERS} are opened"
            )
        if self.scenario is not Scenario.SCORING and not self.symbols:
            raise InvalidInputError(
                f"the scenario {self.scenario.value} publishes made-up bars: name their symbols with --symbol"
            )

    @property
    def workers(self) -> int:
        """Processes that have something to do."""
        most = {
            Scenario.SCORING: self.connections,
            Scenario.BARS_TO_SIGNAL: len(self.symbols),
            Scenario.FAN_OUT: self.subscribers,
        }
        return min(self.processes, most[self.scenario])

    def at_rate(self, rate: float) -> LoadPlan:
        """The same load at another rate."""
        return replace(self, rate=rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One worker's part of a plan.

    Attributes:
        connection: Where the server is.
        plan: The whole plan.
        part: Number of this worker, from 0.
        first_open_times_ns: Open time of the first bar of each symbol.
    """

    connection: Connection
    plan: LoadPlan
    part: int
    first_open_times_ns: tuple[int, ...] = ()

    def share(self, total: int) -> int:
        """This worker's share of `total` things."""
        return len(range(self.part, total, self.plan.workers))

    def to_wire(self) -> dict[str, Any]:
        """As JSON knows it."""
        tls = self.connection.tls
        files = ("root_certificates", "certificate", "key")
        return {
            "target": self.connection.target,
            "token": self.connection.token,
            "tls": None
            if tls is None
            else {name: None if (path := getattr(tls, name)) is None else str(path) for name in files}
            | {"server_name": tls.server_name},
            "plan": asdict(self.plan),
            "part": self.part,
            "first_open_times_ns": self.first_open_times_ns,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Job:
        """What `to_wire` wrote."""
        plan = wire["plan"] | {
            "scenario": Scenario(wire["plan"]["scenario"]),
            "arrivals": Arrivals(wire["plan"]["arrivals"]),
            "symbols": tuple(wire["plan"]["symbols"]),
        }
        tls = None if wire["tls"] is None else Tls(**wire["tls"])
        return cls(
            connection=Connection(target=wire["target"], token=wire["token"], tls=tls),
            plan=LoadPlan(**plan),
            part=wire["part"],
            first_open_times_ns=tuple(wire["first_open_times_ns"]),
        )
