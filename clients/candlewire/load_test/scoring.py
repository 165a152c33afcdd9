"""The scoring scenario: `Score` calls, one worker's part."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from typing import TYPE_CHECKING, Any

import grpc

from candlewire.errors import OverloadedError
from candlewire.load_test.schedule import due_times_s
from candlewire.methods import SCORE, open_aio_channel
from candlewire.wire import encode_score_request

if TYPE_CHECKING:
    from candlewire.load_test.plan import Job
    from candlewire.load_test.worker import Ledger

DIFFERENT_ROWS = 64
PROBE_TIMEOUT_S = 5.0


class ScoringLoad:
    """Connections that are open and requests that are encoded, ready to send."""

    def __init__(self, job: Job) -> None:
        plan = job.plan
        draws = random.Random(plan.seed + job.part)  # noqa: S311 - draws a load, guards nothing
        rows = [[draws.gauss(0.0, 1.0) for _ in range(plan.feature_count)] for _ in range(DIFFERENT_ROWS)]
        self._requests = [encode_score_request(row, None, model=plan.model) for row in rows]
        self._job = job
        self._channels = [open_aio_channel(job.connection) for _ in range(job.share(plan.connections))]
        self._methods: list[Any] = [channel.unary_unary(SCORE) for channel in self._channels]
        self._metadata = job.connection.metadata()

    async def open(self) -> None:
        """Opens each connection, outside the measurement.

        Raises:
            CandlewireError: The server does not take the first request: nothing would be learnt from more.
        """
        for method in self._methods:
            try:
                await method(self._requests[0], timeout=PROBE_TIMEOUT_S, metadata=self._metadata)
            except grpc.aio.AioRpcError as failed:
                error = self._job.connection.error(failed)
                if not isinstance(error, OverloadedError):
                    raise error from None

    async def run(self, started_s: float, ledger: Ledger) -> None:
        """Sends every request when it is due and waits for every answer."""
        plan, parts = self._job.plan, self._job.plan.workers
        timeout_s = plan.timeout_ms / 1e3
        # Parts of a Poisson process are Poisson processes; parts of a constant one stand between each other.
        due_times = due_times_s(
            plan.rate / parts, plan.duration_s, plan.arrivals, seed=plan.seed * 1_000 + self._job.part
        )
        offset_s = started_s + (self._job.part / plan.rate if plan.arrivals.value == "constant" else 0.0)
        calls = zip(itertools.cycle(self._requests), itertools.cycle(self._methods), strict=False)
        waiting: set[asyncio.Task[None]] = set()
        clock = time.monotonic

        async def call(method: Any, request: bytes, due_at_s: float) -> None:  # noqa: ANN401 - see methods
            try:
                await method(request, timeout=timeout_s, metadata=self._metadata)
            except grpc.aio.AioRpcError as failed:
                ledger.tally.failed[failed.code().name] += 1
            else:
                now_s = clock()
                ledger.tally.answer(now_s - due_at_s, now_s - started_s)

        for due_s, (request, method) in zip(due_times, calls, strict=False):
            due_at_s = offset_s + due_s
            wait_s = due_at_s - clock()
            # A late generator still lets its answers in.
            await asyncio.sleep(max(wait_s, 0.0))
            ledger.tally.send(clock() - due_at_s)
            task = asyncio.create_task(call(method, request, due_at_s))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        while waiting:
            await asyncio.wait(waiting)

    async def close(self) -> None:
        """Closes the connections."""
        for channel in self._channels:
            await channel.close()
