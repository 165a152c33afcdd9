"""Latencies and failures of a load, and what they add up to."""

from __future__ import annotations

import math
import threading
from array import array
from collections import Counter
from dataclasses import dataclass

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99, 100.0)


def percentile(ascending: array[float], percent: float) -> float:
    """The smallest value that `percent` percent of all do not exceed (nearest rank); NaN without values."""
    if not ascending:
        return math.nan
    return ascending[max(math.ceil(len(ascending) * percent / 100.0), 1) - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a load came to.

    Attributes:
        asked_rate: Requests per second that were due.
        duration_s: Length of the load.
        sent: Requests sent.
        answered: Requests answered with a score.
        failed: Failures by status code.
        answering_s: From the start of the load to its last answer, at least `duration_s`.
        answered_rate: Answers per second of `answering_s`: the goodput.
        latency_us: Percentile to latency from the due time, answered requests only.
        mean_us: Mean latency from the due time.
        late_p99_us: How late the generator itself sent, 99th percentile: above a fraction of the latencies,
            the generator is the bottleneck.
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


class Recorder:
    """Collects outcomes from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latencies_us = array("d")
        self._late_us = array("d")
        self._last_answer_s = 0.0
        self._failed: Counter[str] = Counter()
        self._recent_us = array("d")

    def sent(self, late_us: float) -> None:
        """A request was sent, `late_us` after it was due."""
        self._late_us.append(late_us)

    def answered(self, latency_us: float, at_s: float) -> None:
        """A request was answered, `latency_us` after it was due and `at_s` into the load."""
        with self._lock:
            self._last_answer_s = max(self._last_answer_s, at_s)
            self._latencies_us.append(latency_us)
            self._recent_us.append(latency_us)

    def failed(self, code: str) -> None:
        """A request failed."""
        with self._lock:
            self._failed[code] += 1

    @property
    def sent_count(self) -> int:
        """Requests sent."""
        return len(self._late_us)

    @property
    def finished(self) -> int:
        """Requests answered or failed."""
        with self._lock:
            return len(self._latencies_us) + self._failed.total()

    def recent(self) -> tuple[int, float, int]:
        """Answers, their 99th percentile in µs and all failures, since the last look."""
        with self._lock:
            recent, self._recent_us = self._recent_us, array("d")
            failures = self._failed.total()
        return len(recent), percentile(array("d", sorted(recent)), 99.0), failures

    def summary(self, *, asked_rate: float, duration_s: float) -> Summary:
        """What it all came to."""
        with self._lock:
            ascending = array("d", sorted(self._latencies_us))
            failed = dict(self._failed)
            answering_s = max(self._last_answer_s, duration_s)
        return Summary(
            asked_rate=asked_rate,
            duration_s=duration_s,
            sent=len(self._late_us),
            answered=len(ascending),
            failed=failed,
            answering_s=answering_s,
            answered_rate=len(ascending) / answering_s,
            latency_us={f"p{percent:g}": percentile(ascending, percent) for percent in PERCENTILES},
            mean_us=sum(ascending) / len(ascending) if ascending else math.nan,
            late_p99_us=percentile(array("d", sorted(self._late_us)), 99.0),
        )
