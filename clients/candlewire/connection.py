"""Where the server is, how to reach it, and how long to wait: shared by the sync and the asyncio client."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from candlewire.errors import (
    CandlewireError,
    InvalidInputError,
    OverloadedError,
    UnavailableError,
    error_from_status,
)
from candlewire.status_details import NO_DETAILS, TRAILER, decode_status_details

if TYPE_CHECKING:
    from os import PathLike

DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_TIMEOUT_MS = 1_000.0

TARGET = re.compile(r"(unix:|dns:|ipv4:|ipv6:|xds:).+|[^\s:/]+:\d{1,5}|\[[0-9a-fA-F:.%]+\]:\d{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS of the connection.

    Attributes:
        root_certificates: PEM file of the authorities to trust; None trusts gRPC's own bundle.
        certificate: PEM file of the client's certificate chain, for mutual TLS.
        key: PEM file of the client's private key, for mutual TLS.
        server_name: Name to expect in the server's certificate when it differs from the address.
    """

    root_certificates: str | PathLike[str] | None = None
    certificate: str | PathLike[str] | None = None
    key: str | PathLike[str] | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise InvalidInputError("mutual TLS needs both `certificate` and `key`; one of them is missing")

    def credentials(self) -> grpc.ChannelCredentials:
        """The credentials, read from the files.

        Raises:
            InvalidInputError: A file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=_read("root_certificates", self.root_certificates),
            private_key=_read("key", self.key),
            certificate_chain=_read("certificate", self.certificate),
        )


def _read(field: str, path: str | PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInputError(f"tls.{field}: cannot read {path}: {error.strerror}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to try a call again; only calls that change nothing are ever repeated.

    Attributes:
        attempts: Calls in all, the first one included; 1 never retries.
        initial_backoff_ms: Wait before the second attempt; doubles from there.
        maximum_backoff_ms: Longest wait.
    """

    attempts: int = 3
    initial_backoff_ms: float = 20.0
    maximum_backoff_ms: float = 1_000.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise InvalidInputError(
                f"retries: attempts is {self.attempts}; it counts the first call, so at least 1"
            )

    def delay_ms(
        self, error: CandlewireError, *, attempt: int, remaining_ms: float, spread: float
    ) -> float | None:
        """How long to wait before the next attempt; None when `error` stands.

        An unavailable server is tried again after a growing wait; a full one only when it says when to come
        back.

        Args:
            error: What the last attempt raised.
            attempt: Attempts made so far.
            remaining_ms: Time left of the call's deadline.
            spread: Random number, 0 to 1, so that callers do not come back all at once.
        """
        if attempt >= self.attempts:
            return None
        if isinstance(error, UnavailableError):
            backoff_ms = min(self.initial_backoff_ms * 2 ** (attempt - 1), self.maximum_backoff_ms)
            delay_ms = backoff_ms * (0.5 + 0.5 * spread)
        elif isinstance(error, OverloadedError) and error.retry_after_ms is not None:
            delay_ms = error.retry_after_ms * (1.0 + 0.25 * spread)
        else:
            return None
        return delay_ms if delay_ms < remaining_ms else None


NO_RETRY = RetryPolicy(attempts=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Everything a client knows of its server.

    Attributes:
        target: `host:port`, or any gRPC target ("unix:…", "dns:///…").
        timeout_ms: Deadline of every unary call that names none, retries included.
        retries: When to try again.
        tls: TLS files; None speaks plain text.
        token: Bearer token sent with every call.
        maximum_message_bytes: Largest message to receive.
    """

    target: str = DEFAULT_TARGET
    timeout_ms: float = DEFAULT_TIMEOUT_MS
    retries: RetryPolicy = RetryPolicy()
    tls: Tls | None = None
    token: str | None = None
    maximum_message_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        if not TARGET.fullmatch(self.target):
            raise InvalidInputError(
                f"target is {self.target!r}; write host:port, for example {DEFAULT_TARGET}"
            )
        seconds(self.timeout_ms)

    def options(self) -> list[tuple[str, Any]]:
        """Options of the gRPC channel."""
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", self.maximum_message_bytes),
            # Retries are this client's own: it knows which calls may be repeated.
            ("grpc.enable_retries", 0),
            # Come back soon after a restart.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            # Two clients of one process do not share a connection.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self.tls is not None and self.tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options

    def metadata(self) -> tuple[tuple[str, str], ...] | None:
        """Metadata of every call."""
        return None if self.token is None else (("authorization", f"Bearer {self.token}"),)

    def error(self, failed: grpc.RpcError | grpc.aio.AioRpcError) -> CandlewireError:
        """The error that a failed call means."""
        if not isinstance(failed, (grpc.Call, grpc.aio.AioRpcError)):
            return error_from_status(grpc.StatusCode.UNKNOWN, str(failed), NO_DETAILS, target=self.target)
        trailers = dict(failed.trailing_metadata() or ())
        trailer = trailers.get(TRAILER)
        details = decode_status_details(trailer if isinstance(trailer, bytes) else None)
        return error_from_status(failed.code(), failed.details() or "", details, target=self.target)


def seconds(timeout_ms: float) -> float | None:
    """A timeout for grpc: seconds, or None for an infinite one.

    Raises:
        InvalidInputError: Not above zero, or not a number.
    """
    if not timeout_ms > 0:
        raise InvalidInputError(
            f"timeout_ms is {timeout_ms!r}; it must be above zero (math.inf waits forever)"
        )
    return None if math.isinf(timeout_ms) else timeout_ms / 1e3
