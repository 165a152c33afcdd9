"""Several models on one server: a slow one holds up nobody, and who leaves or is late costs no run."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import bundles
import grpc
import numpy as np
import pytest
from candlewire_proto.v1 import bars_pb2, scoring_pb2, signals_pb2
from conftest import RunningServer, running_server
from test_bars import bar, fates, publish, signals_since
from test_journal import scores
from test_observability import metrics
from test_routes import by_regime, walk  # noqa: F401 - a fixture
from tritonclient.grpc import service_pb2, service_pb2_grpc
from wire_errors import wire_error

ROW = [0.01, 0.02, -0.01, 0.005]
VERSION = 20_260_101_000_000
HOUR_NS = 3_600 * 10**9
SLOW_ROWS = 60_000
WAIT_S = 30


def eventually(condition: Callable[[], bool], problem: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, problem
        time.sleep(0.01)


def counted(server: RunningServer, name: str, model: str, **labels: str) -> float:
    more = "".join(f',{key}="{value}"' for key, value in labels.items())
    return metrics(server)[f'candlewire_{name}{{model="{model}",version="{VERSION}"{more}}}']


@pytest.fixture(scope="module")
def slow_and_fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A quick model, and one whose rows take long; each has one executor."""
    store = tmp_path_factory.mktemp("store")
    bundles.write_bundle(store, model="fast")
    bundles.write_bundle(store, model="slow", timeframe="1h", trees=1_000, depth=9, seed=2)
    flags = ("--set", "engine.tree_kernel=off", "--set", "engine.executors=1")
    with running_server(store, tmp_path_factory.mktemp("server"), *flags) as running:
        yield running


def long_run(server: RunningServer) -> grpc.Future:
    """A request that keeps the slow model's only executor for long."""
    rows = np.tile(np.float32(ROW), SLOW_ROWS).tobytes()
    request = scoring_pb2.ScoreBatchRequest(features=rows, rows=SLOW_ROWS, model="slow")
    return server.scoring.ScoreBatch.future(request, timeout=60)


def test_a_flood_of_a_slow_model_is_refused_there_and_holds_up_no_other(
    slow_and_fast: RunningServer,
) -> None:
    done, outcomes = threading.Event(), Counter[str]()

    def flood() -> None:
        while not done.is_set():
            try:
                long_run(slow_and_fast).result()
                outcomes["scored"] += 1
            except grpc.RpcError as error:
                outcomes[wire_error(error).reason] += 1
                time.sleep(0.01)

    threads = [threading.Thread(target=flood) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: outcomes["QUEUE_FULL"] > 0, "the slow model's queue takes everything")
        request = scoring_pb2.ScoreRequest(features=ROW, model="fast")
        answers = [slow_and_fast.scoring.Score(request, timeout=10) for _ in range(100)]
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert set(outcomes) <= {"scored", "QUEUE_FULL"}
    one_run_ms = 1e3 * counted(slow_and_fast, "inference_seconds_sum", "slow")
    one_run_ms /= counted(slow_and_fast, "inference_seconds_count", "slow")
    spent_ms = median(answer.timings.total_ns / 1e6 for answer in answers)
    assert spent_ms < one_run_ms / 10, f"{spent_ms} ms beside runs of {one_run_ms} ms"
    assert counted(slow_and_fast, "rejected_total", "fast", reason="queue_full") == 0


def test_who_leaves_or_runs_out_of_time_while_it_waits_costs_no_run(slow_and_fast: RunningServer) -> None:
    server = slow_and_fast
    stub = service_pb2_grpc.GRPCInferenceServiceStub(server.channel("data"))
    infer = service_pb2.ModelInferRequest(model_name="slow", raw_input_contents=[np.float32(ROW).tobytes()])
    infer.inputs.add(name="features", datatype="FP32", shape=[1, len(ROW)])
    infer.parameters["timeout"].int64_param = 20_000
    request = scoring_pb2.ScoreRequest(features=ROW, model="slow")
    # A second one would be refused, for the time that the first has waited.
    waiting = 1
    kinds: dict[str, Callable[[], grpc.Future]] = {
        "leaves": lambda: server.scoring.Score.future(request, timeout=60),
        "its own deadline": lambda: server.scoring.Score.future(request, timeout=0.05),
        "the deadline in the message": lambda: stub.ModelInfer.future(infer, timeout=60),
    }

    def not_run() -> float:
        kinds = ("deadline", "cancelled")
        return sum(counted(server, "rejected_total", "slow", reason=kind) for kind in kinds)

    for kind, call in kinds.items():
        rows, before = counted(server, "scored_rows_total", "slow"), not_run()
        runs = counted(server, "inference_seconds_count", "slow")
        occupied = long_run(server)
        time.sleep(0.1)
        calls = [call() for _ in range(waiting)]
        if kind == "leaves":
            eventually(lambda: counted(server, "waiting_rows", "slow") == waiting, "they do not wait")
            for left in calls:
                left.cancel()
        else:
            for late in calls:
                with pytest.raises(grpc.RpcError) as raised:
                    late.result()
                assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED, kind
        assert len(occupied.result().probabilities) == 8 * SLOW_ROWS
        eventually(lambda before=before: not_run() == before + waiting, f"{kind}: not all are counted")
        assert counted(server, "waiting_rows", "slow") == 0
        assert counted(server, "scored_rows_total", "slow") == rows + SLOW_ROWS, kind
        assert counted(server, "inference_seconds_count", "slow") == runs + 1, kind


def test_who_names_no_model_where_none_is_routed_to_is_told_those_there_are(
    slow_and_fast: RunningServer,
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        slow_and_fast.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
    refused = wire_error(raised.value)
    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert "model: none is named" in refused.message
    assert "known models: fast, slow" in refused.message


def hours(symbol: str, timeframe: str, count: int) -> list[bars_pb2.Bar]:
    """Bars of another timeframe, of the prices of `bar`."""
    step_ns = {"1h": HOUR_NS, "5m": HOUR_NS // 12}[timeframe]
    return [
        bar(number, symbol=symbol, timeframe=timeframe, open_time_ns=step_ns * number)
        for number in range(1, count + 1)
    ]


def test_several_timeframes_and_specs_at_once_score_as_each_alone(tmp_path: Path) -> None:
    models: dict[str, dict[str, object]] = {
        "daily": {"timeframe": "1d", "seed": 1},
        "hourly": {"timeframe": "1h", "seed": 2, "spec": bundles.feature_spec((1, 4, 6, 9))},
        "quick": {"timeframe": "5m", "seed": 3},
    }
    symbols = [f"S{index}" for index in range(8)]
    series = {
        model: {
            symbol: [bar(day, symbol=symbol) for day in range(1, 31)]
            if model == "daily"
            else hours(symbol, str(changes["timeframe"]), 30)
            for symbol in symbols
        }
        for model, changes in models.items()
    }

    def signals(name: str, *served: str) -> dict[tuple[str, str], list[bytes]]:
        folder = tmp_path / name
        for model in served:
            bundles.write_bundle(folder / "store", model=model, symbols=tuple(symbols), **models[model])
        with running_server(folder / "store", folder) as server:
            threads = [
                threading.Thread(target=publish, args=(server, *series[model][symbol]))
                for model in served
                for symbol in symbols
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            events = signals_since(server, 0, 30 * len(symbols) * len(served))
        found: dict[tuple[str, str], list[bytes]] = {}
        for event in events:
            assert event.score.model == next(
                m for m in served if models[m]["timeframe"] == event.bar.timeframe
            )
            event.sequence = 0
            # Symbols of one model share a controller: which outcome came first is the clock's.
            event.score.ClearField("return_band")
            event.score.ClearField("price_band")
            found.setdefault((event.bar.timeframe, event.bar.symbol), []).extend(scores([event]))
        return found

    together = signals("together", *models)
    alone = [signals(f"{model}_alone", model) for model in models]
    assert together == alone[0] | alone[1] | alone[2]
    assert len(together) == len(models) * len(symbols)


def test_models_of_one_spec_share_its_features(
    by_regime: Path,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    """Four models answer for one series, three of them of one spec: the state holds each spec once."""
    journal = tmp_path / "journal"
    with running_server(by_regime, tmp_path, "--journal", str(journal)) as server:
        assert set(fates(publish(server, *walk("AAPL", 200)))) == {"ACCEPTED"}
        assert server.stop() == 0
    held = max(journal.glob("snapshot-*.state")).read_bytes()
    for spec in (bundles.feature_spec(), bundles.feature_spec((1, 2, 4, 30))):
        assert held.count(spec.hash.encode()) == 1


def test_a_canary_has_the_same_symbols_everywhere_and_after_a_restart(tmp_path: Path) -> None:
    store, symbols = tmp_path / "store", [f"S{index}" for index in range(60)]
    old, new = VERSION, VERSION + 1
    for seed, version in enumerate((old, new), start=1):
        bundles.write_bundle(store, version=version, seed=seed, symbols=tuple(symbols))

    def deploy(share: float) -> None:
        versions = {"production": old, "canary": {"version": new, "share": share}}
        content = {"format_version": 1, "default_model": "daily", "models": {"daily": versions}}
        (store / "deployment.json").write_text(json.dumps(content), encoding="utf-8")

    def by_score(server: RunningServer) -> set[str]:
        request = scoring_pb2.ScoreRequest(features=ROW)
        found = set()
        for symbol in symbols:
            request.symbol = symbol
            answer = server.scoring.Score(request, timeout=10)
            is_canary = answer.role == scoring_pb2.DEPLOYMENT_ROLE_CANARY
            assert is_canary == (answer.model_version == new)
            found |= {symbol} if is_canary else set()
        return found

    deploy(0.4)
    with running_server(store, tmp_path) as server:
        taken = by_score(server)
        assert 10 < len(taken) < 40
        stub = service_pb2_grpc.GRPCInferenceServiceStub(server.channel("data"))
        infer = service_pb2.ModelInferRequest(
            model_name="daily", raw_input_contents=[np.float32(ROW).tobytes()]
        )
        infer.inputs.add(name="features", datatype="FP32", shape=[1, len(ROW)])
        for symbol in symbols:
            infer.parameters["symbol"].string_param = symbol
            assert (int(stub.ModelInfer(infer, timeout=10).model_version) == new) == (symbol in taken)
        publish(server, *(bar(day, symbol=symbol) for day in range(1, 10) for symbol in symbols))
        newest = server.signals.GetLatest(signals_pb2.GetLatestRequest()).signals
        assert {event.bar.symbol for event in newest if event.score.model_version == new} == taken
    with running_server(store, tmp_path) as server:
        assert by_score(server) == taken, "a restart deals anew"
    deploy(0.7)
    with running_server(store, tmp_path) as server:
        assert by_score(server) > taken, "a larger share takes more symbols and gives none back"


def test_a_slow_shadow_version_keeps_no_caller_waiting(tmp_path: Path) -> None:
    store, count = tmp_path / "store", 200
    bundles.write_bundle(store, version=VERSION)
    bundles.write_bundle(store, version=VERSION + 1, seed=2, trees=1_000, depth=9)
    versions = {"production": VERSION, "shadow": [VERSION + 1]}
    content = {"format_version": 1, "default_model": "daily", "models": {"daily": versions}}
    (store / "deployment.json").write_text(json.dumps(content), encoding="utf-8")
    with running_server(store, tmp_path, "--set", "engine.tree_kernel=off") as server:
        shadow = f'{{model="daily",version="{VERSION + 1}"}}'

        def shadow_s() -> float:
            return metrics(server)[f"candlewire_inference_seconds_sum{shadow}"]

        def seen() -> float:
            found = metrics(server)
            names = ("candlewire_shadow_rows_total", "candlewire_shadow_dropped_total")
            return sum(found[f"{name}{shadow}"] for name in names)

        spent_s = []
        for _ in range(count):
            answer = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=10)
            assert answer.model_version == VERSION
            spent_s.append(answer.timings.total_ns / 1e9)
        eventually(lambda: seen() == count, "rows of the shadow version are neither scored nor dropped")
        rows = metrics(server)[f"candlewire_shadow_rows_total{shadow}"]
        # What the shadow version would cost each caller that waited for it.
        assert median(spent_s) < shadow_s() / rows
