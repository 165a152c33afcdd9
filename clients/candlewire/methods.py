"""The gRPC methods that the client calls, bound to a channel (sync or asyncio)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from candlewire_proto.v1.bars_pb2_grpc import BarServiceStub
from candlewire_proto.v1.scoring_pb2 import ScoreResponse
from candlewire_proto.v1.scoring_pb2_grpc import ScoringServiceStub
from candlewire_proto.v1.signals_pb2_grpc import SignalServiceStub

from candlewire.standard_messages import HealthCheckRequest, HealthCheckResponse

if TYPE_CHECKING:
    from candlewire.connection import Connection

SCORE = "/candlewire.v1.ScoringService/Score"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"


class Methods:
    """Callables of one channel.

    They are typed loosely on purpose: the sync and the asyncio channel return different kinds of calls, and
    `Client` and `aio.Client` give each its type.
    """

    __slots__ = ("get_latest", "health_check", "publish", "score", "score_batch", "score_stream", "subscribe")

    def __init__(self, channel: Any) -> None:  # noqa: ANN401 - grpc.Channel or grpc.aio.Channel
        scoring = ScoringServiceStub(channel)
        signals = SignalServiceStub(channel)
        # Requests are already bytes (see `wire`), so nothing serialises them.
        self.score: Any = channel.unary_unary(SCORE, response_deserializer=ScoreResponse.FromString)
        self.score_batch: Any = scoring.ScoreBatch
        self.score_stream: Any = scoring.ScoreStream
        self.publish: Any = BarServiceStub(channel).Publish
        self.subscribe: Any = signals.Subscribe
        self.get_latest: Any = signals.GetLatest
        self.health_check: Any = channel.unary_unary(
            HEALTH_CHECK,
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )


def open_channel(connection: Connection) -> grpc.Channel:
    """A channel of the sync client."""
    if connection.tls is None:
        return grpc.insecure_channel(connection.target, connection.options())
    return grpc.secure_channel(connection.target, connection.tls.credentials(), connection.options())


def open_aio_channel(connection: Connection) -> grpc.aio.Channel:
    """A channel of the asyncio client."""
    if connection.tls is None:
        return grpc.aio.insecure_channel(connection.target, connection.options())
    return grpc.aio.secure_channel(connection.target, connection.tls.credentials(), connection.options())
