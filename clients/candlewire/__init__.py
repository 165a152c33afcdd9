"""Candlewire's client: scores with honest bands, over gRPC.

    import candlewire

    with candlewire.Client("127.0.0.1:50051") as client:
        score = client.score([0.1, 0.2, 0.3], model="daily")
        print(score.signal.name, score.probability_up, score.return_band)

`candlewire.aio` holds the same client for asyncio. All errors are in `candlewire.errors`.
"""

from candlewire.client import Client
from candlewire.connection import RetryPolicy, Tls
from candlewire.errors import (
    AuthenticationError,
    CallCancelledError,
    CandlewireError,
    ClientClosedError,
    DeadlineExceededError,
    FieldViolation,
    InvalidInputError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PreconditionError,
    SequenceLostError,
    ServerError,
    UnavailableError,
)
from candlewire.subscription import Subscription
from candlewire.types import (
    Bar,
    BarFate,
    BarRejection,
    ConfidenceLevel,
    DeploymentRole,
    DistrustReason,
    HealthStatus,
    LatestSignals,
    MemberScore,
    PriceBand,
    PublishAck,
    ReturnBand,
    Score,
    ScoreBatch,
    ScoreQuery,
    ServerTimings,
    Signal,
    SignalEvent,
    SlowSubscriberPolicy,
    StreamedScore,
)

__version__ = "0.1.0"

__all__ = [
    "AuthenticationError",
    "Bar",
    "BarFate",
    "BarRejection",
    "CallCancelledError",
    "CandlewireError",
    "Client",
    "ClientClosedError",
    "ConfidenceLevel",
    "DeadlineExceededError",
    "DeploymentRole",
    "DistrustReason",
    "FieldViolation",
    "HealthStatus",
    "InvalidInputError",
    "InvalidRequestError",
    "LatestSignals",
    "MemberScore",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "PreconditionError",
    "PriceBand",
    "PublishAck",
    "RetryPolicy",
    "ReturnBand",
    "Score",
    "ScoreBatch",
    "ScoreQuery",
    "SequenceLostError",
    "ServerError",
    "ServerTimings",
    "Signal",
    "SignalEvent",
    "SlowSubscriberPolicy",
    "StreamedScore",
    "Subscription",
    "Tls",
    "UnavailableError",
]
