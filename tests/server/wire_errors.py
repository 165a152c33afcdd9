"""Reads what a refused call carries."""

from dataclasses import dataclass

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_FIELD = descriptor_pb2.FieldDescriptorProto


def _details_messages() -> dict[str, type[Message]]:
    """google.rpc's messages as far as the tests read them; the package with all is not a dependency."""
    file = descriptor_pb2.FileDescriptorProto(
        name="test_google_rpc.proto",
        package="google.rpc",
        syntax="proto3",
        dependency=["google/protobuf/any.proto"],
    )

    def message(name: str, *fields: tuple[int, str, int, int, str]) -> None:
        declared = file.message_type.add(name=name)
        for number, field, kind, label, type_name in fields:
            declared.field.add(name=field, number=number, type=kind, label=label, type_name=type_name or None)

    one, many = _FIELD.LABEL_OPTIONAL, _FIELD.LABEL_REPEATED
    text, nested, integer = _FIELD.TYPE_STRING, _FIELD.TYPE_MESSAGE, _FIELD.TYPE_INT32
    message(
        "Status",
        (1, "code", integer, one, ""),
        (2, "message", text, one, ""),
        (3, "details", nested, many, ".google.protobuf.Any"),
    )
    message("ErrorInfo", (1, "reason", text, one, ""), (2, "domain", text, one, ""))
    message("FieldViolation", (1, "field", text, one, ""), (2, "description", text, one, ""))
    message("BadRequest", (1, "field_violations", nested, many, ".google.rpc.FieldViolation"))
    message("RetryInfo", (1, "retry_delay", nested, one, ".google.rpc.Delay"))
    message("Delay", (1, "seconds", _FIELD.TYPE_INT64, one, ""), (2, "nanos", integer, one, ""))
    pool = descriptor_pool.DescriptorPool()
    any_file = descriptor_pb2.FileDescriptorProto(
        name="google/protobuf/any.proto", package="google.protobuf", syntax="proto3"
    )
    any_message = any_file.message_type.add(name="Any")
    any_message.field.add(name="type_url", number=1, type=text, label=one)
    any_message.field.add(name="value", number=2, type=_FIELD.TYPE_BYTES, label=one)
    pool.Add(any_file)
    pool.Add(file)
    names = ("Status", "ErrorInfo", "BadRequest", "RetryInfo")
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"google.rpc.{name}"))
        for name in names
    }


_MESSAGES = _details_messages()


@dataclass(frozen=True, kw_only=True)
class WireError:
    """A refused call: code, message and details."""

    code: grpc.StatusCode
    message: str
    reason: str
    fields: tuple[str, ...]
    retry_ms: float | None


def wire_error(error: grpc.RpcError) -> WireError:
    encoded = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    reason, fields, retry_ms = "", (), None
    for detail in _MESSAGES["Status"].FromString(encoded).details:
        kind = detail.type_url.rsplit(".", 1)[-1]
        if kind not in _MESSAGES:
            continue
        message = _MESSAGES[kind].FromString(detail.value)
        match kind:
            case "ErrorInfo":
                assert message.domain == "candlewire"
                reason = message.reason
            case "BadRequest":
                fields = tuple(violation.field for violation in message.field_violations)
            case "RetryInfo":
                retry_ms = message.retry_delay.seconds * 1e3 + message.retry_delay.nanos / 1e6
    return WireError(
        code=error.code(), message=error.details() or "", reason=reason, fields=fields, retry_ms=retry_ms
    )
