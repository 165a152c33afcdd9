"""The synchronous client."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import grpc

from candlewire import wire
from candlewire.connection import (
    DEFAULT_TARGET,
    DEFAULT_TIMEOUT_MS,
    Connection,
    RetryPolicy,
    Tls,
    seconds,
)
from candlewire.errors import (
    CandlewireError,
    ClientClosedError,
    DeadlineExceededError,
    NotFoundError,
    UnavailableError,
)
from candlewire.methods import Methods, open_channel
from candlewire.outgoing import Outgoing
from candlewire.standard_messages import HealthCheckRequest
from candlewire.subscription import Subscription
from candlewire.types import HealthStatus, SlowSubscriberPolicy, StreamedScore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from candlewire_proto.v1 import bars_pb2, scoring_pb2, signals_pb2
    from typing_extensions import Buffer

    from candlewire.types import Bar, LatestSignals, PublishAck, Score, ScoreBatch, ScoreQuery

__all__ = ["Client"]

READY_POLL_S = 0.02


class Client:
    """Talks to one Candlewire server; safe to share between threads.

    with candlewire.Client("127.0.0.1:50051") as client:
        score = client.score([0.1, 0.2, 0.3])

    Calls raise the errors of `candlewire.errors`. A unary call is repeated only when it changes nothing:
    after UNAVAILABLE, or when a full server says when to come back; `timeout_ms` covers all attempts.
    Published bars are never repeated.

    Args:
        target: `host:port` of the server's data port, or any gRPC target.
        timeout_ms: Deadline of every unary call that names none.
        retries: When to try again; `RetryPolicy(attempts=1)` never does.
        tls: Files for TLS or mutual TLS; None speaks plain text.
        token: Bearer token sent with every call.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout_ms: float = DEFAULT_TIMEOUT_MS,
        retries: RetryPolicy | None = None,
        tls: Tls | None = None,
        token: str | None = None,
    ) -> None:
        self._connection = Connection(
            target=target,
            timeout_ms=timeout_ms,
            retries=retries or RetryPolicy(),
            tls=tls,
            token=token,
        )
        self._metadata = self._connection.metadata()
        self._channel = open_channel(self._connection)
        self._methods = Methods(self._channel)
        self._closed = False

    @property
    def target(self) -> str:
        """Address of the server."""
        return self._connection.target

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; calls in flight are cancelled."""
        self._closed = True
        self._channel.close()

    def score(  # noqa: PLR0913 - the fields of a request, by keyword
        self,
        features: Sequence[float] | Buffer | None = None,
        *,
        bars: Iterable[Bar] | None = None,
        model: str = "",
        symbol: str = "",
        timeframe: str = "",
        model_version: int = 0,
        reference_price: float = 0.0,
        include_members: bool = False,
        feature_spec_hash: str = "",
        timeout_ms: float | None = None,
    ) -> Score:
        """Scores one feature vector, or the last of a window of bars.

        Args:
            features: Values in the order of the model's feature spec: a sequence, `array` or NumPy array of
                shape (features,). float32 buffers are sent as they are, anything else is rounded to
                float32.
            bars: Instead of `features`: consecutive bars of one symbol, oldest first, as many as the spec
                warms up.
            model: Name in the store; empty asks for the default route.
            symbol: What the row belongs to; optional with `features`.
            timeframe: Of the row; empty means the model's own.
            model_version: Zero means what the deployment says.
            reference_price: Last close; above zero asks for a price band. With `bars` the last close is used.
            include_members: Ask for the members' own probabilities.
            feature_spec_hash: Of the spec that `features` were computed with; the server refuses another
                one's.
            timeout_ms: Deadline; None means the client's.

        Raises:
            InvalidRequestError: Wrong feature count, a value that is not finite, bars that contradict
                themselves.
            NotFoundError: No such model or version.
            OverloadedError: The server is full.
        """
        request = wire.encode_score_request(
            features,
            bars,
            model=model,
            symbol=symbol,
            timeframe=timeframe,
            model_version=model_version,
            reference_price=reference_price,
            include_members=include_members,
            feature_spec_hash=feature_spec_hash,
        )
        message: scoring_pb2.ScoreResponse = self._call(self._methods.score, request, timeout_ms)
        return wire.score_from_message(message)

    def score_batch(
        self,
        rows: Sequence[Sequence[float]] | Buffer,
        *,
        model: str = "",
        model_version: int = 0,
        feature_spec_hash: str = "",
        timeout_ms: float | None = None,
    ) -> ScoreBatch:
        """Scores many rows in one call.

        Args:
            rows: A buffer of shape (rows, features), such as a NumPy array, or a sequence of rows.
            model: Name in the store; empty asks for the default route.
            model_version: Zero means what the deployment says.
            feature_spec_hash: Of the spec that the rows were computed with.
            timeout_ms: Deadline; None means the client's.
        """
        request = wire.batch_request(
            rows, model=model, model_version=model_version, feature_spec_hash=feature_spec_hash
        )
        message: scoring_pb2.ScoreBatchResponse = self._call(self._methods.score_batch, request, timeout_ms)
        return wire.batch_from_message(message)

    def score_stream(
        self, queries: Iterable[ScoreQuery], *, timeout_ms: float | None = None
    ) -> Iterator[StreamedScore]:
        """Scores a stream; answers come in the order of the queries, a bad one as an entry with its error.

        Args:
            queries: What to score; read on a thread of its own while answers are consumed.
            timeout_ms: Deadline of the whole stream; None means none.
        """
        outgoing = Outgoing(wire.stream_request)
        call = self._open(self._methods.score_stream, outgoing.requests(queries), timeout_ms)

        def answers() -> Iterator[StreamedScore]:
            try:
                for message in call:
                    outgoing.answered += 1
                    yield wire.streamed_score_from_message(message, target=self.target)
            except grpc.RpcError as error:
                raise self._connection.error(error) from None
            finally:
                call.cancel()
            outgoing.finish("requests")

        return answers()

    def publish(self, bars: Iterable[Bar], *, timeout_ms: float | None = None) -> Iterator[PublishAck]:
        """Publishes closed bars and returns an iterator over what became of each, in order.

        A rejected bar is an answer, not an error: look at `fate`. Nothing is ever repeated by itself; to
        publish again after a broken connection is safe, the server recognises duplicates.

        Args:
            bars: What to publish; read on a thread of its own while acknowledgements are consumed, so a
                generator that waits between bars publishes at its own pace.
            timeout_ms: Deadline of the whole stream; None means none.

        Raises:
            UnavailableError: The server left before all bars were acknowledged.
        """
        outgoing = Outgoing(wire.publish_request)
        call = self._open(self._methods.publish, outgoing.requests(bars), timeout_ms)

        def acknowledgements() -> Iterator[PublishAck]:
            message: bars_pb2.PublishResponse
            try:
                for message in call:
                    outgoing.answered += 1
                    yield wire.ack_from_message(message)
            except grpc.RpcError as error:
                raise self._connection.error(error) from None
            finally:
                call.cancel()
            outgoing.finish("bars")

        return acknowledgements()

    def subscribe(  # noqa: PLR0913 - the fields of a request, by keyword
        self,
        symbols: Sequence[str] = (),
        *,
        timeframes: Sequence[str] = (),
        minimum_confidence: float = 0.0,
        after_sequence: int | None = None,
        slow_policy: SlowSubscriberPolicy = SlowSubscriberPolicy.DROP_OLDEST,
        buffer_signals: int = 0,
        include_not_ready: bool = False,
        resume_for_ms: float = 30_000.0,
        duration_ms: float | None = None,
        timeout_ms: float | None = None,
    ) -> Subscription:
        """Subscribes to signals; returns once the server has confirmed, so no later bar is missed.

        A broken connection is resumed behind the last signal seen, without a hole or a repeat.

        Args:
            symbols: To receive; empty means all.
            timeframes: To receive; empty means all.
            minimum_confidence: Least confidence to receive, 0 to 1.
            after_sequence: Resume after this sequence number; None starts with the next signal.
            slow_policy: What the server does when this subscriber falls behind.
            buffer_signals: Signals the server buffers for it; zero means the server's default.
            include_not_ready: Receive NOT_READY signals too.
            resume_for_ms: How long to try to resume; zero ends the subscription when the connection does.
            duration_ms: End the subscription after this time; None never does.
            timeout_ms: Deadline of the confirmation; None means the client's.

        Raises:
            SequenceLostError: The server no longer holds what follows `after_sequence`.
        """
        request = wire.subscribe_request(
            symbols=symbols,
            timeframes=timeframes,
            minimum_confidence=minimum_confidence,
            after_sequence=after_sequence,
            slow_policy=slow_policy,
            buffer_signals=buffer_signals,
            include_not_ready=include_not_ready,
        )
        return Subscription(
            open_call=lambda message, timeout_s: self._invoke(
                self._methods.subscribe, message, timeout_s, self._metadata
            ),
            request=request,
            connection=self._connection,
            confirm_within_ms=self._connection.timeout_ms if timeout_ms is None else timeout_ms,
            resume_for_ms=resume_for_ms,
            duration_ms=duration_ms,
        )

    def latest(
        self, symbols: Sequence[str] = (), *, timeframe: str = "", timeout_ms: float | None = None
    ) -> LatestSignals:
        """The newest signal of each series.

        Args:
            symbols: Empty means all that the server holds.
            timeframe: Empty means all.
            timeout_ms: Deadline; None means the client's.
        """
        request = wire.latest_request(symbols, timeframe)
        message: signals_pb2.GetLatestResponse = self._call(self._methods.get_latest, request, timeout_ms)
        return wire.latest_from_message(message)

    def health(self, service: str = "", *, timeout_ms: float | None = None) -> HealthStatus:
        """Asks the standard health service.

        Args:
            service: "" for the server, or a service or model that it names.
            timeout_ms: Deadline; None means the client's.
        """
        try:
            message = self._call(self._methods.health_check, HealthCheckRequest(service=service), timeout_ms)
        except NotFoundError as error:
            if error.code == "NOT_FOUND":
                return HealthStatus.SERVICE_UNKNOWN
            raise
        return wire.health_from_message(message)

    def wait_ready(self, timeout_ms: float = 10_000.0, *, service: str = "") -> None:
        """Waits until the server answers its health check with SERVING.

        Raises:
            DeadlineExceededError: It did not within `timeout_ms`; the message says what it was last heard
                to say.
        """
        timeout_s = seconds(timeout_ms)
        deadline_s = time.monotonic() + (timeout_s if timeout_s is not None else float("inf"))
        heard = "no answer"
        while (remaining_s := deadline_s - time.monotonic()) > 0:
            try:
                status = self._once(
                    self._methods.health_check,
                    HealthCheckRequest(service=service),
                    min(remaining_s, 1.0),
                    wait_for_ready=True,
                )
            except UnavailableError as error:
                heard = str(error)
            except DeadlineExceededError:
                pass  # the time is up: what was heard before says more
            except NotFoundError as error:
                if error.code != "NOT_FOUND":
                    raise
                heard = HealthStatus.SERVICE_UNKNOWN.name
            else:
                answer = wire.health_from_message(status)
                if answer is HealthStatus.SERVING:
                    return
                heard = answer.name
            time.sleep(max(0.0, min(READY_POLL_S, deadline_s - time.monotonic())))
        raise DeadlineExceededError(
            f"{self.target} was not ready within {timeout_ms:g} ms; last heard: {heard}",
            code="DEADLINE_EXCEEDED",
        )

    def _call(self, method: Any, request: Any, timeout_ms: float | None) -> Any:  # noqa: ANN401 - see Methods
        """One idempotent unary call, repeated where that is safe."""
        timeout_s = seconds(self._connection.timeout_ms if timeout_ms is None else timeout_ms)
        started_s = time.monotonic()
        try:
            return self._invoke(method, request, timeout_s, self._metadata)
        except grpc.RpcError as failed:
            error = self._connection.error(failed)
        deadline_s = started_s + (timeout_s if timeout_s is not None else float("inf"))
        attempt = 1
        while True:
            delay_ms = self._connection.retries.delay_ms(
                error,
                attempt=attempt,
                remaining_ms=(deadline_s - time.monotonic()) * 1e3,
                spread=random.random(),  # noqa: S311 - spreads callers, guards nothing
            )
            if delay_ms is None:
                raise error
            time.sleep(delay_ms / 1e3)
            attempt += 1
            try:
                return self._once(
                    method, request, None if timeout_s is None else deadline_s - time.monotonic()
                )
            except CandlewireError as next_error:
                error = next_error

    def _once(
        self,
        method: Any,  # noqa: ANN401 - see Methods
        request: Any,  # noqa: ANN401 - any message
        timeout_s: float | None,
        *,
        wait_for_ready: bool = False,
    ) -> Any:  # noqa: ANN401 - any message
        try:
            return self._invoke(method, request, timeout_s, self._metadata, None, wait_for_ready)
        except grpc.RpcError as failed:
            raise self._connection.error(failed) from None

    def _open(self, method: Any, requests: Iterator[Any], timeout_ms: float | None) -> Any:  # noqa: ANN401
        timeout_s = None if timeout_ms is None else seconds(timeout_ms)
        return self._invoke(method, requests, timeout_s, self._metadata)

    def _invoke(self, method: Any, *arguments: Any) -> Any:  # noqa: ANN401 - see Methods
        try:
            return method(*arguments)
        except ValueError as error:
            if self._closed:
                raise ClientClosedError("the client is closed; make another one") from None
            raise error from None
