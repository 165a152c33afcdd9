"""A subscription of the synchronous client."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import grpc

from candlewire.connection import seconds
from candlewire.errors import CandlewireError, DeadlineExceededError, UnavailableError
from candlewire.wire import signal_from_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from candlewire_proto.v1.signals_pb2 import SubscribeRequest, SubscribeResponse

    from candlewire.connection import Connection
    from candlewire.types import SignalEvent

RESUME_BACKOFF_MS = 50.0
MAXIMUM_RESUME_BACKOFF_MS = 1_000.0


class Subscription:
    """An iterator over signals; ends when it is closed or its duration passes.

    Closing it from another thread ends an iteration that waits.

    Attributes:
        head_sequence: The server's newest sequence number when it confirmed.
        last_sequence: Sequence number of the last signal seen; None before the first.
        dropped_signals: Signals that the server dropped for this subscriber, in all.
        resumed: Times that the connection was resumed.
    """

    def __init__(
        self,
        *,
        open_call: Callable[[SubscribeRequest, float | None], Any],
        request: SubscribeRequest,
        connection: Connection,
        confirm_within_ms: float,
        resume_for_ms: float,
        duration_ms: float | None,
    ) -> None:
        self._open_call = open_call
        self._request = request
        self._connection = connection
        self._confirm_within_s = seconds(confirm_within_ms)
        self._resume_for_s = resume_for_ms / 1e3
        duration_s = None if duration_ms is None else seconds(duration_ms)
        self._ends_at_s = None if duration_s is None else time.monotonic() + duration_s
        self._closed = threading.Event()
        self._waiting: SubscribeResponse | None = None
        self.head_sequence = 0
        self.last_sequence: int | None = None
        self.dropped_signals = 0
        self.resumed = 0
        self._call = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> SignalEvent:
        while True:
            message = self._read()
            if message.dropped_signals:
                self.dropped_signals += message.dropped_signals
            if message.HasField("signal"):
                self.last_sequence = message.signal.sequence
                return signal_from_message(message.signal, message.dropped_signals)

    def close(self) -> None:
        """Ends the subscription."""
        self._closed.set()
        self._call.cancel()

    def _read(self) -> SubscribeResponse:
        while True:
            if self._waiting is not None:
                message, self._waiting = self._waiting, None
                return message
            lost: CandlewireError
            try:
                return next(self._call)  # type: ignore[no-any-return]
            except StopIteration:
                lost = UnavailableError(
                    f"{self._connection.target} ended the subscription: it is shutting down",
                    code="UNAVAILABLE",
                )
            except grpc.RpcError as failed:
                lost = self._connection.error(failed)
            if self._closed.is_set() or self._is_over():
                self._call.cancel()
                raise StopIteration
            if not isinstance(lost, UnavailableError):
                raise lost
            self._resume(lost)

    def _is_over(self) -> bool:
        return self._ends_at_s is not None and time.monotonic() >= self._ends_at_s - 0.001

    def _resume(self, lost: CandlewireError) -> None:
        """Connects again behind the last signal seen.

        Raises:
            CandlewireError: `lost`, when the server did not come back in time, or why it refused.
        """
        give_up_s = time.monotonic() + self._resume_for_s
        backoff_ms = RESUME_BACKOFF_MS
        seen = self.last_sequence if self.last_sequence is not None else self.head_sequence
        self._request.after_sequence = seen
        while time.monotonic() + backoff_ms / 1e3 < give_up_s:
            if self._closed.wait(backoff_ms / 1e3) or self._is_over():
                raise StopIteration
            backoff_ms = min(2 * backoff_ms, MAXIMUM_RESUME_BACKOFF_MS)
            try:
                self._call = self._connect()
            except (UnavailableError, DeadlineExceededError):
                continue
            self.resumed += 1
            return
        raise lost

    def _connect(self) -> Any:  # noqa: ANN401 - grpc names no type for the call
        """Opens the call and waits for the server's confirmation."""
        remaining_s = None if self._ends_at_s is None else max(self._ends_at_s - time.monotonic(), 0.001)
        call = self._open_call(self._request, remaining_s)
        late = threading.Event()

        def give_up() -> None:
            late.set()
            call.cancel()

        timer = threading.Timer(self._confirm_within_s or threading.TIMEOUT_MAX, give_up)
        timer.daemon = True
        timer.start()
        try:
            first = next(call)
        except StopIteration:
            raise UnavailableError(
                f"{self._connection.target} ended the subscription before it confirmed", code="UNAVAILABLE"
            ) from None
        except grpc.RpcError as failed:
            if late.is_set():
                raise DeadlineExceededError(
                    f"{self._connection.target} did not confirm the subscription within "
                    f"{(self._confirm_within_s or 0) * 1e3:g} ms; raise `timeout_ms`",
                    code="DEADLINE_EXCEEDED",
                ) from None
            raise self._connection.error(failed) from None
        finally:
            timer.cancel()
        self.head_sequence = max(first.head_sequence, self.head_sequence)
        if first.HasField("signal"):
            self._waiting = first
        return call
