"""One process of a load test: reads jobs as JSON lines, runs them, writes what happened as JSON lines.

In: a job, then the moment to start (seconds of the monotonic clock, which all processes share).
Out: `ready`, then a `tally` for each interval that has passed, then `done`; or `error` with the message.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from candlewire.errors import CandlewireError
from candlewire.load_test.bar_stream import BarLoad
from candlewire.load_test.plan import Job, Scenario
from candlewire.load_test.scoring import ScoringLoad
from candlewire.load_test.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERVAL_S = 0.5


class Load(Protocol):
    """A scenario of one worker."""

    async def open(self) -> None:
        """Prepares everything that is not to be measured."""

    async def run(self, started_s: float, ledger: Ledger) -> None:
        """Runs until every answer is in."""

    async def close(self) -> None:
        """Gives everything back."""


class Ledger:
    """The tally of the present interval.

    Attributes:
        tally: Where outcomes are counted; another object after each interval.
    """

    def __init__(self) -> None:
        self.tally = Tally()

    def turn(self) -> Tally:
        """Ends the interval and returns its tally."""
        ended, self.tally = self.tally, Tally()
        return ended


def write(message: Mapping[str, Any]) -> None:
    """One line to the parent."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def report(ledger: Ledger, started_s: float) -> None:
    """Writes the tally of each interval as it ends."""
    interval = 0
    while True:
        await asyncio.sleep(max(started_s + (interval + 1) * INTERVAL_S - time.monotonic(), 0.0))
        write({"interval": interval, "tally": ledger.turn().to_wire()})
        interval += 1


async def work(job: Job) -> None:
    """Runs one job."""
    load: Load = ScoringLoad(job) if job.plan.scenario is Scenario.SCORING else BarLoad(job)
    try:
        await load.open()
        write({"ready": True})
        started_s = float(json.loads(sys.stdin.readline())["start_s"])
        ledger = Ledger()
        reports = asyncio.create_task(report(ledger, started_s))
        try:
            await load.run(started_s, ledger)
        finally:
            reports.cancel()
        last = int((time.monotonic() - started_s) / INTERVAL_S)
        write({"interval": last, "tally": ledger.turn().to_wire()})
        write({"done": True})
    finally:
        await load.close()


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose timers are not rounded up to whole milliseconds, as those over epoll are."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def main() -> None:
    """Runs jobs until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        while line := sys.stdin.readline():
            try:
                runner.run(work(Job.from_wire(json.loads(line))))
            except CandlewireError as error:
                write({"error": str(error), "kind": type(error).__name__})
            except BrokenPipeError:
                return


if __name__ == "__main__":
    main()
