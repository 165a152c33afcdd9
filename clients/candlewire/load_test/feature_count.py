"""Asks a server how many features a model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from candlewire.errors import InvalidInputError
from candlewire.methods import SCORE, open_channel
from candlewire.wire import encode_score_request

if TYPE_CHECKING:
    from candlewire.connection import Connection

PROBE_TIMEOUT_S = 5.0


def discover_feature_count(connection: Connection, model: str = "") -> int:
    """The number of values in a row of `model`; empty means the model of the default route.

    Sends one row of one value: the server takes it, or says in its error how many it expects.

    Raises:
        InvalidInputError: The server does not say.
        CandlewireError: The server refuses for another reason, or does not answer.
    """
    request = encode_score_request([0.0], None, model=model)
    with open_channel(connection) as channel:
        score: Any = channel.unary_unary(SCORE)
        try:
            score(request, timeout=PROBE_TIMEOUT_S, metadata=connection.metadata())
        except grpc.RpcError as failed:
            error = connection.error(failed)
        else:
            return 1
    if error.reason != "FEATURE_COUNT":
        raise error
    expected = error.metadata.get("expected", "")
    if not expected.isdecimal():
        raise InvalidInputError(f"pass --feature-count: the server only says: {error}")
    return int(expected)
