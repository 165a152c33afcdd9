"""Reflection on the admin port: a caller that knows only the address finds every service, as grpcurl does."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from importlib import import_module
from typing import TypeAlias

import grpc
from grpc_reflection.v1alpha import reflection_pb2  # type: ignore[import-untyped]
from grpc_reflection.v1alpha.reflection import aio  # type: ignore[import-untyped]

# One protocol under two names: the older is what most libraries still ask for.
NAMES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
CONTRACTS = ("candlewire_proto.v1.models_pb2", "candlewire_proto.v1.outcomes_pb2")

Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]


def reflection_handlers(
    services: Sequence[str], admit: Callable[[Context], Awaitable[None]]
) -> list[grpc.GenericRpcHandler]:
    """What answers reflection, of `services` and nothing else, to callers whom `admit` does not abort."""
    servicer = aio.ReflectionServicer([*services, *NAMES])

    async def answer(requests: AsyncIterator[object], context: Context) -> AsyncIterator[object]:
        await admit(context)
        # Descriptors register themselves when they are imported; a server that nobody asks starts without.
        for contract in CONTRACTS:
            import_module(contract)
        async for response in servicer.ServerReflectionInfo(requests, context):
            yield response

    behaviour = grpc.stream_stream_rpc_method_handler(
        answer,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return [grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": behaviour}) for name in NAMES]
