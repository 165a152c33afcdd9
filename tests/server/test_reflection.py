"""Reflection: a caller that knows only the address finds every service and calls it, as grpcurl does."""

import grpc
import pytest
from conftest import RunningServer
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICES = {
    "candlewire.v1.BarService",
    "candlewire.v1.ScoringService",
    "candlewire.v1.SignalService",
    "grpc.health.v1.Health",
    "inference.GRPCInferenceService",
}


@pytest.mark.parametrize(
    ("service", "method", "request_", "expected"),
    [
        ("candlewire.v1.ScoringService", "Score", {"features": [0.01, 0.02, -0.01, 0.005]}, "probabilityUp"),
        ("candlewire.v1.SignalService", "GetLatest", {"symbols": ["ABSENT"]}, "unknownSymbols"),
        ("inference.GRPCInferenceService", "ModelMetadata", {"name": "daily"}, "platform"),
        ("inference.GRPCInferenceService", "ModelConfig", {"name": "daily"}, "config"),
        ("grpc.health.v1.Health", "Check", {"service": "daily"}, "status"),
    ],
)
def test_a_service_is_found_and_called_by_name(
    server: RunningServer, service: str, method: str, request_: dict[str, object], expected: str
) -> None:
    channel = server.channel("data")
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) >= SERVICES
    pool = descriptor_pool.DescriptorPool(database)
    described = pool.FindServiceByName(service).methods_by_name[method]
    made = json_format.ParseDict(request_, message_factory.GetMessageClass(described.input_type)())
    call = channel.unary_unary(
        f"/{service}/{method}",
        request_serializer=type(made).SerializeToString,
        response_deserializer=message_factory.GetMessageClass(described.output_type).FromString,
    )
    assert expected in json_format.MessageToDict(call(made, timeout=5))


def test_health_is_told_of_every_service_and_model(server: RunningServer) -> None:
    channel = server.channel("data")
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    described = pool.FindServiceByName("grpc.health.v1.Health").methods_by_name["Check"]
    request = message_factory.GetMessageClass(described.input_type)
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=request.SerializeToString,
        response_deserializer=message_factory.GetMessageClass(described.output_type).FromString,
    )
    for name in ("", "daily", *(SERVICES - {"grpc.health.v1.Health"})):
        assert check(request(service=name), timeout=5).status == 1, name
    with pytest.raises(grpc.RpcError) as raised:
        check(request(service="absent"), timeout=5)
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
