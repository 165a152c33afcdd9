"""Outcomes of a load, and what they add up to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from candlewire.load_test.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99, 100.0)
# Above this share of the measured latency, the generator's own lateness is what was measured.
LATE_SHARE = 0.5


class Tally:
    """Outcomes of one worker, or of all, over some time.

    Attributes:
        sent: Requests sent.
        latency: From the due time of a request to its answer.
        late: From the due time of a request to its sending: the generator's own delay.
        failed: Failures by status code, or by what became of a bar.
        last_answer_s: Seconds into the load of the last answer.
    """

    __slots__ = ("failed", "last_answer_s", "late", "latency", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self.latency = Histogram()
        self.late = Histogram()
        self.failed: Counter[str] = Counter()
        self.last_answer_s = 0.0

    def send(self, late_s: float) -> None:
        """A request was sent, `late_s` after it was due."""
        self.sent += 1
        self.late.add(int(late_s * 1e9))

    def answer(self, latency_s: float, at_s: float) -> None:
        """A request was answered, `latency_s` after it was due and `at_s` into the load."""
        self.latency.add(int(latency_s * 1e9))
        self.last_answer_s = max(self.last_answer_s, at_s)

    def merge(self, other: Tally) -> None:
        """Adds the outcomes of `other`."""
        self.sent += other.sent
        self.latency.merge(other.latency)
        self.late.merge(other.late)
        self.failed.update(other.failed)
        self.last_answer_s = max(self.last_answer_s, other.last_answer_s)

    def to_wire(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {
            "sent": self.sent,
            "latency": self.latency.to_wire(),
            "late": self.late.to_wire(),
            "failed": dict(self.failed),
            "last_answer_s": self.last_answer_s,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """What `to_wire` wrote."""
        tally = cls()
        tally.sent = wire["sent"]
        tally.latency = Histogram.from_wire(wire["latency"])
        tally.late = Histogram.from_wire(wire["late"])
        tally.failed = Counter(wire["failed"])
        tally.last_answer_s = wire["last_answer_s"]
        return tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One interval of a load.

    Attributes:
        at_s: Its end, seconds into the load.
        answered_rate: Answers per second.
        p50_us: Median latency of its answers; NaN without any.
        p99_us: 99th percentile.
        failed: Failures within.
        late_p99_us: 99th percentile of the generator's own delay.
    """

    at_s: float
    answered_rate: float
    p50_us: float
    p99_us: float
    failed: int
    late_p99_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a load came to.

    Attributes:
        asked_rate: Requests (or bars) per second that were due.
        duration_s: Length of the load.
        sent: Requests sent.
        answered: Requests answered; in a fan-out, signals received by all subscribers together.
        failed: Failures by status code, or by what became of a bar.
        answering_s: From the start of the load to its last answer, at least `duration_s`.
        answered_rate: Answers per second of `answering_s`: the goodput.
        latency_us: Percentile to latency from the due time, answered requests only.
        mean_us: Mean latency from the due time.
        late_p99_us: How late the generator itself sent, 99th percentile.
        generator_late: The generator, not the server, made much of the latency.
    """

    asked_rate: float
    duration_s: float
    sent: int
    answered: int
    failed: dict[str, int]
    answering_s: float
    answered_rate: float
    latency_us: dict[str, float]
    mean_us: float
    late_p99_us: float
    generator_late: bool


def moment(tally: Tally, *, at_s: float, interval_s: float) -> Moment:
    """One interval as shown."""
    return Moment(
        at_s=at_s,
        answered_rate=tally.latency.count / interval_s,
        p50_us=tally.latency.percentile_us(50.0),
        p99_us=tally.latency.percentile_us(99.0),
        failed=tally.failed.total(),
        late_p99_us=tally.late.percentile_us(99.0),
    )


def summarise(tally: Tally, *, asked_rate: float, duration_s: float) -> Summary:
    """What all outcomes add up to."""
    answering_s = max(tally.last_answer_s, duration_s)
    late_p99_us = tally.late.percentile_us(99.0)
    return Summary(
        asked_rate=asked_rate,
        duration_s=duration_s,
        sent=tally.sent,
        answered=tally.latency.count,
        failed=dict(tally.failed),
        answering_s=answering_s,
        answered_rate=tally.latency.count / answering_s,
        latency_us={f"p{percent:g}": tally.latency.percentile_us(percent) for percent in PERCENTILES},
        mean_us=tally.latency.mean_us,
        late_p99_us=late_p99_us,
        generator_late=late_p99_us > LATE_SHARE * tally.latency.percentile_us(99.0),
    )
