"""Messages that are almost sound, many of them: each is answered or refused, and no later answer differs."""

import os
import random
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from candlewire_proto.v1 import bars_pb2, scoring_pb2, signals_pb2
from conftest import RunningServer, running_server
from raw_http2 import (
    ACK,
    DATA,
    END_STREAM,
    HEADERS,
    PING,
    RST_STREAM,
    WINDOW_UPDATE,
    Connection,
    frame,
    grpc_message,
)
from test_bars import bar, fates, publish
from test_hostile_bytes import SCORE, request
from test_scoring import window
from tritonclient.grpc import service_pb2

ROW = [0.01, 0.02, -0.01, 0.005]
# `make soak` asks for more.
ROUNDS = int(os.environ.get("CANDLEWIRE_SOAK_MUTATIONS", "40"))
PER_ROUND = 50


def infer() -> service_pb2.ModelInferRequest:
    made = service_pb2.ModelInferRequest(model_name="daily", raw_input_contents=[np.float32(ROW).tobytes()])
    made.inputs.add(name="features", datatype="FP32", shape=[1, len(ROW)])
    made.parameters["symbol"].string_param = "AAPL"
    made.parameters["timeout"].int64_param = 5_000_000
    return made


SOUND = {
    SCORE: [
        scoring_pb2.ScoreRequest(features=ROW, symbol="AAPL", reference_price=5.0),
        scoring_pb2.ScoreRequest(bars=window(8)),
    ],
    b"/candlewire.v1.ScoringService/ScoreBatch": [
        scoring_pb2.ScoreBatchRequest(features=np.tile(np.float32(ROW), 9).tobytes(), rows=9)
    ],
    b"/candlewire.v1.ScoringService/ScoreStream": [
        scoring_pb2.ScoreStreamRequest(client_sequence=7, request=scoring_pb2.ScoreRequest(features=ROW))
    ],
    b"/candlewire.v1.BarService/Publish": [bars_pb2.PublishRequest(bar=bar(1), client_sequence=3)],
    b"/candlewire.v1.SignalService/GetLatest": [
        signals_pb2.GetLatestRequest(symbols=["AAPL"], timeframe="1d")
    ],
    b"/candlewire.v1.SignalService/Subscribe": [
        signals_pb2.SubscribeRequest(symbols=["AAPL"], timeframes=["1d"], buffer_signals=5, after_sequence=2)
    ],
    b"/inference.GRPCInferenceService/ModelInfer": [infer()],
    b"/inference.GRPCInferenceService/ModelStreamInfer": [infer()],
}


def mutated(generator: random.Random, sound: bytes) -> bytes:
    """The message with bits turned, cut, doubled, filled in, or of another length than it says."""
    content = bytearray(sound)
    for _ in range(generator.randint(1, 4)):
        at = generator.randrange(len(content)) if content else 0
        match generator.randrange(5):
            case 0 if content:
                content[at] ^= 1 << generator.randrange(8)
            case 1:
                content = content[:at]
            case 2:
                content[at:at] = content[at : at + generator.randint(1, 40)]
            case 3:
                content[at : at + 4] = generator.choice([b"\xff\xff\xff\x7f", b"\0\0\xc0\x7f", b"\xff" * 10])
            case _:
                content += generator.randbytes(generator.randint(1, 20))
    message = grpc_message(bytes(content))
    return message if generator.random() < 0.9 else message[: generator.randint(0, len(message))]


@pytest.fixture(scope="module")
def attacked(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    flags = ("--set", "limits.max_request_rows=1000", "--set", "limits.body_timeout_ms=2000")
    with running_server(tiny_store, tmp_path_factory.mktemp("mutated"), *flags) as running:
        yield running
        assert running.process.poll() is None, "the server died under its tests"


def answers(server: RunningServer, method: bytes) -> bytes:
    """What the server says to sound requests, less what calls of `method` may change."""
    score = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
    of_bars = server.scoring.Score(scoring_pb2.ScoreRequest(bars=window(8)), timeout=10)
    for answer in (score, of_bars):
        answer.ClearField("timings")
        if method.endswith(b"/Publish"):
            # Bars that were still sound enough bring outcomes, and outcomes move the bands.
            answer.ClearField("return_band")
            answer.ClearField("price_band")
    return score.SerializeToString(deterministic=True) + of_bars.SerializeToString(deterministic=True)


def how_they_end(server: RunningServer, method: bytes, bodies: list[bytes]) -> Counter[str]:
    """Sends all on one connection; how each ended."""
    ends: dict[int, str] = {}
    with Connection.to(server.addresses["data"]) as connection:
        for index, body in enumerate(bodies):
            connection.send(request(2 * index + 1, method, body))
        while len(ends) < len(bodies):
            got = connection.read()
            assert got is not None, "the connection of others ends with a bad message"
            if got.kind == DATA and got.payload:
                # What is held back for want of room would look like no answer.
                connection.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(got.payload))))
            if got.kind == PING and not got.flags & ACK:
                connection.send(frame(PING, ACK, 0, got.payload))
            elif got.kind == RST_STREAM:
                ends[got.stream] = "reset"
            elif got.kind == HEADERS and got.flags & END_STREAM:
                ends.setdefault(got.stream, "answered")
            elif got.kind == DATA and b"Subscribe" in method:
                # A subscription that was understood does not end: the caller leaves.
                connection.send(frame(RST_STREAM, 0, got.stream, b"\0\0\0\x08"))
                ends[got.stream] = "subscribed"
    return Counter(ends.values())


@pytest.mark.parametrize("method", sorted(SOUND), ids=lambda method: method.decode().rpartition("/")[2])
def test_messages_that_are_almost_sound_are_answered_or_refused(
    attacked: RunningServer, method: bytes
) -> None:
    generator = random.Random(method)  # noqa: S311 - reproducible bytes
    wanted, ends = answers(attacked, method), Counter[str]()
    for _ in range(ROUNDS):
        sound = [message.SerializeToString() for message in SOUND[method]]
        bodies = [mutated(generator, generator.choice(sound)) for _ in range(PER_ROUND)]
        ends += how_they_end(attacked, method, bodies)
        assert answers(attacked, method) == wanted
    assert sum(ends.values()) == ROUNDS * PER_ROUND


def test_a_series_that_was_fed_almost_sound_bars_takes_sound_ones(attacked: RunningServer) -> None:
    assert fates(publish(attacked, bar(15_000, symbol="MSFT"))) == ["ACCEPTED"]
