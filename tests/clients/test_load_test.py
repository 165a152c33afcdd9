"""The load test: what it counts, what it finds, what it writes."""

from __future__ import annotations

import asyncio
import json
import math
import random
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path  # noqa: TC003 - a fixture's type
from statistics import mean
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import candlewire
import grpc
import pytest
from candlewire.commands import main as main_command
from candlewire.connection import Connection, Tls
from candlewire.load_test.charts import Axis, Series, line_chart
from candlewire.load_test.crew import Crew, LoadResult, run_load
from candlewire.load_test.find_rate import find_rate
from candlewire.load_test.histogram import LONGEST_NS, Histogram, bucket_of, highest_of
from candlewire.load_test.html_report import html_report
from candlewire.load_test.made_up_bars import prepare_series
from candlewire.load_test.plan import Job, LoadPlan, Scenario
from candlewire.load_test.schedule import Arrivals, due_times_s
from candlewire.load_test.tally import Tally, summarise
from candlewire.load_test.worker import precise_loop


def plan(**changes: Any) -> LoadPlan:
    values: dict[str, Any] = {"rate": 100.0, "duration_s": 0.2, "feature_count": 4, "timeout_ms": 5_000.0}
    return LoadPlan(**(values | changes))


def test_buckets_are_dense_ascending_and_narrow() -> None:
    values = [*range(2_000), *(int(1.003**power) for power in range(2_500, 9_200)), LONGEST_NS]
    for value in values:
        bucket = bucket_of(value)
        assert value <= highest_of(bucket) <= value * 1.01 + 1
        assert bucket_of(highest_of(bucket)) == bucket
        assert bucket_of(highest_of(bucket) + 1) == bucket + 1


def test_percentiles_are_those_of_the_sorted_values() -> None:
    draws = random.Random(3)  # noqa: S311
    values = [int(draws.lognormvariate(12, 1.5)) for _ in range(5_000)]
    histogram, other = Histogram(), Histogram()
    for number, value in enumerate(values):
        (histogram if number % 3 else other).add(value)
    histogram.merge(Histogram.from_wire(json.loads(json.dumps(other.to_wire()))))
    values.sort()
    assert histogram.count == len(values)
    assert histogram.mean_us == pytest.approx(mean(values) / 1e3)
    for percent in (1, 50, 90, 99, 99.9, 100):
        exact_us = values[math.ceil(len(values) * percent / 100) - 1] / 1e3
        assert exact_us <= histogram.percentile_us(percent) <= exact_us * 1.01 + 0.001
    assert histogram.percentile_us(100) == values[-1] / 1e3
    assert math.isnan(Histogram().percentile_us(50))


def test_values_out_of_range_are_counted_at_its_ends() -> None:
    histogram = Histogram()
    histogram.add(-5)
    histogram.add(LONGEST_NS * 4)
    assert (histogram.percentile_us(1), histogram.percentile_us(100)) == (0.0, LONGEST_NS / 1e3)


def test_arrivals_keep_their_rate() -> None:
    constant = list(due_times_s(50.0, 2.0, Arrivals.CONSTANT, seed=1))
    assert constant == pytest.approx([number / 50 for number in range(100)])
    poisson = list(due_times_s(5_000.0, 4.0, Arrivals.POISSON, seed=1))
    gaps = [later - earlier for earlier, later in pairwise(poisson)]
    assert len(poisson) == pytest.approx(20_000, rel=0.03)
    # Exponential gaps: their deviation is their mean.
    assert mean(gap**2 for gap in gaps) == pytest.approx(2 * mean(gaps) ** 2, rel=0.05)


def test_timers_of_a_worker_are_finer_than_a_millisecond() -> None:
    loop = precise_loop()
    waits = []

    async def measure() -> None:
        for _ in range(30):
            begun = time.perf_counter()
            await asyncio.sleep(0.0002)
            waits.append(time.perf_counter() - begun)

    try:
        loop.run_until_complete(measure())
    finally:
        loop.close()
    assert min(waits) < 0.0009


def test_a_job_survives_the_way_to_its_worker() -> None:
    tls = Tls(root_certificates="ca.pem", server_name="desk")
    connection = Connection(target="localhost:1", token="of the desk", tls=tls)  # noqa: S106
    job = Job(
        connection=connection,
        plan=plan(scenario=Scenario.FAN_OUT, symbols=("A", "B"), arrivals=Arrivals.CONSTANT, processes=3),
        part=2,
        first_open_times_ns=(1, 2),
    )
    assert Job.from_wire(json.loads(json.dumps(job.to_wire()))) == job


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0.0}, "rate is 0.0; it must be above zero"),
        ({"rate": math.nan}, "rate is nan"),
        ({"subscribers": 10**6}, "subscribers is 1000000; at most 5000"),
        ({"scenario": Scenario.FAN_OUT}, "name their symbols with --symbol"),
    ],
)
def test_an_impossible_plan_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(candlewire.InvalidInputError, match=message):
        plan(**changes)


def test_workers_share_a_load(server: Any) -> None:
    moments: list[Any] = []
    asked = plan(rate=200.0, duration_s=1.0, processes=2, connections=3, arrivals=Arrivals.CONSTANT)
    result = run_load(Connection(target=server.target), asked, progress=moments.append)
    assert (result.summary.sent, result.summary.answered) == (200, 200)
    assert len(server.scored) == 203, "three connections are opened with a row each"
    assert sum(result.tally.failed.values()) == 0
    assert sum(moment.answered_rate * 0.5 for moment in moments[:1]) > 50
    assert [moment.at_s for moment in result.moments] == sorted(moment.at_s for moment in result.moments)


def test_a_load_that_cannot_begin_says_why(server: Any, refusal: Any) -> None:
    server.refusals = [refusal(grpc.StatusCode.NOT_FOUND, "no such model", reason="MODEL_NOT_FOUND")]
    with pytest.raises(candlewire.NotFoundError, match="no such model"):
        run_load(Connection(target=server.target), plan())


def test_a_worker_that_dies_is_noticed(server: Any) -> None:
    with Crew(Connection(target=server.target), processes=1) as crew:
        crew._workers[0].kill()
        with pytest.raises(candlewire.CandlewireError, match="ended early"):
            crew.run(plan())


def test_timeouts_are_failures(server: Any) -> None:
    asked = plan(rate=50.0, timeout_ms=100.0)
    with Crew(Connection(target=server.target), processes=1) as crew:
        server.delay_s = 0.3
        result = crew.run(asked)
    assert result.summary.answered == 0
    assert result.summary.failed == {"DEADLINE_EXCEEDED": result.summary.sent}


def test_a_stall_is_felt_by_every_request_that_was_due_in_it(server: Any) -> None:
    """No coordinated omission: who waits for answers before sending more would count a stall once."""
    asked = plan(rate=200.0, duration_s=2.0, arrivals=Arrivals.CONSTANT, processes=1)

    def stall() -> None:
        while len(server.scored) < 100:
            time.sleep(0.005)
        server.hold_calls = True
        assert server.held.wait(10)
        time.sleep(0.6)
        server.hold_calls = False
        server.hold.set()

    stalling = threading.Thread(target=stall)
    stalling.start()
    result = run_load(Connection(target=server.target), asked)
    stalling.join()
    assert (result.summary.sent, result.summary.answered) == (400, 400)
    latency = result.summary.latency_us
    # 120 of 400 were due meanwhile and waited 0 to 0.6 s; the server holds no more than 32 at the same time.
    assert latency["p50"] < 100_000
    assert latency["p90"] > 100_000


def test_bars_are_followed_to_their_signal_and_losses_counted(server: Any) -> None:
    asked = plan(scenario=Scenario.BARS_TO_SIGNAL, symbols=("AAPL", "MSFT"), processes=2)
    result = run_load(Connection(target=server.target), asked)
    assert result.summary.sent == result.summary.answered > 5
    # The fake server says of each subscriber's second signal that one was dropped.
    assert result.summary.failed == {"DROPPED": 2}
    opened = [event.bar.open_time_ns for event in server.history if event.bar.symbol == "AAPL"]
    assert opened == sorted(set(opened)), "made-up bars go on in time"


def test_fan_out_counts_every_subscriber(server: Any) -> None:
    server.tells_of_drops = False
    asked = plan(scenario=Scenario.FAN_OUT, symbols=("AAPL",), rate=40.0, processes=2, subscribers=5)
    result = run_load(Connection(target=server.target), asked)
    assert result.summary.answered == 5 * result.summary.sent
    assert len(server.subscriptions) == 5


def test_made_up_bars_go_on_behind_what_the_server_holds_and_must_fit(server: Any) -> None:
    asked = plan(scenario=Scenario.BARS_TO_SIGNAL, symbols=("AAPL",))
    with candlewire.Client(server.target) as client:
        first = prepare_series(client, asked)
        again = prepare_series(client, asked)
        assert again[0] > first[0]
        with pytest.raises(candlewire.InvalidInputError, match="do not fit"):
            prepare_series(
                client, plan(scenario=Scenario.FAN_OUT, symbols=("AAPL",), rate=1e6, duration_s=60)
            )
        with pytest.raises(candlewire.InvalidInputError, match="timeframe is '2d'"):
            prepare_series(client, plan(scenario=Scenario.FAN_OUT, symbols=("AAPL",), timeframe="2d"))


def load_result(rate: float, *, p99_us: float, failed: int = 0, late_us: float = 1.0) -> LoadResult:
    tally = Tally()
    for _ in range(100):
        tally.send(late_us / 1e6)
        tally.answer(p99_us / 1e6, 0.1)
    tally.failed = Counter({"UNAVAILABLE": failed} if failed else {})
    asked = plan(rate=rate)
    summary = summarise(tally, asked_rate=rate, duration_s=asked.duration_s)
    return LoadResult(plan=asked, summary=summary, moments=(), tally=tally)


@pytest.mark.parametrize("first_rate", [100.0, 50_000.0])
def test_the_highest_rate_is_found_from_below_and_above(first_rate: float) -> None:
    limit = 7_300.0

    def run(rate: float) -> LoadResult:
        return load_result(rate, p99_us=500.0 if rate <= limit else 50_000.0)

    found = find_rate(run, first_rate=first_rate, p99_ms=10.0)
    assert limit / 1.06 < found.rate <= limit
    assert not found.limited_by_generator


def test_one_stall_does_not_decide() -> None:
    seen: Counter[float] = Counter()

    def run(rate: float) -> LoadResult:
        seen[rate] += 1
        stalled = rate == 400.0 and seen[rate] == 1
        return load_result(rate, p99_us=99_000.0 if stalled or rate > 1_000 else 500.0)

    assert find_rate(run, first_rate=100.0, p99_ms=10.0).rate > 900


def test_failures_miss_the_target_and_a_hopeless_search_ends() -> None:
    found = find_rate(lambda rate: load_result(rate, p99_us=10.0, failed=1), first_rate=1_000.0, p99_ms=10.0)
    assert found.rate == 0.0
    assert all(step.reason == "failed: 1 UNAVAILABLE" for step in found.steps)


def test_a_search_that_the_generator_limits_says_so() -> None:
    found = find_rate(
        lambda rate: load_result(rate, p99_us=10.0 if rate < 500 else 20_000.0, late_us=9_000.0),
        first_rate=100.0,
        p99_ms=10.0,
    )
    assert found.limited_by_generator


def test_a_generator_that_is_late_far_above_the_rate_found_limits_nothing() -> None:
    found = find_rate(
        lambda rate: load_result(
            rate, p99_us=500.0 if rate <= 1_000 else 50_000.0, late_us=9_000.0 if rate > 1_500 else 1.0
        ),
        first_rate=5_000.0,
        p99_ms=10.0,
    )
    assert 950 < found.rate <= 1_000
    assert not found.limited_by_generator


def test_a_chart_is_well_formed_whatever_the_numbers() -> None:
    for points in (
        [(0, 0), (1, 0)],
        [(1, 5), (1, 5)],
        [(1, 1e-3), (2, 1e9)],
        [(0, math.nan), (1, 2), (2, 3)],
    ):
        for logarithmic in (False, True):
            axis = Axis(label="<&>", logarithmic=logarithmic)
            line = Series(name="a<b", points=tuple(points))
            root = ET.fromstring(line_chart('"t"&', [line], axis, axis))  # noqa: S314 - own text
            drawn = [entry for entry in root.iter() if entry.tag.endswith("polyline")]
            assert len(drawn) == 1
            for pair in drawn[0].attrib["points"].split():
                assert all(0 <= float(value) <= 720 for value in pair.split(","))
    assert line_chart("t", [Series(name="n", points=((1, 2),))], axis, axis).startswith("<p>")


def test_the_report_stands_alone(server: Any) -> None:
    result = run_load(Connection(target=server.target), plan(duration_s=1.2))
    found = find_rate(lambda _: result, first_rate=1.0, p99_ms=1e-3)
    document = html_report(result, found=found)
    assert "no rate tried keeps p99" in document
    assert document.count("<svg") >= 3
    for outside in ("http:", "https:", "<script", "<link", "src="):
        assert outside not in document


def test_the_chart_of_a_search_has_one_point_a_rate_that_of_the_try_that_decided() -> None:
    tries: Counter[float] = Counter()

    def run(rate: float) -> LoadResult:
        tries[rate] += 1
        return load_result(rate, p99_us=500.0 if rate < 300 and tries[rate] > 1 else 50_000.0)

    found = find_rate(run, first_rate=100.0, p99_ms=10.0)
    document = html_report(found.steps[0].result, found=found)
    chart = document[document.index('aria-label="p99 by rate"') :]
    drawn = chart[chart.index('points="') + len('points="') :].split('"')[0].split()
    across = [float(point.split(",")[0]) for point in drawn]
    assert len(drawn) == len(tries) < len(found.steps)
    assert across == sorted(across)


def test_the_command_writes_reports(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_command, "entry_points", lambda **_: [])

    def run(*arguments: str) -> SimpleNamespace:
        with pytest.raises(SystemExit) as left:
            main_command.main(["load-test", "--target", server.target, "-d", "0.2", *arguments])
        captured = capsys.readouterr()
        return SimpleNamespace(code=left.value.code, out=captured.out, err=captured.err)

    page, figures = tmp_path / "load.html", tmp_path / "load.json"
    assert run("--report", str(page), "--report", str(figures), "-r", "50").code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    written = json.loads(figures.read_text(encoding="utf-8"))
    assert written["answered"] == written["sent"]
    assert (written["plan"]["scenario"], written["plan"]["feature_count"]) == ("scoring", 4)
    wrong = run("--report", "load.pdf")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "write .html or .json" in wrong.err
    assert "cannot be written" in run("-r", "20", "--report", str(tmp_path / "no" / "load.html")).err
    searched = run("--find-rate", "--p99-ms", "0.001", "-r", "20", "--json")
    assert searched.code == 1
    assert json.loads(searched.out)["found"]["rate"] == 0.0
