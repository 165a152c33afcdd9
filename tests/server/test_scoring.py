"""Scores on request: what a sound request gets, and what an unsound one is told."""

import math
from concurrent.futures import ThreadPoolExecutor

import bundles
import grpc
import numpy as np
import pytest
from candlewire_proto.v1 import bars_pb2, scoring_pb2
from conftest import RunningServer
from wire_errors import WireError, wire_error

ROW = [0.01, 0.02, -0.01, 0.005]
DAY_NS = 86_400 * 10**9


def expected(rows: np.ndarray) -> dict[str, np.ndarray]:
    return bundles.run_graph(bundles.graph(len(bundles.LAGS)).SerializeToString(), rows.astype(np.float32))


def refusal(server: RunningServer, **request: object) -> WireError:
    with pytest.raises(grpc.RpcError) as raised:
        server.scoring.Score(scoring_pb2.ScoreRequest(**request), timeout=5)
    return wire_error(raised.value)


def window(count: int, symbol: str = "AAPL", **changes: float) -> list[bars_pb2.Bar]:
    return [
        bars_pb2.Bar(
            symbol=symbol,
            timeframe="1d",
            open_time_ns=DAY_NS * (index + 1),
            **{"open": 100, "high": 110, "low": 90, "close": 100 + 5 * math.sin(index), "volume": 10}
            | changes,
            is_final=True,
        )
        for index in range(count)
    ]


def test_a_score_is_what_onnx_runtime_says(server: RunningServer) -> None:
    score = server.scoring.Score(scoring_pb2.ScoreRequest(model="daily", features=ROW, include_members=True))
    wanted = expected(np.array([ROW]))
    assert np.array_equal(np.float32(score.probabilities), wanted["probabilities"][0])
    assert np.float32(score.probability_up) == wanted["probabilities"][0, 1]
    assert np.float32(score.return_band.mid) == wanted["band_mid"][0]
    assert np.float32(score.dissimilarity) == wanted["dissimilarity"][0]
    assert [member.name for member in score.members] == ["trees"]
    assert np.array_equal(np.float32(score.members[0].probabilities), wanted["member_probabilities"][0, 0])


def test_a_score_says_where_it_comes_from(server: RunningServer) -> None:
    score = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW, reference_price=50))
    assert (score.model, score.model_version) == ("daily", 20_260_101_000_000)
    assert score.feature_spec_hash == bundles.feature_spec().hash
    assert score.role == scoring_pb2.DEPLOYMENT_ROLE_PRODUCTION
    assert score.horizon_bars == 2
    assert score.return_band.target_coverage == pytest.approx(0.9)
    assert score.price_band.low == pytest.approx(50 * math.exp(score.return_band.low))
    assert score.price_band.high == pytest.approx(50 * math.exp(score.return_band.high))
    assert score.timings.batch_rows >= 1
    assert score.timings.total_ns >= score.timings.inference_ns > 0
    assert not score.members


def test_a_row_far_from_the_training_data_is_not_trusted(server: RunningServer) -> None:
    assert server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW)).trusted
    score = server.scoring.Score(scoring_pb2.ScoreRequest(features=[5.0, *ROW[1:]]))
    assert not score.trusted
    assert list(score.distrust_reasons) == [scoring_pb2.DISTRUST_REASON_OUTLIER]


def test_a_window_of_bars_gives_the_score_of_its_last_bar(server: RunningServer) -> None:
    bars = window(12)
    closes = [bar.close for bar in bars]
    row = [math.log(closes[-1] / closes[-1 - lag]) for lag in bundles.LAGS]
    score = server.scoring.Score(scoring_pb2.ScoreRequest(bars=bars))
    assert list(score.probabilities) == pytest.approx(
        list(expected(np.array([row]))["probabilities"][0]), abs=1e-6
    )
    assert score.bar_open_time_ns == bars[-1].open_time_ns
    assert score.price_band.mid == pytest.approx(closes[-1] * math.exp(score.return_band.mid))


def test_a_batch_is_its_rows(server: RunningServer) -> None:
    rows = np.random.default_rng(3).normal(0, 0.02, (1_000, 4)).astype("<f4")
    batch = server.scoring.ScoreBatch(scoring_pb2.ScoreBatchRequest(features=rows.tobytes(), rows=len(rows)))
    wanted = expected(rows)
    assert np.array_equal(np.frombuffer(batch.probabilities, "<f4").reshape(-1, 2), wanted["probabilities"])
    assert np.array_equal(np.frombuffer(batch.dissimilarity, "<f4"), wanted["dissimilarity"])
    assert np.array_equal(np.frombuffer(batch.probability_low, "<f4"), wanted["probability_low"])
    signals = np.frombuffer(batch.signals, np.uint8)
    up = wanted["probabilities"][:, 1]
    assert np.array_equal(signals == scoring_pb2.SIGNAL_BUY, up >= np.float32(0.6))
    assert len(batch.trusted) == len(rows)


def test_a_row_has_the_same_bits_in_a_batch_of_any_size(server: RunningServer) -> None:
    rows = np.random.default_rng(5).normal(0, 0.02, (70, 4)).astype("<f4")
    wanted = expected(rows)
    outputs = ("probability_low", "probability_high", "dissimilarity")
    # Few rows run in tensors made beforehand, more of them do not; and each size comes again after another.
    for size in [*range(1, 41), 64, 70, 3, 1, 32, 33]:
        request = scoring_pb2.ScoreBatchRequest(features=rows[:size].tobytes(), rows=size)
        batch = server.scoring.ScoreBatch(request, timeout=10)
        probabilities = np.frombuffer(batch.probabilities, "<f4").reshape(-1, 2)
        assert probabilities.tobytes() == wanted["probabilities"][:size].tobytes(), size
        for name in outputs:
            assert getattr(batch, name) == wanted[name][:size].astype("<f4").tobytes(), (size, name)


def test_many_callers_each_get_their_own_row(server: RunningServer) -> None:
    rows = np.random.default_rng(4).normal(0, 0.02, (500, 4)).astype(np.float32)
    with ThreadPoolExecutor(16) as pool:
        scores = list(
            pool.map(lambda row: server.scoring.Score(scoring_pb2.ScoreRequest(features=row)), rows)
        )
    got = np.float32([list(score.probabilities) for score in scores])
    assert np.array_equal(got, expected(rows)["probabilities"])


def test_a_stream_answers_in_order_and_goes_on_after_a_bad_row(server: RunningServer) -> None:
    def requests() -> list[scoring_pb2.ScoreStreamRequest]:
        rows = [ROW, [1.0], ROW, [math.nan] * 4, ROW]
        scored = [scoring_pb2.ScoreRequest(features=row) for row in rows]
        return [
            scoring_pb2.ScoreStreamRequest(client_sequence=i, request=request)
            for i, request in enumerate(scored)
        ]

    answers = list(
        server.scoring.ScoreStream(iter([*requests(), scoring_pb2.ScoreStreamRequest(client_sequence=5)]))
    )
    assert [answer.client_sequence for answer in answers] == [0, 1, 2, 3, 4, 5]
    assert [answer.WhichOneof("result") for answer in answers] == [
        "score",
        "error",
        "score",
        "error",
        "score",
        "error",
    ]
    assert answers[1].error.reason == "FEATURE_COUNT"
    assert answers[1].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert answers[0].score.probabilities == answers[4].score.probabilities


BAD_REQUESTS = {
    "nothing": ({}, "INVALID_ARGUMENT", "ROW_INPUT", "neither"),
    "both": ({"features": ROW, "bars": window(8)}, "INVALID_ARGUMENT", "ROW_INPUT", "both"),
    "too few features": ({"features": [1.0]}, "INVALID_ARGUMENT", "FEATURE_COUNT", "takes 4 values, got 1"),
    "too many features": (
        {"features": [0.0] * 5},
        "INVALID_ARGUMENT",
        "FEATURE_COUNT",
        "takes 4 values, got 5",
    ),
    "NaN": (
        {"features": [0, 0, math.nan, 0]},
        "INVALID_ARGUMENT",
        "NON_FINITE_FEATURE",
        "features[2] (log_return_3)",
    ),
    "infinity": ({"features": [math.inf, 0, 0, 0]}, "INVALID_ARGUMENT", "NON_FINITE_FEATURE", "features[0]"),
    "unknown model": (
        {"model": "hourly", "features": ROW},
        "NOT_FOUND",
        "MODEL_NOT_FOUND",
        "known models: daily",
    ),
    "unknown version": (
        {"model_version": 7, "features": ROW},
        "NOT_FOUND",
        "VERSION_NOT_FOUND",
        "no version 7",
    ),
    "other timeframe": ({"timeframe": "1h", "features": ROW}, "INVALID_ARGUMENT", "WRONG_TIMEFRAME", "1d"),
    "no timeframe": ({"timeframe": "2d", "features": ROW}, "INVALID_ARGUMENT", "INVALID_FIELD", "2d"),
    "other spec": (
        {"feature_spec_hash": "00", "features": ROW},
        "FAILED_PRECONDITION",
        "FEATURE_SPEC_MISMATCH",
        "trained on",
    ),
    "negative reference": (
        {"features": ROW, "reference_price": -1},
        "INVALID_ARGUMENT",
        "REFERENCE_PRICE",
        "-1",
    ),
    "NaN reference": (
        {"features": ROW, "reference_price": math.nan},
        "INVALID_ARGUMENT",
        "REFERENCE_PRICE",
        "NaN",
    ),
    "short window": ({"bars": window(3)}, "FAILED_PRECONDITION", "NOT_READY", "at least 6"),
    "negative price": ({"bars": window(8, low=-1)}, "INVALID_ARGUMENT", "INVALID_BAR", "low is -1"),
    "high below low": ({"bars": window(8, high=80)}, "INVALID_ARGUMENT", "INVALID_BAR", "high 80"),
    "out of order": ({"bars": window(8)[::-1]}, "INVALID_ARGUMENT", "BAR_ORDER", "bars[1].open_time_ns"),
    "mixed symbols": (
        {"bars": [*window(8), *window(1, "MSFT")]},
        "INVALID_ARGUMENT",
        "MIXED_BARS",
        "bars[8].symbol",
    ),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_is_told_what_to_do(server: RunningServer, case: str) -> None:
    request, code, reason, text = BAD_REQUESTS[case]
    error = refusal(server, **request)
    assert (error.code.name, error.reason) == (code, reason)
    assert text in error.message
    assert error.fields
    assert error.fields[0] in error.message
    assert server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW)).probabilities


def test_a_batch_must_hold_its_rows(server: RunningServer) -> None:
    for request, reason in (
        (scoring_pb2.ScoreBatchRequest(features=bytes(15), rows=1), "BATCH_BYTES"),
        (scoring_pb2.ScoreBatchRequest(features=b"", rows=0), "ROW_COUNT"),
        (scoring_pb2.ScoreBatchRequest(features=bytes(16), rows=2**31), "ROW_COUNT"),
        (
            scoring_pb2.ScoreBatchRequest(features=np.float32([0, 0, math.nan, 0]).tobytes(), rows=1),
            "NON_FINITE_FEATURE",
        ),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            server.scoring.ScoreBatch(request)
        assert wire_error(raised.value).reason == reason


def test_a_message_beyond_the_limit_is_refused(server: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        server.scoring.ScoreBatch(scoring_pb2.ScoreBatchRequest(features=bytes(17 * 2**20), rows=1))
    assert raised.value.code() in {grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW)).probabilities


def test_bytes_that_are_no_message_are_refused(server: RunningServer) -> None:
    call = server.channel("data").unary_unary("/candlewire.v1.ScoringService/Score")
    with pytest.raises(grpc.RpcError):
        call(b"\xff\xff\xff\xff", timeout=5)
    assert server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW)).probabilities
