"""Reflection: a caller that knows only the address finds every service and calls it, as grpcurl does."""

from pathlib import Path

import grpc
import pytest
from candlewire_server.tokens import book
from conftest import RunningServer, running_server
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from wire_errors import wire_error

SERVICES = {
    "candlewire.v1.BarService",
    "candlewire.v1.ScoringService",
    "candlewire.v1.SignalService",
    "grpc.health.v1.Health",
    "inference.GRPCInferenceService",
}


def found_call(
    channel: grpc.Channel, service: str, method: str
) -> tuple[type[Message], grpc.UnaryUnaryMultiCallable]:
    """The method as the server describes it: what it takes, and the call."""
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    described = pool.FindServiceByName(service).methods_by_name[method]
    request = message_factory.GetMessageClass(described.input_type)
    call = channel.unary_unary(
        f"/{service}/{method}",
        request_serializer=request.SerializeToString,
        response_deserializer=message_factory.GetMessageClass(described.output_type).FromString,
    )
    return request, call


@pytest.mark.parametrize(
    ("service", "method", "fields", "expected"),
    [
        ("candlewire.v1.ScoringService", "Score", {"features": [0.01, 0.02, -0.01, 0.005]}, "probabilityUp"),
        ("candlewire.v1.SignalService", "GetLatest", {"symbols": ["ABSENT"]}, "unknownSymbols"),
        ("inference.GRPCInferenceService", "ModelMetadata", {"name": "daily"}, "platform"),
        ("inference.GRPCInferenceService", "ModelConfig", {"name": "daily"}, "config"),
        ("grpc.health.v1.Health", "Check", {"service": "daily"}, "status"),
    ],
)
def test_a_service_is_found_and_called_by_name(
    server: RunningServer, service: str, method: str, fields: dict[str, object], expected: str
) -> None:
    channel = server.channel("data")
    names = ProtoReflectionDescriptorDatabase(channel).get_services()
    found = {name for name in names if not name.startswith("grpc.reflection.")}
    assert found == SERVICES, "no more than this port answers to"
    request, call = found_call(channel, service, method)
    assert expected in json_format.MessageToDict(call(json_format.ParseDict(fields, request()), timeout=5))


def test_the_details_of_an_error_can_be_read(server: RunningServer) -> None:
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(server.channel("data")))
    for name, field in (
        ("ErrorInfo", "reason"),
        ("BadRequest", "field_violations"),
        ("RetryInfo", "retry_delay"),
    ):
        assert field in pool.FindMessageTypeByName(f"google.rpc.{name}").fields_by_name


def test_health_is_told_of_every_service_and_model(server: RunningServer) -> None:
    request, check = found_call(server.channel("data"), "grpc.health.v1.Health", "Check")
    for name in ("", "daily", *(SERVICES - {"grpc.health.v1.Health"})):
        assert check(request(service=name), timeout=5).status == 1, name
    with pytest.raises(grpc.RpcError) as raised:
        check(request(service="absent"), timeout=5)
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND


def admin_services(
    running: RunningServer, metadata: tuple[tuple[str, str], ...] = ()
) -> list[reflection_pb2.ServerReflectionResponse]:
    """What the admin port answers to the question for its services, under both names of the protocol."""
    channel, answers = running.channel("admin"), []
    for version in ("v1", "v1alpha"):
        call = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        answers += list(call(iter([question]), metadata=metadata, timeout=10))
    return answers


def test_the_admin_port_is_found_and_called_by_name_too(server: RunningServer) -> None:
    for answer in admin_services(server):
        names = {service.name for service in answer.list_services_response.service}
        assert {"candlewire.v1.ModelService", "candlewire.v1.OutcomeService", "grpc.health.v1.Health"} < names
        assert "candlewire.v1.ScoringService" not in names, "that is on the data port"
    request, call = found_call(server.channel("admin"), "candlewire.v1.ModelService", "ListModels")
    assert [model.model for model in call(request(), timeout=10).models] == ["daily"]


@pytest.mark.parametrize("is_open", [False, True])
def test_reflection_of_the_admin_port_asks_for_its_role(
    tiny_store: Path, tmp_path: Path, *, is_open: bool
) -> None:
    file = tmp_path / "tokens.toml"
    tokens = {role: book.add(file, role, [role]) for role in ("admin", "score")}
    flags = ("--tokens", str(file), "--set", f"auth.open_reflection={is_open}")
    with running_server(tiny_store, tmp_path, *flags) as running:

        def outcome(metadata: tuple[tuple[str, str], ...]) -> str:
            try:
                return f"{len(admin_services(running, metadata))} answers"
            except grpc.RpcError as error:
                return wire_error(error).reason

        assert outcome((("authorization", f"Bearer {tokens['admin']}"),)) == "2 answers"
        assert outcome(()) == ("2 answers" if is_open else "UNAUTHENTICATED")
        scorer = (("authorization", f"Bearer {tokens['score']}"),)
        assert outcome(scorer) == ("2 answers" if is_open else "ROLE_MISSING")
