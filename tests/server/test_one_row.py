"""A row is scored alike however its request came: whole in one frame, or in pieces for the general codec."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from candlewire_proto.v1 import scoring_pb2
from conftest import RunningServer, running_server
from raw_http2 import DATA, END_HEADERS, END_STREAM, HEADERS, Connection, frame, grpc_headers, grpc_message
from test_hostile_bytes import SCORE
from test_storms import unchanging

ROW = scoring_pb2.ScoreRequest(features=[0.01, 0.02, -0.01, 0.005])
WHOLE = grpc_message(ROW.SerializeToString())


@pytest.fixture(scope="module")
def small(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that takes messages of at most a kilobyte."""
    with running_server(
        tiny_store, tmp_path_factory.mktemp("one_row"), "--set", "limits.max_message_bytes=1024"
    ) as running:
        yield running


def pieces(*bodies: bytes, then: bytes = b"") -> bytes:
    """Frames of a request whose body comes in `bodies`; `then` follows with the end of the stream."""
    frames = [frame(HEADERS, END_HEADERS, 1, grpc_headers(SCORE))]
    frames += [frame(DATA, 0, 1, body) for body in bodies]
    return b"".join((*frames, frame(DATA, END_STREAM, 1, then)))


def answer(server: RunningServer, request: bytes) -> tuple[bytes, bytes]:
    """Body and last header block of the answer to `request` on a new connection."""
    with Connection.to(server.addresses["data"]) as connection:
        connection.send(request)
        body = b""
        while (got := connection.read()) is not None:
            if got.kind == DATA:
                body += got.payload
            if got.kind == HEADERS and got.flags & END_STREAM:
                return body, got.payload
    raise AssertionError("the server closed the connection")


def score(body: bytes) -> bytes:
    assert body[0] == 0
    assert int.from_bytes(body[1:5], "big") == len(body) - 5
    return unchanging(scoring_pb2.ScoreResponse.FromString(body[5:]))


@pytest.mark.parametrize(
    "request_",
    [
        pieces(WHOLE[:3], then=WHOLE[3:]),
        pieces(WHOLE[:11], WHOLE[11:12], then=WHOLE[12:]),
        pieces(WHOLE),
        pieces(b"", then=WHOLE),
        pieces(*[WHOLE[at : at + 1] for at in range(len(WHOLE))]),
    ],
    ids=["two frames", "three frames", "the end by itself", "an empty frame first", "bytes"],
)
def test_a_request_in_pieces_is_answered_as_a_whole_one(small: RunningServer, request_: bytes) -> None:
    whole, whole_end = answer(small, pieces(then=WHOLE))
    body, end = answer(small, request_)
    assert score(body) == score(whole)
    assert end == whole_end


@pytest.mark.parametrize(
    "body",
    [b"", WHOLE[:-1], WHOLE[:4], grpc_message(ROW.SerializeToString(), compressed=True)],
    ids=["none", "cut", "cut in front", "compressed without saying how"],
)
def test_what_is_no_message_is_refused_and_the_next_is_answered(small: RunningServer, body: bytes) -> None:
    assert answer(small, pieces(then=body))[0] == b""
    assert score(answer(small, pieces(then=WHOLE))[0])


@pytest.mark.parametrize(
    ("message", "code"),
    [(b"\xff\xff", grpc.StatusCode.INTERNAL), (b"\0" * 2_000, grpc.StatusCode.OUT_OF_RANGE)],
    ids=["not the message", "too long"],
)
def test_a_message_that_is_no_row_is_refused(
    small: RunningServer, message: bytes, code: grpc.StatusCode
) -> None:
    with grpc.insecure_channel(small.addresses["data"]) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(SCORE.decode())(message)
        assert raised.value.code() == code
        answered = channel.unary_unary(SCORE.decode())(ROW.SerializeToString())
    assert scoring_pb2.ScoreResponse.FromString(answered).model == "daily"
