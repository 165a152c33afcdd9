"""The admin services: each call is one question to the data plane, in the contract's own encoded messages."""

import asyncio
from collections.abc import Callable, Mapping
from typing import NoReturn, TypeAlias
from urllib.parse import unquote

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from candlewire_server import _data_plane
from candlewire_server.admin.reflection import reflection_handlers
from candlewire_server.errors import AddressInUseError
from candlewire_server.settings import socket_address

Admission: TypeAlias = Callable[[bytes | None, str], None]
Question: TypeAlias = Callable[[bytes], bytes]
Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_OPTIONS = (
    # Otherwise a second server would share the port in silence.
    ("grpc.so_reuseport", 0),
)


def questions(plane: _data_plane.DataPlane) -> dict[str, dict[str, Question]]:
    """What answers each method, by service."""
    return {
        "candlewire.v1.ModelService": {
            "ListModels": plane.list_models,
            "GetModel": plane.get_model,
            "PromoteModel": plane.promote_model,
            "RollbackModel": plane.rollback_model,
            "ReloadModels": plane.reload_models,
        },
        "candlewire.v1.OutcomeService": {
            "ListOutcomes": plane.list_outcomes,
            "GetCoverage": plane.get_coverage,
        },
    }


class AdminServer:
    """Serves the admin port."""

    def __init__(
        self,
        plane: _data_plane.DataPlane,
        credentials: grpc.ServerCredentials | None = None,
        *,
        open_reflection: bool = False,
    ) -> None:
        self._credentials = credentials
        self._server = grpc.aio.server(options=_OPTIONS)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._services = questions(plane)
        self._server.add_generic_rpc_handlers(
            [_handler(service, methods, plane.admit_admin) for service, methods in self._services.items()]
        )

        async def admit_reflection(context: Context) -> None:
            if not open_reflection:
                await _admit(context, plane.admit_admin)

        self._server.add_generic_rpc_handlers(
            reflection_handlers(("grpc.health.v1.Health", *self._services), admit_reflection)
        )

    async def start(self, host: str, port: int) -> str:
        """Serves and returns ``host:port``.

        Raises:
            AddressInUseError: The port is taken.
        """
        address = socket_address(host, port)
        try:
            chosen = self._bind(address)
        except RuntimeError as error:
            raise AddressInUseError(
                f"admin address {address}: the port is taken; choose another port or stop what uses it"
            ) from error
        await self._server.start()
        for service in ("", *self._services):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return socket_address(host, chosen)

    def _bind(self, address: str) -> int:
        if self._credentials is None:
            return int(self._server.add_insecure_port(address))
        return int(self._server.add_secure_port(address, self._credentials))

    async def stop(self, grace_seconds: float) -> None:
        """Answers what was accepted, for at most `grace_seconds`, then stops."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)


def _handler(service: str, methods: Mapping[str, Question], admit: Admission) -> grpc.GenericRpcHandler:
    # Without serializers grpcio hands over the encoded messages, which is what the data plane takes.
    return grpc.method_handlers_generic_handler(
        service,
        {
            name: grpc.unary_unary_rpc_method_handler(_behaviour(question, admit))
            for name, question in methods.items()
        },
    )


def _peer_address(peer: str) -> str:
    """The IP address in gRPC's name of a peer, ``ipv4:127.0.0.1:5000`` or ``ipv6:[::1]:5000``."""
    host = peer.partition(":")[2].rpartition(":")[0]
    return unquote(host).strip("[]")


def _authorization(context: Context) -> bytes | None:
    """The caller's authorization header; one that is no token when it comes twice."""
    sent = [value for name, value in context.invocation_metadata() or () if name == "authorization"]
    if len(sent) != 1:
        return b"" if sent else None
    return sent[0].encode() if isinstance(sent[0], str) else sent[0]


async def _refuse(context: Context, refused: _data_plane.RefusedError) -> NoReturn:
    code, message, details = refused.args
    await context.abort(_CODES[code], message, (("grpc-status-details-bin", details),))


async def _admit(context: Context, admit: Admission) -> None:
    try:
        admit(_authorization(context), _peer_address(context.peer()))
    except _data_plane.RefusedError as refused:
        await _refuse(context, refused)


def _behaviour(question: Question, admit: Admission) -> Callable[[bytes, Context], object]:
    async def answer(request: bytes, context: Context) -> bytes:
        await _admit(context, admit)
        try:
            # In a thread: loading a model takes a while.
            return await asyncio.to_thread(question, request)
        except _data_plane.RefusedError as refused:
            await _refuse(context, refused)

    return answer
