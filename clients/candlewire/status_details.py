"""Reads the google.rpc details that a gRPC status carries in its trailers."""

from __future__ import annotations

from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from candlewire.standard_messages import BadRequest, ErrorInfo, RetryInfo, Status

TRAILER = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusDetails:
    """What the details say.

    Attributes:
        reason: `ErrorInfo.reason`; empty without one.
        metadata: `ErrorInfo.metadata`: values that a program may want, by name.
        violations: (field, description) of each `BadRequest` violation.
        retry_after_ms: `RetryInfo.retry_delay`; None without one.
    """

    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    violations: tuple[tuple[str, str], ...] = ()
    retry_after_ms: float | None = None


NO_DETAILS = StatusDetails()


def decode_status_details(trailer: bytes | None) -> StatusDetails:
    """Decodes a `grpc-status-details-bin` trailer; what cannot be read counts as absent.

    A call that failed must raise its own error, never one about the details of that error.
    """
    if not trailer:
        return NO_DETAILS
    reason, retry_after_ms = "", None
    metadata: dict[str, str] = {}
    violations: list[tuple[str, str]] = []
    try:
        for detail in Status.FromString(trailer).details:
            kind = detail.type_url.rsplit("/", 1)[-1]
            if kind == "google.rpc.ErrorInfo":
                info = ErrorInfo.FromString(detail.value)
                reason, metadata = info.reason, {entry.key: entry.value for entry in info.metadata}
            elif kind == "google.rpc.BadRequest":
                request = BadRequest.FromString(detail.value)
                violations += [(entry.field, entry.description) for entry in request.field_violations]
            elif kind == "google.rpc.RetryInfo":
                delay = RetryInfo.FromString(detail.value).retry_delay
                retry_after_ms = delay.seconds * 1e3 + delay.nanos / 1e6
    except DecodeError:
        return NO_DETAILS
    return StatusDetails(
        reason=reason, metadata=metadata, violations=tuple(violations), retry_after_ms=retry_after_ms
    )
