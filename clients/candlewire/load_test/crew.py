"""Runs a plan on several processes and gathers what they report."""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import candlewire.errors
from candlewire.client import Client
from candlewire.errors import CandlewireError
from candlewire.load_test.made_up_bars import prepare_series
from candlewire.load_test.plan import Job, LoadPlan, Scenario
from candlewire.load_test.tally import Moment, Summary, Tally, moment, summarise
from candlewire.load_test.worker import INTERVAL_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from candlewire.connection import Connection

# Between the word to start and the start, so that all workers begin together.
HEAD_START_S = 0.05
READY_S = 60.0
# Beyond the load and the longest wait for answers, a worker that says nothing is broken.
PATIENCE_S = 60.0
PREPARE_TIMEOUT_MS = 10_000.0
# A last interval shorter than this holds too little for a rate.
SHORTEST_S = INTERVAL_S / 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What a load found.

    Attributes:
        plan: The load.
        summary: What it came to.
        moments: How it went, one interval each.
        tally: All outcomes.
    """

    plan: LoadPlan
    summary: Summary
    moments: tuple[Moment, ...]
    tally: Tally


class Crew:
    """Worker processes, started once for any number of loads of the same shape.

    with Crew(connection, processes=2) as crew:
        result = crew.run(plan)
    """

    def __init__(self, connection: Connection, *, processes: int) -> None:
        self._connection = connection
        self._workers = [_start_worker() for _ in range(processes)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers."""
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            worker.wait()

    def run(self, plan: LoadPlan, *, progress: Callable[[Moment], None] | None = None) -> LoadResult:
        """Runs one load to its last answer.

        Args:
            plan: What to send.
            progress: Called after each interval.

        Raises:
            CandlewireError: A worker could not begin, or broke; the message says why.
        """
        first_ns: tuple[int, ...] = ()
        if plan.scenario is not Scenario.SCORING:
            connection = self._connection
            with Client(
                connection.target, timeout_ms=PREPARE_TIMEOUT_MS, tls=connection.tls, token=connection.token
            ) as client:
                first_ns = prepare_series(client, plan)
        workers = self._workers[: plan.workers]
        for part, worker in enumerate(workers):
            job = Job(connection=self._connection, plan=plan, part=part, first_open_times_ns=first_ns)
            _say(worker, job.to_wire())
        for _ in self._messages(workers, "ready", time.monotonic() + READY_S):
            pass
        start_s = time.monotonic() + HEAD_START_S
        for worker in workers:
            _say(worker, {"start_s": start_s})
        return self._gather(plan, workers, start_s, progress)

    def _gather(
        self,
        plan: LoadPlan,
        workers: list[subprocess.Popen[str]],
        start_s: float,
        progress: Callable[[Moment], None] | None,
    ) -> LoadResult:
        total = Tally()
        intervals: dict[int, Tally] = {}
        reported: dict[int, int] = {}
        give_up_s = start_s + plan.duration_s + plan.timeout_ms / 1e3 + PATIENCE_S
        for message in self._messages(workers, "done", give_up_s):
            if "tally" not in message:
                continue
            number, tally = message["interval"], Tally.from_wire(message["tally"])
            total.merge(tally)
            intervals.setdefault(number, Tally()).merge(tally)
            reported[number] = reported.get(number, 0) + 1
            if progress is not None and reported[number] == len(workers):
                progress(_moment(number, intervals[number]))
        return LoadResult(
            plan=plan,
            summary=summarise(total, asked_rate=plan.rate, duration_s=plan.duration_s),
            moments=tuple(
                _moment(number, tally, until_s=total.last_answer_s)
                for number, tally in sorted(intervals.items())
                if not number or tally.failed or total.last_answer_s - number * INTERVAL_S > SHORTEST_S
            ),
            tally=total,
        )

    def _messages(
        self, workers: list[subprocess.Popen[str]], last: str, give_up_s: float
    ) -> Iterator[dict[str, Any]]:
        """Messages of the workers until each has said `last`.

        Raises:
            CandlewireError: A worker reports an error, ends, or is silent for too long.
        """
        with selectors.DefaultSelector() as selector:
            buffers: dict[int, bytes] = {}
            for worker in workers:
                assert worker.stdout is not None  # noqa: S101 - started with a pipe
                selector.register(worker.stdout.fileno(), selectors.EVENT_READ)
                buffers[worker.stdout.fileno()] = b""
            waiting = set(buffers)
            while waiting:
                ready = selector.select(max(give_up_s - time.monotonic(), 0.0))
                if not ready:
                    raise CandlewireError("a load-test worker does not answer; is this machine overloaded?")
                for key, _ in ready:
                    chunk = os.read(key.fd, 1 << 20)
                    if not chunk:
                        raise CandlewireError("a load-test worker ended early; its message is above")
                    *lines, buffers[key.fd] = (buffers[key.fd] + chunk).split(b"\n")
                    for line in lines:
                        message = json.loads(line)
                        if "error" in message:
                            raise getattr(candlewire.errors, message["kind"])(message["error"])
                        yield message
                        if last in message:
                            waiting.discard(key.fd)
                            selector.unregister(key.fd)


def _start_worker() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "candlewire.load_test.worker"]
    return subprocess.Popen(  # noqa: S603 - this interpreter, this package
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _say(worker: subprocess.Popen[str], message: dict[str, Any]) -> None:
    assert worker.stdin is not None  # noqa: S101 - started with a pipe
    with contextlib.suppress(BrokenPipeError):  # it ended: reading from it says so
        worker.stdin.write(json.dumps(message) + "\n")
        worker.stdin.flush()


def _moment(number: int, tally: Tally, *, until_s: float = math.inf) -> Moment:
    begun_s = number * INTERVAL_S
    lasted_s = min(INTERVAL_S, until_s - begun_s)
    if lasted_s < SHORTEST_S:
        lasted_s = INTERVAL_S
    return moment(tally, at_s=begun_s + lasted_s, interval_s=lasted_s)


def run_load(
    connection: Connection, plan: LoadPlan, *, progress: Callable[[Moment], None] | None = None
) -> LoadResult:
    """Runs one load on workers of its own; see `Crew.run`."""
    with Crew(connection, processes=plan.workers) as crew:
        return crew.run(plan, progress=progress)
