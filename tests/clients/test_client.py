"""What both clients promise, over a server that can be made to fail; each test runs for both."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from array import array
from typing import Any

import candlewire
import grpc
import numpy as np
import pytest
from candlewire import BarFate, BarRejection, HealthStatus, ScoreQuery, Signal

ROW = [0.5, 0.75, 0.25, 1.0]


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        iter,
        lambda row: array("f", row),
        lambda row: array("d", row),
        lambda row: np.array(row, np.float32),
        lambda row: np.array(row, np.float64),
        lambda row: np.array([[value, 9.0] for value in row], np.float32)[:, 0],
    ],
    ids=["list", "tuple", "iterator", "array-f", "array-d", "float32", "float64", "strided"],
)
def test_a_row_arrives_whatever_holds_it(client: Any, server: Any, make: Any) -> None:
    score = client.score(make(ROW))
    assert list(server.scored[-1].features) == ROW
    assert score.probability_up == pytest.approx(0.625)


def test_a_score_carries_its_provenance(client: Any, server: Any) -> None:
    score = client.score(
        ROW,
        model="daily",
        symbol="AAPL",
        timeframe="1d",
        model_version=7,
        reference_price=200.0,
        include_members=True,
        feature_spec_hash="cd",
    )
    asked = server.scored[-1]
    assert (asked.model, asked.symbol, asked.timeframe) == ("daily", "AAPL", "1d")
    assert (asked.model_version, asked.reference_price, asked.feature_spec_hash) == (7, 200.0, "cd")
    assert score.signal is Signal.BUY
    assert score.probabilities == pytest.approx((0.375, 0.625))
    assert score.return_band.low == pytest.approx(-0.02)
    assert score.return_band.achieved_coverage is None, "no outcome yet, so no coverage to speak of"
    assert score.price_band == candlewire.PriceBand(low=196.0, mid=200.0, high=204.0)
    assert score.members == (candlewire.MemberScore(name="xgboost", probabilities=(0.25, 0.75)),)
    assert score.bar_open_time_ns is None
    assert score.decision_id is None
    assert score.role is candlewire.DeploymentRole.PRODUCTION
    assert score.timings.batch_rows == 1
    with pytest.raises(AttributeError):
        score.confidence = 1.0


def test_bars_are_scored_as_a_window(client: Any, server: Any, make_bars: Any) -> None:
    bars = make_bars(3)
    score = client.score(bars=bars)
    assert [bar.open_time_ns for bar in server.scored[-1].bars] == [bar.open_time_ns for bar in bars]
    assert score.bar_open_time_ns == bars[-1].open_time_ns
    assert score.price_band.mid == 11.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.score(), "exactly one of `features` and `bars`"),
        (lambda c: c.score(ROW, bars=[]), "exactly one of `features` and `bars`"),
        (lambda c: c.score(["a"]), "features must hold numbers only"),
        (lambda c: c.score(b"abcd"), "features is bytes"),
        (lambda c: c.score(np.zeros((2, 4), np.float32)), r"shape \(2, 4\).*use score_batch"),
        (lambda c: c.score(ROW, model=3), "model=3"),
        (lambda c: c.score(bars=[3]), "3 is int; pass candlewire.Bar"),
        (lambda c: c.score_batch([]), "rows is empty"),
        (lambda c: c.score_batch([[1.0], [1.0, 2.0]]), r"rows\[1\] has 2 values and rows\[0\] has 1"),
        (lambda c: c.score_batch(np.zeros(4, np.float32)), r"rows has shape \(4,\)"),
        (lambda c: c.score(ROW, timeout_ms=0), "timeout_ms is 0"),
        (lambda c: c.score(ROW, timeout_ms=math.nan), "timeout_ms is nan"),
        (lambda c: c.subscribe("AAPL"), r"symbols is the string 'AAPL'; pass a list: \['AAPL'\]"),
        (lambda c: c.latest("AAPL"), "symbols is the string 'AAPL'"),
    ],
)
def test_bad_input_is_refused_before_it_is_sent(client: Any, server: Any, call: Any, message: str) -> None:
    with pytest.raises(candlewire.InvalidInputError, match=message):
        call(client)
    assert server.calls == 0


@pytest.mark.parametrize(
    "rows", [np.array([ROW, ROW[::-1]], np.float32), [ROW, ROW[::-1]]], ids=["numpy", "list"]
)
def test_a_batch_returns_columns_without_copies(client: Any, rows: Any) -> None:
    batch = client.score_batch(rows)
    assert len(batch) == 2
    assert np.asarray(batch.probabilities).shape == (2, 2)
    assert np.asarray(batch.probabilities).dtype == np.float32
    assert list(batch.probability_low) == [0.625, 0.625]
    assert batch.signal(1) is Signal.BUY


def test_a_refused_request_names_reason_and_field(client: Any) -> None:
    with pytest.raises(candlewire.InvalidRequestError) as caught:
        client.score([1.0])
    error = caught.value
    assert str(error) == "features has 1 values; the model takes 4"
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "FEATURE_COUNT")
    assert [violation.field for violation in error.violations] == ["features"]


def test_an_unknown_model_is_not_found(client: Any) -> None:
    with pytest.raises(candlewire.NotFoundError, match="this server has 'daily'"):
        client.score(ROW, model="hourly")


def test_nobody_listening_is_said_with_the_address(connect: Any) -> None:
    client = connect("127.0.0.1:1", timeout_ms=2_000)
    with pytest.raises(
        candlewire.UnavailableError, match=r"no answer from 127\.0\.0\.1:1: .*is the server running"
    ):
        client.score(ROW)


def test_unavailable_is_retried_for_calls_that_change_nothing(client: Any, server: Any, refusal: Any) -> None:
    for call in (lambda: client.score(ROW), lambda: client.score_batch([ROW]), client.latest, client.health):
        server.refusals = [refusal(grpc.StatusCode.UNAVAILABLE, "restarting")] * 2
        server.calls = 0
        call()
        assert server.calls == 3


def test_retries_end(connect: Any, server: Any, refusal: Any) -> None:
    client = connect(retries=candlewire.RetryPolicy(attempts=2))
    server.refusals = [refusal(grpc.StatusCode.UNAVAILABLE, "restarting")] * 5
    with pytest.raises(candlewire.UnavailableError):
        client.score(ROW)
    assert server.calls == 2


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ABORTED]
)
def test_other_failures_are_not_retried(
    client: Any, server: Any, refusal: Any, code: grpc.StatusCode
) -> None:
    server.refusals = [refusal(code, "no")]
    with pytest.raises(candlewire.CandlewireError):
        client.score(ROW)
    assert server.calls == 1


def test_a_full_server_is_asked_again_when_it_says(client: Any, server: Any, refusal: Any) -> None:
    server.refusals = [
        refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason="QUEUE_FULL", retry_after_ms=60)
    ]
    started = time.monotonic()
    client.score(ROW)
    assert time.monotonic() - started >= 0.06
    assert server.calls == 2


def test_a_full_server_that_does_not_say_when_is_not_asked_again(
    client: Any, server: Any, refusal: Any
) -> None:
    server.refusals = [refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")]
    with pytest.raises(candlewire.OverloadedError, match="full; send less, or retry later"):
        client.score(ROW)
    assert server.calls == 1


def test_a_retry_that_would_miss_the_deadline_is_not_made(client: Any, server: Any, refusal: Any) -> None:
    server.refusals = [
        refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason="QUEUE_FULL", retry_after_ms=900)
    ]
    started = time.monotonic()
    with pytest.raises(candlewire.OverloadedError) as caught:
        client.score(ROW, timeout_ms=500)
    assert time.monotonic() - started < 0.5
    assert caught.value.retry_after_ms == 900


def test_the_deadline_is_kept(client: Any, server: Any) -> None:
    server.hold_calls = True
    with pytest.raises(candlewire.DeadlineExceededError, match="raise `timeout_ms`"):
        client.score(ROW, timeout_ms=50)


def test_a_stream_answers_bad_requests_in_place(client: Any) -> None:
    queries = [ScoreQuery(features=ROW), ScoreQuery(features=[1.0]), ScoreQuery(features=ROW, model="daily")]
    answers = list(client.score_stream(queries))
    assert [answer.client_sequence for answer in answers] == [0, 1, 2]
    assert answers[0].result().probability_up == pytest.approx(0.625)
    assert answers[2].score is not None
    with pytest.raises(candlewire.InvalidRequestError) as caught:
        answers[1].result()
    assert caught.value.reason == "FEATURE_COUNT"


def test_published_bars_are_acknowledged_in_order(client: Any, make_bars: Any) -> None:
    bars = make_bars(2)
    wrong = make_bars(1, high=1.0)
    acks = list(client.publish([*bars, bars[0], *wrong]))
    assert [ack.client_sequence for ack in acks] == [0, 1, 2, 3]
    assert [ack.fate for ack in acks] == [
        BarFate.ACCEPTED,
        BarFate.ACCEPTED,
        BarFate.DUPLICATE,
        BarFate.REJECTED,
    ]
    assert acks[0].applied
    assert not acks[2].applied
    assert acks[3].rejection is BarRejection.INCONSISTENT_PRICES
    assert "high must not be below low" in acks[3].message


def test_what_the_callers_iterable_raises_reaches_the_caller(client: Any, make_bars: Any) -> None:
    def bars() -> Any:
        yield from make_bars(2)
        raise RuntimeError("the feed broke")

    acks = []
    with pytest.raises(RuntimeError, match="the feed broke"):
        acks.extend(client.publish(bars()))
    with pytest.raises(candlewire.InvalidInputError, match=r"pass candlewire\.Bar"):
        list(client.publish(["AAPL"]))


def test_bars_left_unanswered_are_an_error(client: Any, server: Any, make_bars: Any) -> None:
    server.answer_publish_up_to = 2
    acks = client.publish(make_bars(5))
    assert [next(acks).fate, next(acks).fate] == [BarFate.ACCEPTED, BarFate.ACCEPTED]
    with pytest.raises(candlewire.UnavailableError, match=r"after 2 of \d bars; send the rest"):
        next(acks)


def test_publishing_is_never_repeated(client: Any, server: Any, refusal: Any, make_bars: Any) -> None:
    server.refusals = [refusal(grpc.StatusCode.UNAVAILABLE, "restarting")]
    with pytest.raises(candlewire.UnavailableError):
        list(client.publish(make_bars(1)))
    assert server.calls == 1


def test_a_subscriber_misses_nothing_after_it_is_confirmed(client: Any, make_bars: Any) -> None:
    subscription = client.subscribe(["AAPL"])
    bars = make_bars(3)
    list(client.publish([*make_bars(1, symbol="MSFT"), *bars]))
    events = [next(subscription) for _ in bars]
    assert [event.bar for event in events] == bars
    assert [event.sequence for event in events] == [2, 3, 4]
    assert [event.dropped_signals for event in events] == [0, 1, 0]
    assert subscription.dropped_signals == 1
    assert subscription.last_sequence == 4
    subscription.close()
    assert next(subscription, None) is None


def test_a_subscription_starts_behind_a_sequence_number(client: Any, make_bars: Any) -> None:
    list(client.publish(make_bars(3)))
    subscription = client.subscribe(after_sequence=1)
    assert subscription.head_sequence == 3
    assert [next(subscription).sequence, next(subscription).sequence] == [2, 3]
    subscription.close()


def test_a_broken_subscription_resumes_without_hole_or_repeat(
    client: Any, server: Any, make_bars: Any
) -> None:
    server.end_subscription_after = 2
    subscription = client.subscribe()
    list(client.publish(make_bars(5)))
    assert [next(subscription).sequence for _ in range(5)] == [1, 2, 3, 4, 5]
    assert subscription.resumed == 1
    assert server.subscriptions[-1].after_sequence == 2
    subscription.close()


def test_a_subscription_outlives_a_restart(client: Any, server: Any, make_bars: Any) -> None:
    subscription = client.subscribe()
    server.restart()
    for bar in make_bars(2):
        list(client.publish([bar]))
    assert [next(subscription).sequence, next(subscription).sequence] == [1, 2]
    subscription.close()


def test_a_lost_sequence_is_said(client: Any, server: Any) -> None:
    server.oldest_held = 10
    with pytest.raises(candlewire.SequenceLostError, match="without `after_sequence`"):
        client.subscribe(after_sequence=3)


def test_a_subscription_that_may_not_resume_says_why_it_ended(
    client: Any, server: Any, make_bars: Any
) -> None:
    server.end_subscription_after = 1
    subscription = client.subscribe(resume_for_ms=0)
    list(client.publish(make_bars(2)))
    next(subscription)
    with pytest.raises(candlewire.UnavailableError, match="draining"):
        next(subscription)


def test_a_subscription_ends_with_its_duration(client: Any) -> None:
    started = time.monotonic()
    assert list(client.subscribe(duration_ms=100)) == []
    assert 0.09 <= time.monotonic() - started < 3


def test_an_unconfirmed_subscription_is_given_up(client: Any, server: Any) -> None:
    server.confirm_subscriptions = False
    with pytest.raises(
        candlewire.DeadlineExceededError, match="did not confirm the subscription within 50 ms"
    ):
        client.subscribe(timeout_ms=50)


def test_latest_lists_unknown_symbols(client: Any, make_bars: Any) -> None:
    list(client.publish(make_bars(2)))
    latest = client.latest(["AAPL", "MSFT"])
    assert [event.sequence for event in latest] == [2]
    assert latest.unknown_symbols == ("MSFT",)
    assert len(latest) == 1


def test_health_speaks_for_server_and_service(client: Any, server: Any) -> None:
    assert client.health() is HealthStatus.SERVING
    assert client.health("candlewire.v1.ScoringService") is HealthStatus.SERVING
    assert client.health("none") is HealthStatus.SERVICE_UNKNOWN
    server.health = 2
    assert client.health() is HealthStatus.NOT_SERVING


def test_wait_ready_returns_when_the_server_serves(client: Any, server: Any) -> None:
    server.health = 2
    timer = threading.Timer(0.1, setattr, (server, "health", 1))
    timer.start()
    client.wait_ready(5_000)
    assert server.health == 1
    timer.join()


def test_wait_ready_says_what_it_heard(connect: Any, server: Any) -> None:
    server.health = 2
    with pytest.raises(candlewire.DeadlineExceededError, match="within 100 ms; last heard: NOT_SERVING"):
        connect().wait_ready(100)
    with pytest.raises(
        candlewire.DeadlineExceededError, match="was not ready within 100 ms; last heard: no answer"
    ):
        connect("127.0.0.1:1").wait_ready(100)


def test_a_token_is_sent_with_every_call(connect: Any, server: Any) -> None:
    client = connect(token="secret")  # noqa: S106 - a test's token
    client.score(ROW)
    assert server.metadata["authorization"] == "Bearer secret"
    client.subscribe(duration_ms=50)
    assert server.metadata["authorization"] == "Bearer secret"


def test_a_closed_client_says_so(connect: Any) -> None:
    client = connect()
    client.score(ROW)
    client.run(client.client.close) if hasattr(client, "run") else client.close()
    with pytest.raises(candlewire.ClientClosedError):
        client.score(ROW)
    with pytest.raises(candlewire.ClientClosedError):
        client.health()


@pytest.mark.parametrize("target", ["", "localhost", "http://localhost:50051", "host:port", "a b:1"])
def test_a_target_that_is_none_is_refused(connect: Any, target: str) -> None:
    if not target:
        with pytest.raises(candlewire.InvalidInputError, match="write host:port"):
            candlewire.Client(target)
        return
    with pytest.raises(candlewire.InvalidInputError, match="write host:port"):
        connect(target)


def test_tls_names_a_file_that_cannot_be_read(connect: Any) -> None:
    with pytest.raises(
        candlewire.InvalidInputError, match=r"tls\.root_certificates: cannot read nowhere\.pem"
    ):
        connect(tls=candlewire.Tls(root_certificates="nowhere.pem")).score(ROW)
    with pytest.raises(candlewire.InvalidInputError, match="both `certificate` and `key`"):
        candlewire.Tls(certificate="a.pem")


def test_closing_from_another_thread_ends_a_waiting_subscription(server: Any) -> None:
    with candlewire.Client(server.target) as client:
        subscription = client.subscribe()
        timer = threading.Timer(0.1, subscription.close)
        timer.start()
        assert list(subscription) == []
        timer.join()


def test_the_client_imports_no_numeric_library() -> None:
    heavy = {"numpy", "pandas", "polars", "typer", "rich"}
    program = f"import sys, candlewire, candlewire.aio; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
