"""An open-loop load of `Score` calls."""

from __future__ import annotations

import itertools
import random
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

from candlewire.errors import CandlewireError, OverloadedError
from candlewire.load_test.recorder import Recorder
from candlewire.load_test.schedule import Arrivals, due_times_s
from candlewire.methods import SCORE, open_channel
from candlewire.wire import encode_score_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from candlewire.connection import Connection
    from candlewire.load_test.recorder import Summary

DIFFERENT_ROWS = 64
# A thread that wakes for a due request must not wait the usual 5 ms for the interpreter.
SWITCH_INTERVAL_S = 2e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreLoad:
    """A load of `Score` calls.

    Attributes:
        rate: Requests per second.
        duration_s: Length of the load.
        arrivals: Constant or Poisson.
        connections: Connections to spread the calls over.
        feature_count: Values in a row; the rows are standard normal draws.
        model: Model to ask for; empty means the default route.
        timeout_ms: Deadline of a call, from when it is sent.
        seed: Of rows and arrivals.
    """

    rate: float
    duration_s: float
    arrivals: Arrivals
    connections: int
    feature_count: int
    model: str = ""
    timeout_ms: float = 1_000.0
    seed: int = 1

    def requests(self) -> list[bytes]:
        """Encoded requests, to be sent in turn."""
        draws = random.Random(self.seed)  # noqa: S311 - draws a load, guards nothing
        return [
            encode_score_request(
                [draws.gauss(0.0, 1.0) for _ in range(self.feature_count)], None, model=self.model
            )
            for _ in range(DIFFERENT_ROWS)
        ]


def run_score_load(
    connection: Connection, load: ScoreLoad, *, progress: Callable[[float, Recorder], None] | None = None
) -> Summary:
    """Runs the load and waits for every answer.

    Args:
        connection: Where the server is.
        load: What to send.
        progress: Called about twice a second with the seconds passed and the recorder.

    Raises:
        CandlewireError: The server does not take the first request: nothing would be learnt from more.
    """
    recorder = Recorder()
    requests = load.requests()
    channels = [open_channel(connection) for _ in range(load.connections)]
    methods: list[Any] = [channel.unary_unary(SCORE) for channel in channels]
    metadata = connection.metadata()
    timeout_s = load.timeout_ms / 1e3
    interval_s = sys.getswitchinterval()
    stop_showing = threading.Event()
    try:
        for method in methods:  # opens each connection, outside the measurement
            _probe(connection, method, requests[0], timeout_s)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        calls = zip(itertools.cycle(requests), itertools.cycle(methods), strict=False)
        due_times = due_times_s(load.rate, load.duration_s, load.arrivals, seed=load.seed)
        started_s = time.perf_counter()
        watcher = threading.Thread(
            target=_watch,
            args=(started_s, recorder, progress, stop_showing),
            daemon=True,
            name="load-test progress",
        )
        watcher.start()
        for due_s, (request, method) in zip(due_times, calls, strict=False):
            due_at_s = started_s + due_s
            wait_s = due_at_s - time.perf_counter()
            if wait_s > 0:
                time.sleep(wait_s)
            recorder.sent(max(time.perf_counter() - due_at_s, 0.0) * 1e6)
            future = method.future(request, timeout=timeout_s, metadata=metadata)
            future.add_done_callback(partial(_finish, recorder, started_s, due_at_s))
        sent = recorder.sent_count
        give_up_s = time.perf_counter() + timeout_s + 1.0
        while recorder.finished < sent and time.perf_counter() < give_up_s:
            time.sleep(0.005)
    finally:
        sys.setswitchinterval(interval_s)
        stop_showing.set()
        for channel in channels:
            channel.close()
    return recorder.summary(asked_rate=load.rate, duration_s=load.duration_s)


def _probe(connection: Connection, method: Any, request: bytes, timeout_s: float) -> None:  # noqa: ANN401 - see methods
    try:
        method(request, timeout=max(timeout_s, 5.0), metadata=connection.metadata())
    except grpc.RpcError as failed:
        error: CandlewireError = connection.error(failed)
        if not isinstance(error, OverloadedError):
            raise error from None


def _finish(recorder: Recorder, started_s: float, due_at_s: float, done: Any) -> None:  # noqa: ANN401 - a grpc.Future and Call
    now_s = time.perf_counter()
    code = done.code()
    if code is grpc.StatusCode.OK:
        recorder.answered((now_s - due_at_s) * 1e6, now_s - started_s)
    else:
        recorder.failed(code.name)


def _watch(
    started_s: float,
    recorder: Recorder,
    progress: Callable[[float, Recorder], None] | None,
    stop: threading.Event,
) -> None:
    while progress is not None and not stop.wait(0.5):
        progress(time.perf_counter() - started_s, recorder)
