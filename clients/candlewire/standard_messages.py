"""Messages of google.rpc and grpc.health.v1, declared here in a descriptor pool of their own.

They are wire-compatible with the originals, need no further distribution, and cannot collide with the stubs
that an application may have loaded.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "candlewire.client.standard"

TEXT = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
RAW = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
INTEGER = descriptor_pb2.FieldDescriptorProto.TYPE_INT64

# Message -> its fields in the order of their numbers, from 1: a scalar type, a message's name, or a list of
# one.
LAYOUT: dict[str, dict[str, Any]] = {
    "Any": {"type_url": TEXT, "value": RAW},
    "Status": {"code": INTEGER, "message": TEXT, "details": ["Any"]},
    # On the wire a map is a list of entries.
    "MetadataEntry": {"key": TEXT, "value": TEXT},
    "ErrorInfo": {"reason": TEXT, "domain": TEXT, "metadata": ["MetadataEntry"]},
    "FieldViolation": {"field": TEXT, "description": TEXT},
    "BadRequest": {"field_violations": ["FieldViolation"]},
    "Duration": {"seconds": INTEGER, "nanos": INTEGER},
    "RetryInfo": {"retry_delay": "Duration"},
    "HealthCheckRequest": {"service": TEXT},
    "HealthCheckResponse": {"status": INTEGER},
}


def _declare() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="candlewire/client/standard.proto", package=PACKAGE, syntax="proto3"
    )
    for name, fields in LAYOUT.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            described = message.field.add(name=field, number=number)
            described.label = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
            if isinstance(kind, list):
                described.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
                kind = kind[0]  # noqa: PLW2901 - the list only marks "repeated"
            if isinstance(kind, str):
                described.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
                described.type_name = f".{PACKAGE}.{kind}"
            else:
                described.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in LAYOUT
    }


_MESSAGES = _declare()

Status = _MESSAGES["Status"]
ErrorInfo = _MESSAGES["ErrorInfo"]
BadRequest = _MESSAGES["BadRequest"]
RetryInfo = _MESSAGES["RetryInfo"]
HealthCheckRequest = _MESSAGES["HealthCheckRequest"]
HealthCheckResponse = _MESSAGES["HealthCheckResponse"]
