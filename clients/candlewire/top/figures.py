"""What two scrapes say of the time between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from candlewire.top.scrape import Snapshot

PERCENTILES = (50.0, 90.0, 99.0)
FATES = ("accepted", "duplicate", "replaced", "late_applied", "rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A histogram over an interval.

    Attributes:
        rate: Observations per second.
        mean_us: Their mean; NaN without any.
        percentiles_us: 50, 90 and 99 %, by linear interpolation within a bucket.
    """

    rate: float
    mean_us: float
    percentiles_us: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """One version of one model over an interval.

    Attributes:
        model: Its name.
        version: Its version.
        rows_rate: Rows scored per second.
        batch_rows: Mean rows that ran together; NaN when none ran.
        waiting: Mean number of requests in the queue, by Little's law: seconds waited in each second.
        queue: Time in the queue.
        inference: Time in the model.
        rejected: Rejections since the start of the server, by reason.
        failures: Failed runs since the start of the server.
    """

    model: str
    version: str
    rows_rate: float
    batch_rows: float
    waiting: float
    queue: Latency
    inference: Latency
    rejected: dict[str, int]
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The whole server over an interval.

    Attributes:
        interval_s: Length of the interval.
        connections: Open connections.
        subscribers: Open subscriptions.
        requests: Unary scores, from decoded request to response.
        bar_to_signal: From receiving a bar to handing its signal to the hub.
        bars_rate: Bars per second by fate.
        signals_rate: Signals per second.
        dropped_rate: Signals dropped for slow subscribers, per second.
        outcomes: Outcomes realised since the start of the server.
        refused: Refused requests since the start of the server, by reason.
        models: One entry a version.
    """

    interval_s: float
    connections: int
    subscribers: int
    requests: Latency
    bar_to_signal: Latency
    bars_rate: dict[str, float]
    signals_rate: float
    dropped_rate: float
    outcomes: int
    refused: dict[str, int]
    models: tuple[ModelFigures, ...]


def compare(earlier: Snapshot, later: Snapshot) -> Figures:
    """The figures of the time between two scrapes."""
    between = _Between(earlier, later)
    versions = sorted(
        {
            (labels["model"], labels.get("version", ""))
            for labels, _ in later.of("candlewire_scored_rows_total")
            if "model" in labels
        }
    )
    return Figures(
        interval_s=between.seconds,
        connections=int(later.total("candlewire_connections")),
        subscribers=int(later.total("candlewire_subscribers")),
        requests=between.latency("candlewire_request_seconds"),
        bar_to_signal=between.latency("candlewire_bar_to_signal_seconds"),
        bars_rate={fate: between.rate("candlewire_bars_total", fate=fate) for fate in FATES},
        signals_rate=between.rate("candlewire_signals_total"),
        dropped_rate=between.rate("candlewire_dropped_signals_total"),
        outcomes=int(later.total("candlewire_outcomes_total")),
        refused=_by_reason(later, "candlewire_refused_requests_total"),
        models=tuple(between.model(model, version) for model, version in versions),
    )


def _by_reason(snapshot: Snapshot, name: str, **labels: str) -> dict[str, int]:
    counts = {found.get("reason", ""): int(value) for found, value in snapshot.of(name, **labels) if value}
    return dict(sorted(counts.items()))


class _Between:
    """Growth of counters and histograms; a server that has restarted counts from zero."""

    def __init__(self, earlier: Snapshot, later: Snapshot) -> None:
        self.earlier, self.later = earlier, later
        self.seconds = max(later.at_s - earlier.at_s, 1e-9)

    def growth(self, name: str, **labels: str) -> float:
        before, now = self.earlier.total(name, **labels), self.later.total(name, **labels)
        return now - before if now >= before else now

    def rate(self, name: str, **labels: str) -> float:
        return self.growth(name, **labels) / self.seconds

    def latency(self, name: str, **labels: str) -> Latency:
        count = self.growth(f"{name}_count", **labels)
        return Latency(
            rate=count / self.seconds,
            mean_us=self.growth(f"{name}_sum", **labels) / count * 1e6 if count else math.nan,
            percentiles_us=tuple(self.quantile(name, percent, **labels) * 1e6 for percent in PERCENTILES),
        )

    def quantile(self, name: str, percent: float, **labels: str) -> float:
        bounds = sorted(
            {
                float(found["le"]): found["le"] for found, _ in self.later.of(f"{name}_bucket", **labels)
            }.items()
        )
        counts = [self.growth(f"{name}_bucket", le=text, **labels) for _, text in bounds]
        if not counts or counts[-1] <= 0:
            return math.nan
        wanted = counts[-1] * percent / 100.0
        low, below = 0.0, 0.0
        for (high, _), count in zip(bounds, counts, strict=True):
            if count >= wanted and count > below:
                # Above the last bound nothing more is known.
                return low if math.isinf(high) else low + (high - low) * (wanted - below) / (count - below)
            low, below = high, count
        return low

    def model(self, model: str, version: str) -> ModelFigures:
        labels = {"model": model} | ({"version": version} if version else {})
        batches = self.growth("candlewire_batch_rows_count", **labels)
        return ModelFigures(
            model=model,
            version=version,
            rows_rate=self.rate("candlewire_scored_rows_total", **labels),
            batch_rows=self.growth("candlewire_batch_rows_sum", **labels) / batches if batches else math.nan,
            waiting=self.rate("candlewire_queue_seconds_sum", **labels),
            queue=self.latency("candlewire_queue_seconds", **labels),
            inference=self.latency("candlewire_inference_seconds", **labels),
            rejected=_by_reason(self.later, "candlewire_rejected_total", **labels),
            failures=int(self.later.total("candlewire_model_failures_total", **labels)),
        )
