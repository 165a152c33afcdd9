"""Bars in, fates and signals out, outcomes later."""

import math
from collections.abc import Iterator
from pathlib import Path

import bundles
import grpc
import numpy as np
import pytest
from candlewire_proto.v1 import bars_pb2, outcomes_pb2, scoring_pb2, signals_pb2
from conftest import RunningServer, running_server
from wire_errors import wire_error

DAY_NS = 86_400 * 10**9
WARM_UP = max(bundles.LAGS)
LATE_WINDOW = 8


@pytest.fixture
def fresh(tiny_store: Path, tmp_path: Path) -> Iterator[RunningServer]:
    """A server that has seen no bar."""
    with running_server(tiny_store, tmp_path) as running:
        yield running


def bar(day: int, *, symbol: str = "AAPL", close: float | None = None, **changes: object) -> bars_pb2.Bar:
    price = 100 + 3 * math.sin(day * 0.7) + 2 * math.cos(day * 1.3) if close is None else close
    fields = {
        "symbol": symbol,
        "timeframe": "1d",
        "open_time_ns": DAY_NS * day,
        "open": price,
        "high": price + 1,
        "low": price - 1,
        "close": price,
        "volume": 1_000,
        "is_final": True,
    }
    return bars_pb2.Bar(**fields | changes)


def publish(server: RunningServer, *bars: bars_pb2.Bar) -> list[bars_pb2.PublishResponse]:
    requests = (bars_pb2.PublishRequest(bar=bar, client_sequence=i) for i, bar in enumerate(bars))
    answers = list(server.bars.Publish(requests, timeout=120))
    assert [answer.client_sequence for answer in answers] == list(range(len(bars)))
    return answers


def fates(answers: list[bars_pb2.PublishResponse]) -> list[str]:
    return [bars_pb2.BarFate.Name(answer.fate).removeprefix("BAR_FATE_") for answer in answers]


def signals_since(
    server: RunningServer, after: int, count: int, **request: object
) -> list[signals_pb2.SignalEvent]:
    request = {"after_sequence": after, "include_not_ready": True} | request
    call = server.signals.Subscribe(signals_pb2.SubscribeRequest(**request), timeout=120)
    assert not next(call).HasField("signal"), "the first message only confirms"
    events = [next(call).signal for _ in range(count)]
    call.cancel()
    return events


def test_bars_become_signals_once_features_are_warm(fresh: RunningServer) -> None:
    bars = [bar(day) for day in range(1, 21)]
    assert fates(publish(fresh, *bars)) == ["ACCEPTED"] * 20
    events = signals_since(fresh, 0, 20)
    assert [event.sequence for event in events] == list(range(1, 21))
    assert [event.bar.open_time_ns for event in events] == [one.open_time_ns for one in bars]
    not_ready = [event.score.signal == scoring_pb2.SIGNAL_NOT_READY for event in events]
    assert not_ready == [True] * WARM_UP + [False] * (20 - WARM_UP)
    assert not events[0].score.probabilities, "never a guess"
    assert list(events[0].score.distrust_reasons) == [scoring_pb2.DISTRUST_REASON_NOT_READY]
    closes = [one.close for one in bars]
    row = np.float32([[math.log(closes[-1] / closes[-1 - lag]) for lag in bundles.LAGS]])
    model = bundles.graph(len(bundles.LAGS)).SerializeToString()
    wanted = bundles.run_graph(model, row)["probabilities"][0]
    assert list(events[-1].score.probabilities) == pytest.approx(list(wanted), abs=1e-6)
    assert events[-1].score.price_band.mid == pytest.approx(
        closes[-1] * math.exp(events[-1].score.return_band.mid), rel=1e-6
    )


def test_streaming_gives_the_bits_of_publishing_at_once(tiny_store: Path, tmp_path: Path) -> None:
    bars = [bar(day, symbol=symbol) for day in range(1, 61) for symbol in ("AAPL", "MSFT")]

    def scores(name: str, chunks: list[list[bars_pb2.Bar]]) -> list[bytes]:
        (tmp_path / name).mkdir()
        with running_server(tiny_store, tmp_path / name) as server:
            for chunk in chunks:
                publish(server, *chunk)
            events = signals_since(server, 0, len(bars))
        for event in events:
            event.score.ClearField("timings")
            event.received_time_ns = event.bar_to_signal_ns = 0
        return [event.SerializeToString(deterministic=True) for event in events]

    assert scores("at_once", [bars]) == scores("one_by_one", [[one] for one in bars])


def test_each_unsound_bar_is_refused_and_the_stream_goes_on(fresh: RunningServer) -> None:
    cases = {
        "INVALID_SYMBOL": bar(1, symbol="A B"),
        "INVALID_TIMEFRAME": bar(1, timeframe="2d"),
        "INVALID_TIME": bar(0),
        "INVALID_PRICE": bar(1, close=float("nan")),
        "INCONSISTENT_PRICES": bar(1, high=50),
        "INVALID_VOLUME": bar(1, volume=-1),
        "NOT_FINAL": bar(1, is_final=False),
        "UNKNOWN_SYMBOL": bar(1, symbol="TSLA"),
    }
    future = bar(1, open_time_ns=2**62)
    negative = bar(1, open=-5, low=-6, high=-4, close=-5)
    answers = publish(fresh, *cases.values(), future, negative, bars_pb2.Bar(), bar(1))
    reasons = [
        bars_pb2.BarRejection.Name(answer.rejection).removeprefix("BAR_REJECTION_") for answer in answers
    ]
    assert reasons == [*cases, "INVALID_TIME", "INVALID_PRICE", "INVALID_SYMBOL", "UNSPECIFIED"]
    assert all(answer.message for answer in answers[:-1])
    assert fates(answers) == ["REJECTED"] * (len(answers) - 1) + ["ACCEPTED"]


def test_a_request_without_a_bar_is_refused(fresh: RunningServer) -> None:
    (answer,) = fresh.bars.Publish(iter([bars_pb2.PublishRequest(client_sequence=9)]))
    assert (answer.rejection, answer.client_sequence) == (bars_pb2.BAR_REJECTION_MISSING, 9)


def test_duplicates_corrections_and_late_bars_find_their_place(fresh: RunningServer) -> None:
    days = [day for day in range(1, 21) if day != 18]
    publish(fresh, *(bar(day) for day in days))
    corrected = bar(20, close=99.0)
    answers = publish(fresh, bar(20), bar(18), corrected, bar(20 - LATE_WINDOW - 5, close=50.0))
    assert fates(answers) == ["DUPLICATE", "LATE_APPLIED", "REPLACED", "REJECTED"]
    assert answers[-1].rejection == bars_pb2.BAR_REJECTION_TOO_LATE
    latest = fresh.signals.GetLatest(signals_pb2.GetLatestRequest(symbols=["AAPL"])).signals[0]
    # The same bars in order, on another symbol, give the same row.
    in_order = [bar(day, symbol="MSFT") for day in range(1, 20)] + [bar(20, symbol="MSFT", close=99.0)]
    publish(fresh, *in_order)
    other = fresh.signals.GetLatest(signals_pb2.GetLatestRequest(symbols=["MSFT"])).signals[0]
    assert list(latest.score.probabilities) == list(other.score.probabilities)
    assert latest.fate == bars_pb2.BAR_FATE_REPLACED


def test_outcomes_come_horizon_bars_later_and_move_the_band(fresh: RunningServer) -> None:
    publish(fresh, *(bar(day) for day in range(1, 61)))
    events = signals_since(fresh, 0, 60)
    outcomes = list(fresh.outcomes.ListOutcomes(outcomes_pb2.ListOutcomesRequest()).outcomes)[::-1]
    assert len(outcomes) == 60 - WARM_UP - 2
    closes = {event.bar.open_time_ns: event.bar.close for event in events}
    issued = {event.bar.open_time_ns: event.score for event in events}
    for outcome in outcomes:
        assert outcome.realised_open_time_ns == outcome.bar_open_time_ns + 2 * DAY_NS
        realised = math.log(closes[outcome.realised_open_time_ns] / closes[outcome.bar_open_time_ns])
        assert outcome.realised_return == pytest.approx(realised, rel=1e-6)
        score = issued[outcome.bar_open_time_ns]
        assert (outcome.band_low, outcome.band_high) == (score.return_band.low, score.return_band.high)
        assert outcome.width_multiplier == score.return_band.width_multiplier
        assert outcome.covered == (outcome.band_low <= realised <= outcome.band_high)
    (pool,) = fresh.outcomes.GetCoverage(outcomes_pb2.GetCoverageRequest(model="daily")).pools
    assert pool.outcomes == len(outcomes)
    assert pool.achieved_coverage == pytest.approx(sum(o.covered for o in outcomes) / len(outcomes))
    # Nothing may move before the first outcome was known, and the bar after it is the first that may.
    multipliers = [event.score.return_band.width_multiplier for event in events[WARM_UP:]]
    assert multipliers[:3] == [1.0] * 3
    assert multipliers[3] != 1.0


def test_a_subscriber_gets_what_it_asked_for(fresh: RunningServer) -> None:
    publish(fresh, *(bar(day, symbol=symbol) for day in range(1, 15) for symbol in ("AAPL", "MSFT")))
    only = signals_since(fresh, 0, 14, symbols=["MSFT"])
    assert {event.bar.symbol for event in only} == {"MSFT"}
    ready = signals_since(fresh, 0, 14 - WARM_UP, symbols=["AAPL"], include_not_ready=False)
    assert all(event.score.probabilities for event in ready)
    assert [event.sequence for event in signals_since(fresh, 20, 8)] == list(range(21, 29))


def test_a_live_subscriber_hears_of_each_bar_as_it_closes(fresh: RunningServer) -> None:
    call = fresh.signals.Subscribe(signals_pb2.SubscribeRequest(include_not_ready=True), timeout=20)
    assert next(call).head_sequence == 0
    for day in range(1, 10):
        publish(fresh, bar(day))
        assert next(call).signal.bar.open_time_ns == DAY_NS * day
    call.cancel()


def test_resuming_where_nothing_is_held_says_what_is(fresh: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        next(fresh.signals.Subscribe(signals_pb2.SubscribeRequest(after_sequence=7)))
    error = wire_error(raised.value)
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_GONE")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("minimum_confidence", 2.0),
        ("minimum_confidence", math.nan),
        ("timeframes", ["2d"]),
        ("buffer_signals", 65_537),
    ],
)
def test_a_bad_subscription_is_told_the_field(server: RunningServer, field: str, value: object) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        next(server.signals.Subscribe(signals_pb2.SubscribeRequest(**{field: value})))
    assert wire_error(raised.value).fields == (field,)


def test_the_newest_signals_are_listed_by_symbol(fresh: RunningServer) -> None:
    publish(fresh, *(bar(day, symbol=symbol) for day in (1, 2) for symbol in ("MSFT", "AAPL")))
    response = fresh.signals.GetLatest(signals_pb2.GetLatestRequest())
    assert [event.bar.symbol for event in response.signals] == ["AAPL", "MSFT"]
    asked = fresh.signals.GetLatest(signals_pb2.GetLatestRequest(symbols=["AAPL", "NONE"]))
    assert [event.bar.open_time_ns for event in asked.signals] == [2 * DAY_NS]
    assert list(asked.unknown_symbols) == ["NONE"]
