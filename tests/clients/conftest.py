"""A server that keeps the contract without a model and can be made to fail: the client is tested alone."""

from __future__ import annotations

import asyncio
import itertools
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import candlewire
import grpc
import pytest
from candlewire import aio
from candlewire.standard_messages import (
    BadRequest,
    ErrorInfo,
    HealthCheckRequest,
    HealthCheckResponse,
    RetryInfo,
    Status,
)
from candlewire.status_details import TRAILER
from candlewire_proto.v1 import (
    bars_pb2,
    bars_pb2_grpc,
    scoring_pb2,
    scoring_pb2_grpc,
    signals_pb2,
    signals_pb2_grpc,
)

FEATURES = 4
MODEL_VERSION = 20261121014417


class Refusal(Exception):  # noqa: N818 - what the server says, not what went wrong in it
    """A gRPC status with its google.rpc details."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str = "",
        *,
        reason: str = "",
        field: str = "",
        metadata: dict[str, str] | None = None,
        retry_after_ms: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.reason, self.field = code, message, reason, field
        self.metadata, self.retry_after_ms = metadata or {}, retry_after_ms

    def trailers(self) -> tuple[tuple[str, bytes], ...]:
        status = Status(code=self.code.value[0], message=self.message)
        for name, detail in self._details():
            status.details.add(
                type_url=f"type.googleapis.com/google.rpc.{name}", value=detail.SerializeToString()
            )
        return ((TRAILER, status.SerializeToString()),) if status.details else ()

    def _details(self) -> Iterator[tuple[str, Any]]:
        if self.reason:
            info = ErrorInfo(reason=self.reason, domain="candlewire")
            for key, value in self.metadata.items():
                info.metadata.add(key=key, value=value)
            yield "ErrorInfo", info
        if self.field:
            request = BadRequest()
            request.field_violations.add(field=self.field, description=self.message)
            yield "BadRequest", request
        if self.retry_after_ms is not None:
            retry = RetryInfo()
            retry.retry_delay.nanos = int(self.retry_after_ms * 1e6)
            yield "RetryInfo", retry


def refuse(context: Any, refusal: Refusal) -> None:
    context.set_trailing_metadata(refusal.trailers())
    context.abort(refusal.code, refusal.message)


class FakeServer:
    """Scores a row as the logistic-free mean of its features; remembers what it was asked.

    Attributes:
        refusals: Taken one by one: each makes one unary call, or one subscription, fail.
        scored: Score requests as they came.
        metadata: Metadata of the last call.
        health: Answer of the health service.
    """

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []
        self.scored: list[scoring_pb2.ScoreRequest] = []
        self.metadata: dict[str, str] = {}
        self.health = 1
        self.calls = 0
        self.hold = threading.Event()
        self.held = threading.Event()
        self.hold_calls = False
        self.delay_s = 0.0
        self.tells_of_drops = True
        self.history: list[signals_pb2.SignalEvent] = []
        self.subscriptions: list[signals_pb2.SubscribeRequest] = []
        self.end_subscription_after: int | None = None
        self.answer_publish_up_to: int | None = None
        self.confirm_subscriptions = True
        self.changed = threading.Condition()
        self.draining = False
        self.oldest_held = 0
        self._start(0)

    def _start(self, port: int) -> None:
        self.server = grpc.server(
            ThreadPoolExecutor(32, thread_name_prefix="fake"), options=[("grpc.so_reuseport", 0)]
        )
        scoring_pb2_grpc.add_ScoringServiceServicer_to_server(Scoring(self), self.server)
        bars_pb2_grpc.add_BarServiceServicer_to_server(Bars(self), self.server)
        signals_pb2_grpc.add_SignalServiceServicer_to_server(Signals(self), self.server)
        check = grpc.unary_unary_rpc_method_handler(
            self._check, HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
        )
        handler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check})
        self.server.add_generic_rpc_handlers((handler,))
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.target = f"127.0.0.1:{self.port}"
        self.server.start()

    def _check(self, request: Any, context: Any) -> Any:
        self.admit(context)
        if request.service not in ("", "candlewire.v1.ScoringService"):
            refuse(context, Refusal(grpc.StatusCode.NOT_FOUND, f"unknown service {request.service}"))
        return HealthCheckResponse(status=self.health)

    def admit(self, context: Any) -> None:
        self.calls += 1
        self.metadata = dict(context.invocation_metadata())
        if self.hold_calls:
            self.held.set()
            self.hold.wait(10)
        if self.delay_s:
            time.sleep(self.delay_s)
        if self.refusals:
            refuse(context, self.refusals.pop(0))

    def signal(self, bar: bars_pb2.Bar) -> None:
        with self.changed:
            event = signals_pb2.SignalEvent(
                sequence=len(self.history) + 1, bar=bar, fate=bars_pb2.BAR_FATE_ACCEPTED
            )
            event.score.CopyFrom(response(0.5, bar_open_time_ns=bar.open_time_ns))
            self.history.append(event)
            self.changed.notify_all()

    def restart(self) -> None:
        """Ends every call and serves again on the same port."""
        port = self.port
        self.stop()
        self.draining = False
        self._start(port)

    def stop(self) -> None:
        with self.changed:
            self.draining = True
            self.changed.notify_all()
        self.hold.set()
        self.server.stop(0).wait()


def response(up: float, **fields: Any) -> scoring_pb2.ScoreResponse:
    message = scoring_pb2.ScoreResponse(
        probabilities=[1 - up, up],
        probability_up=up,
        probability_low=up - 0.1,
        probability_high=up + 0.1,
        signal=scoring_pb2.SIGNAL_BUY if up >= 0.6 else scoring_pb2.SIGNAL_HOLD,
        confidence_level=scoring_pb2.CONFIDENCE_LEVEL_LOW,
        confidence=max(up, 1 - up),
        dissimilarity=0.5,
        trusted=True,
        model="daily",
        model_version=MODEL_VERSION,
        feature_spec_hash="ab" * 32,
        horizon_bars=5,
        role=scoring_pb2.DEPLOYMENT_ROLE_PRODUCTION,
        **fields,
    )
    message.return_band.CopyFrom(
        scoring_pb2.ReturnBand(low=-0.02, mid=0.0, high=0.02, target_coverage=0.9, width_multiplier=1.0)
    )
    message.timings.CopyFrom(scoring_pb2.ServerTimings(total_ns=1000, batch_rows=1))
    return message


def score(request: scoring_pb2.ScoreRequest) -> scoring_pb2.ScoreResponse:
    if request.bars:
        last = request.bars[-1]
        scored = response(0.5, bar_open_time_ns=last.open_time_ns)
        scored.price_band.CopyFrom(
            scoring_pb2.PriceBand(low=last.close - 1, mid=last.close, high=last.close + 1)
        )
        return scored
    if request.model not in ("", "daily"):
        raise Refusal(
            grpc.StatusCode.NOT_FOUND,
            f"model is {request.model!r}; this server has 'daily'",
            reason="UNKNOWN_MODEL",
        )
    if len(request.features) != FEATURES:
        raise Refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"features has {len(request.features)} values; the model takes {FEATURES}",
            reason="FEATURE_COUNT",
            field="features",
            metadata={"got": str(len(request.features)), "expected": str(FEATURES)},
        )
    scored = response(sum(request.features) / FEATURES)
    if request.reference_price > 0:
        price = request.reference_price
        scored.price_band.CopyFrom(scoring_pb2.PriceBand(low=price * 0.98, mid=price, high=price * 1.02))
    if request.include_members:
        scored.members.add(name="xgboost", probabilities=[0.25, 0.75])
    return scored


class Scoring(scoring_pb2_grpc.ScoringServiceServicer):
    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def Score(self, request: scoring_pb2.ScoreRequest, context: Any) -> scoring_pb2.ScoreResponse:  # noqa: N802
        self.server.admit(context)
        self.server.scored.append(request)
        try:
            return score(request)
        except Refusal as refusal:
            refuse(context, refusal)
            raise

    def ScoreBatch(self, request: scoring_pb2.ScoreBatchRequest, context: Any) -> Any:  # noqa: N802
        self.server.admit(context)
        width = len(request.features) // 4 // request.rows
        means = [sum(row) / width for row in struct.iter_unpack(f"<{width}f", request.features)]
        column = struct.pack(f"<{request.rows}f", *means)
        return scoring_pb2.ScoreBatchResponse(
            rows=request.rows,
            classes=2,
            probabilities=b"".join(struct.pack("<2f", 1 - mean, mean) for mean in means),
            probability_low=column,
            probability_high=column,
            band_low=column,
            band_mid=column,
            band_high=column,
            dissimilarity=column,
            signals=bytes([1] * request.rows),
            trusted=bytes([1] * request.rows),
            model="daily",
            model_version=MODEL_VERSION,
            target_coverage=0.9,
        )

    def ScoreStream(self, requests: Any, context: Any) -> Iterator[scoring_pb2.ScoreStreamResponse]:  # noqa: N802
        self.server.admit(context)
        for request in requests:
            answer = scoring_pb2.ScoreStreamResponse(client_sequence=request.client_sequence)
            try:
                answer.score.CopyFrom(score(request.request))
            except Refusal as refusal:
                answer.error.code = refusal.code.value[0]
                answer.error.reason, answer.error.message = refusal.reason, refusal.message
            yield answer


class Bars(bars_pb2_grpc.BarServiceServicer):
    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def Publish(self, requests: Any, context: Any) -> Iterator[bars_pb2.PublishResponse]:  # noqa: N802
        self.server.admit(context)
        seen: set[tuple[str, int]] = set()
        for number, request in enumerate(requests):
            if number == self.server.answer_publish_up_to:
                return
            bar = request.bar
            answer = bars_pb2.PublishResponse(
                client_sequence=request.client_sequence,
                symbol=bar.symbol,
                timeframe=bar.timeframe,
                open_time_ns=bar.open_time_ns,
                fate=bars_pb2.BAR_FATE_ACCEPTED,
                journaled=True,
            )
            if bar.high < bar.low:
                answer.fate = bars_pb2.BAR_FATE_REJECTED
                answer.rejection = bars_pb2.BAR_REJECTION_INCONSISTENT_PRICES
                answer.message = f"high is {bar.high} and low is {bar.low}; high must not be below low"
            elif (bar.symbol, bar.open_time_ns) in seen:
                answer.fate = bars_pb2.BAR_FATE_DUPLICATE
            else:
                seen.add((bar.symbol, bar.open_time_ns))
                self.server.signal(bar)
            yield answer


class Signals(signals_pb2_grpc.SignalServiceServicer):
    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def Subscribe(self, request: signals_pb2.SubscribeRequest, context: Any) -> Iterator[Any]:  # noqa: N802
        server = self.server
        server.subscriptions.append(request)
        server.admit(context)
        head = len(server.history)
        position = request.after_sequence if request.HasField("after_sequence") else head
        if position < server.oldest_held:
            refuse(context, Refusal(grpc.StatusCode.OUT_OF_RANGE, f"signals after {position} are gone"))
        context.add_callback(self._wake)
        if not server.confirm_subscriptions:
            with server.changed:
                server.changed.wait_for(lambda: server.draining or not context.is_active(), 10)
            return
        yield signals_pb2.SubscribeResponse(head_sequence=head)
        sent = 0
        while True:
            with server.changed:
                while len(server.history) <= position and not server.draining and context.is_active():
                    server.changed.wait(10)
            if server.draining or not context.is_active():
                return
            for event in server.history[position:]:
                position = event.sequence
                if not request.symbols or event.bar.symbol in request.symbols:
                    yield signals_pb2.SubscribeResponse(
                        signal=event, dropped_signals=int(sent == 1 and server.tells_of_drops)
                    )
                    sent += 1
                    if sent == server.end_subscription_after:
                        server.end_subscription_after = None
                        refuse(context, Refusal(grpc.StatusCode.UNAVAILABLE, "the server is draining"))

    def _wake(self) -> None:
        with self.server.changed:
            self.server.changed.notify_all()

    def GetLatest(self, request: signals_pb2.GetLatestRequest, context: Any) -> signals_pb2.GetLatestResponse:  # noqa: N802
        self.server.admit(context)
        newest = {event.bar.symbol: event for event in self.server.history}
        wanted = list(request.symbols) or sorted(newest)
        return signals_pb2.GetLatestResponse(
            signals=[newest[symbol] for symbol in wanted if symbol in newest],
            unknown_symbols=[symbol for symbol in wanted if symbol not in newest],
        )


class BlockingAioClient:
    """The asyncio client behind the sync client's calls, so that one suite holds for both."""

    def __init__(self, target: str, **options: Any) -> None:
        self.client = aio.Client(target, **options)
        self.loop = asyncio.new_event_loop()
        self.target = self.client.target

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            return self.run(method, *arguments, **options)

        return call

    def run(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        async def invoke() -> Any:
            result = method(*arguments, **options)
            return await result if asyncio.iscoroutine(result) else result

        result = self.loop.run_until_complete(invoke())
        return BlockingIterator(self.loop, result) if hasattr(result, "__anext__") else result

    def close(self) -> None:
        self.loop.run_until_complete(self.client.close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


class BlockingIterator:
    """An asynchronous iterator, read one item at a time; other attributes pass through."""

    def __init__(self, loop: asyncio.AbstractEventLoop, iterator: Any) -> None:
        self.loop, self.iterator = loop, iterator

    def __iter__(self) -> BlockingIterator:
        return self

    def __next__(self) -> Any:
        async def following() -> Any:
            return await anext(self.iterator)

        try:
            return self.loop.run_until_complete(following())
        except StopAsyncIteration:
            raise StopIteration from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.iterator, name)

    def close(self) -> None:
        if hasattr(self.iterator, "aclose"):
            self.loop.run_until_complete(self.iterator.aclose())
        else:
            self.iterator.close()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.stop()


@pytest.fixture
def refusal() -> type[Refusal]:
    return Refusal


Connect = Callable[..., Any]


@pytest.fixture(params=["sync", "aio"])
def connect(request: pytest.FixtureRequest, server: FakeServer) -> Iterator[Connect]:
    """Makes a client of either kind; closes it at the end."""
    clients: list[Any] = []

    def make(target: str | None = None, **options: Any) -> Any:
        kind: Any = candlewire.Client if request.param == "sync" else BlockingAioClient
        clients.append(kind(target or server.target, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Connect) -> Any:
    return connect(timeout_ms=5_000)


@pytest.fixture
def make_bars() -> Callable[..., list[candlewire.Bar]]:
    days = itertools.count(1)

    def make(count: int, symbol: str = "AAPL", **changes: Any) -> list[candlewire.Bar]:
        values: dict[str, Any] = {
            "open": 10.0,
            "high": 12.0,
            "low": 9.0,
            "close": 11.0,
            "volume": 1e6,
        } | changes
        return [
            candlewire.Bar(
                symbol=symbol, timeframe="1d", open_time_ns=next(days) * 86_400_000_000_000, **values
            )
            for _ in range(count)
        ]

    return make
