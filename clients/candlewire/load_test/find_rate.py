"""The highest rate at which a server keeps a latency target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from candlewire.load_test.tally import LATE_SHARE

if TYPE_CHECKING:
    from collections.abc import Callable

    from candlewire.load_test.crew import LoadResult

# The search ends when the two rates that enclose the answer are so close.
PRECISION = 1.05
MOST_LOADS = 24
GOODPUT_SHARE = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rate that was tried.

    Attributes:
        result: What it came to.
        kept: The target was kept.
        reason: Why not; empty when it was.
    """

    result: LoadResult
    kept: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRate:
    """What the search found.

    Attributes:
        rate: The highest rate that kept the target; zero when even the lowest did not.
        p99_ms: The target.
        limited_by_generator: Just above that rate the generator was late itself: the server may do more.
        steps: All rates tried, in order.
    """

    rate: float
    p99_ms: float
    limited_by_generator: bool
    steps: tuple[Step, ...]


def judge(result: LoadResult, p99_ms: float) -> Step:
    """Whether a load kept the target: its p99, no failure, and answers as fast as requests."""
    summary = result.summary
    p99_us = summary.latency_us["p99"]
    reason = ""
    if summary.failed:
        reason = "failed: " + ", ".join(f"{count:,} {code}" for code, count in summary.failed.items())
    elif not p99_us <= p99_ms * 1e3:
        reason = f"p99 {p99_us / 1e3:,.2f} ms"
    elif summary.answering_s > summary.duration_s / GOODPUT_SHARE + p99_ms / 1e3:
        reason = f"answers took {summary.answering_s:,.1f} s"
    return Step(result=result, kept=not reason, reason=reason)


def find_rate(
    run: Callable[[float], LoadResult],
    *,
    first_rate: float,
    p99_ms: float,
    told: Callable[[Step], None] | None = None,
) -> FoundRate:
    """Doubles the rate until the target is missed, then halves the distance (in ratio) until it is known.

    A rate that misses is tried once more before it counts, so that one stall of the machine does not decide.

    Args:
        run: Runs a load at a rate.
        first_rate: Where to begin.
        p99_ms: The target for the 99th percentile from the due time.
        told: Called after each step.
    """
    steps: list[Step] = []

    def keeps(rate: float) -> bool:
        for _ in range(2):
            step = judge(run(rate), p99_ms)
            steps.append(step)
            if told is not None:
                told(step)
            if step.kept:
                break
        return steps[-1].kept

    low, high, rate = 0.0, 0.0, first_rate
    while len(steps) < MOST_LOADS and (not low or not high or high / low > PRECISION):
        if keeps(rate):
            low = rate
        else:
            high = rate
        rate = (low * high) ** 0.5 if low and high else (2 * low or high / 2)
        if not low and rate < first_rate / 256:
            break
    above = [step for step in steps if not step.kept and step.result.plan.rate > low]
    nearest = min((step.result.plan.rate for step in above), default=0.0)
    return FoundRate(
        rate=low,
        p99_ms=p99_ms,
        limited_by_generator=any(
            _generator_was_late(step, p99_ms) for step in above if step.result.plan.rate == nearest
        ),
        steps=tuple(steps),
    )


def _generator_was_late(step: Step, p99_ms: float) -> bool:
    return step.result.summary.late_p99_us > LATE_SHARE * p99_ms * 1e3
