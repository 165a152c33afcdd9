"""Every error that the client raises.

CandlewireError
├── InvalidInputError          refused before anything was sent; also a ValueError
├── ClientClosedError          the client was closed before the call
├── InvalidRequestError        the server refused the request: a field, its value, the remedy
│   └── PreconditionError      valid, but not in this state (another feature spec, a failed version)
├── NotFoundError              no such model, version or method
├── SequenceLostError          a subscription cannot resume: the server no longer holds what follows
├── AuthenticationError        no valid token or certificate
│   └── PermissionDeniedError  a valid one, without the right
├── OverloadedError            the server is full; `retry_after_ms` says when to come back
├── UnavailableError           nothing listens there, the connection broke, or the server is draining
├── DeadlineExceededError      `timeout_ms` passed
├── CallCancelledError         the call was cancelled, here or there
└── ServerError                the fault is the server's; its log says more

`reason` is stable and made for programs ("FEATURE_COUNT"); `str(error)` is one sentence for people and says
what to do. Errors hold no gRPC objects and can be pickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from candlewire.status_details import StatusDetails

__all__ = [
    "AuthenticationError",
    "CallCancelledError",
    "CandlewireError",
    "ClientClosedError",
    "DeadlineExceededError",
    "FieldViolation",
    "InvalidInputError",
    "InvalidRequestError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "PreconditionError",
    "SequenceLostError",
    "ServerError",
    "UnavailableError",
]


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that the server refused, and why."""

    field: str
    description: str


class CandlewireError(Exception):
    """Base of all errors of the client.

    Attributes:
        code: Name of the gRPC status code, for example "INVALID_ARGUMENT"; empty when nothing was sent.
        reason: Stable reason, for example "FEATURE_COUNT"; empty when the server gave none.
        metadata: Values that belong to the reason, for example {"got": "3", "expected": "29"}.
        violations: Fields that the server refused.
        retry_after_ms: When the server asks to come back; None when it did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        reason: str = "",
        metadata: dict[str, str] | None = None,
        violations: tuple[FieldViolation, ...] = (),
        retry_after_ms: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.metadata = metadata or {}
        self.violations = violations
        self.retry_after_ms = retry_after_ms

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call the class with `args` alone and lose the keyword-only state.
        return (_restore, (type(self), str(self), self.__dict__))


def _restore(kind: type[CandlewireError], message: str, state: dict[str, object]) -> CandlewireError:
    error = kind(message)
    error.__dict__.update(state)
    return error


class InvalidInputError(CandlewireError, ValueError):
    """Refused before anything was sent."""


class ClientClosedError(CandlewireError):
    """The client was closed before the call."""


class InvalidRequestError(CandlewireError):
    """The server refused the request."""


class PreconditionError(InvalidRequestError):
    """The request is valid, but not in the server's present state."""


class NotFoundError(CandlewireError):
    """No such model, version or method."""


class SequenceLostError(CandlewireError):
    """A subscription cannot resume: the server no longer holds what follows."""


class AuthenticationError(CandlewireError):
    """No valid token or certificate."""


class PermissionDeniedError(AuthenticationError):
    """A valid token or certificate without the right to do this."""


class OverloadedError(CandlewireError):
    """The server is full."""


class UnavailableError(CandlewireError):
    """Nothing listens there, the connection broke, or the server is draining."""


class DeadlineExceededError(CandlewireError):
    """`timeout_ms` passed before the answer came."""


class CallCancelledError(CandlewireError):
    """The call was cancelled."""


class ServerError(CandlewireError):
    """The fault is the server's."""


# The one place that maps status codes to errors; a test proves that no code is missing. The second part
# says what to do when the server's own message does not.
ERRORS: dict[grpc.StatusCode, tuple[type[CandlewireError], str]] = {
    grpc.StatusCode.INVALID_ARGUMENT: (InvalidRequestError, ""),
    grpc.StatusCode.FAILED_PRECONDITION: (PreconditionError, ""),
    grpc.StatusCode.ALREADY_EXISTS: (PreconditionError, ""),
    grpc.StatusCode.OUT_OF_RANGE: (SequenceLostError, "subscribe again without `after_sequence`"),
    grpc.StatusCode.NOT_FOUND: (NotFoundError, ""),
    grpc.StatusCode.UNIMPLEMENTED: (
        NotFoundError,
        "the server does not offer this method: is the address its data port, its version recent?",
    ),
    grpc.StatusCode.UNAUTHENTICATED: (AuthenticationError, "pass `token` or a client certificate"),
    grpc.StatusCode.PERMISSION_DENIED: (
        PermissionDeniedError,
        "use a token with the role that this call needs",
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (OverloadedError, "send less, or retry later"),
    grpc.StatusCode.UNAVAILABLE: (UnavailableError, "is the server running and the address right?"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (DeadlineExceededError, "raise `timeout_ms` or lower the load"),
    grpc.StatusCode.CANCELLED: (CallCancelledError, ""),
    grpc.StatusCode.ABORTED: (ServerError, "retry the call"),
    grpc.StatusCode.DATA_LOSS: (ServerError, "see the server's log"),
    grpc.StatusCode.INTERNAL: (ServerError, "see the server's log"),
    grpc.StatusCode.UNKNOWN: (ServerError, "see the server's log"),
    grpc.StatusCode.OK: (ServerError, "the server ended the call without an answer; see its log"),
}


def error_from_status(
    code: grpc.StatusCode, message: str, details: StatusDetails, *, target: str
) -> CandlewireError:
    """The error that one gRPC status means.

    Args:
        code: The status code.
        message: The status message as the server or the transport wrote it.
        details: The status's google.rpc details.
        target: Address that was called, for errors in which nobody answered.
    """
    kind, remedy = ERRORS[code]
    text = message.strip() or f"{target} answered {code.name} and gave no reason"
    if kind is UnavailableError and not details.reason:
        text = f"no answer from {target}: {text}"
    if kind is DeadlineExceededError and not details.reason:
        text = f"no answer from {target} in time: {text}"
    if remedy and not details.reason:
        text = f"{text}; {remedy}"
    return kind(
        text,
        code=code.name,
        reason=details.reason,
        metadata=details.metadata,
        violations=tuple(FieldViolation(name, description) for name, description in details.violations),
        retry_after_ms=details.retry_after_ms,
    )
