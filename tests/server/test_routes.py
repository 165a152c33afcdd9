"""Routes by symbol, regime, asset class and timeframe: the most specific answers, to bars and requests."""

import json
import math
import random
from pathlib import Path

import bundles
import candlewire_features as cf
import grpc
import numpy as np
import pytest
from candlewire_proto.v1 import bars_pb2, models_pb2, scoring_pb2
from conftest import running_server
from test_bars import bar, fates, publish, signals_since
from test_journal import kill, newest_sequence, scores
from wire_errors import wire_error

# In the order of the kernel's codes, as training names them.
REGIMES = ("sideways", "trending", "volatile", "consolidation")
DAYS = 420
ROW = [0.01, 0.02, -0.01, 0.005]


def walk(symbol: str, days: int = DAYS) -> list[bars_pb2.Bar]:
    """Bars whose market is quiet, then trends, then is wild: every regime comes."""
    generator, price, bars = random.Random(3), 100.0, []  # noqa: S311 - reproducible bars
    for day in range(1, days + 1):
        phase = day // 60 % 4
        drift = (0.0, 0.01, 0.0, -0.01)[phase]
        width = (0.001, 0.004, 0.03, 0.004)[phase]
        price *= math.exp(drift + generator.gauss(0, width))
        bars.append(bar(day, symbol=symbol, close=price, high=price * 1.01, low=price * 0.99, open=price))
    return bars


def regimes_of(bars: list[bars_pb2.Bar]) -> list[str]:
    """What training says of the same bars; empty before the kernel is warm."""
    spec = cf.FeatureSpec.from_json(
        json.dumps({"features": [{"name": "regime", "kernel": "market_regime", "output": "code"}]})
    )
    names = ("open_time_ns", "open", "high", "low", "close", "volume")
    columns = {name: np.array([getattr(one, name) for one in bars]) for name in names}
    codes = np.asarray(cf.compute(columns, spec), np.float64).reshape(-1)
    return [REGIMES[int(code)] if math.isfinite(code) else "" for code in codes]


def write_store(store: Path, models: dict[str, dict[str, object]], routes: list[dict[str, str]]) -> None:
    versions = {}
    for seed, (model, changes) in enumerate(models.items(), start=1):
        folder = bundles.write_bundle(store, model=model, seed=seed, **changes)
        versions[model] = {"production": int(folder.name)}
    deployment = {"format_version": 1, "default_model": "", "models": versions, "routes": routes}
    (store / "deployment.json").write_text(json.dumps(deployment), encoding="utf-8")


@pytest.fixture(scope="module")
def by_regime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as `candlewire train --per regime` writes it; one of the models has features of its own."""
    store = tmp_path_factory.mktemp("regimes")
    models: dict[str, dict[str, object]] = {f"daily-{regime}": {} for regime in REGIMES}
    models["daily-volatile"] = {"spec": bundles.feature_spec((1, 2, 4, 30))}
    routes = [{"model": f"daily-{regime}", "regime": regime, "timeframe": "1d"} for regime in REGIMES]
    write_store(store, models, routes)
    return store


def test_a_bar_is_scored_by_the_model_of_its_regime_over_a_restart_too(
    by_regime: Path, tmp_path: Path
) -> None:
    bars = walk("AAPL")
    wanted = [f"daily-{regime}" if regime else "" for regime in regimes_of(bars)]
    assert set(wanted) == {"", *(f"daily-{regime}" for regime in REGIMES)}, "every regime comes"
    (tmp_path / "whole").mkdir()
    with running_server(by_regime, tmp_path / "whole") as server:
        assert set(fates(publish(server, *bars))) == {"ACCEPTED"}
        events = signals_since(server, 0, DAYS)
        answered = [event.score.model if event.score.probabilities else "" for event in events]
        assert answered == wanted, "unknown regimes have no score, all others that of their model"
        # The same bars as a window say the same.
        for last in (DAYS, DAYS - 70, DAYS - 130):
            answer = server.scoring.Score(scoring_pb2.ScoreRequest(bars=bars[:last]), timeout=20)
            assert answer.model == wanted[last - 1]
            assert list(answer.probabilities) == list(events[last - 1].score.probabilities)
        assert fates(publish(server, bars[-1])) == ["DUPLICATE"]
    flags = ("--journal", str(tmp_path / "journal"), "--journal-fsync", "always")
    for first, last, snapshot_ms in ((0, 150, 0), (150, 290, 50), (290, DAYS, 0)):
        folder = tmp_path / str(first)
        folder.mkdir()
        watch = ("--set", f"journal.snapshot_interval_ms={snapshot_ms}")
        with running_server(by_regime, folder, *flags, *watch) as server:
            assert newest_sequence(server) == first
            publish(server, *bars[first:last])
            if last == DAYS:
                assert scores(signals_since(server, 0, DAYS)) == scores(events)
            if snapshot_ms:
                assert server.stop() == 0
            else:
                kill(server)


def test_a_request_that_does_not_tell_the_regime_is_refused(by_regime: Path, tmp_path: Path) -> None:
    refused = [
        scoring_pb2.ScoreRequest(features=ROW, timeframe="1d"),
        scoring_pb2.ScoreRequest(features=ROW, symbol="AAPL", timeframe="1d"),
        scoring_pb2.ScoreRequest(bars=walk("AAPL", 139)),
    ]
    with running_server(by_regime, tmp_path) as server:
        for request in refused:
            with pytest.raises(grpc.RpcError) as raised:
                server.scoring.Score(request, timeout=10)
            error = wire_error(raised.value)
            assert (error.code, error.reason) == (
                grpc.StatusCode.FAILED_PRECONDITION,
                "REGIME_UNKNOWN",
            )
            assert "send 140 bars or more, or name a model" in error.message
        named = scoring_pb2.ScoreRequest(features=ROW, timeframe="1d", model="daily-trending")
        assert server.scoring.Score(named, timeout=10).model == "daily-trending"
        assert server.scoring.Score(scoring_pb2.ScoreRequest(bars=walk("AAPL", 140)), timeout=10).model


def test_the_most_specific_route_answers(tmp_path: Path) -> None:
    store = tmp_path / "store"
    models: dict[str, dict[str, object]] = {
        "all": {"symbols": ("AAPL", "BTC", "ETH", "MSFT")},
        "coins": {"symbols": ("BTC", "ETH"), "asset_class": "crypto"},
        "apple": {"symbols": ("AAPL",)},
        "wild": {"symbols": ("AAPL", "BTC")},
    }
    routes = [
        {"model": "all", "timeframe": "1d"},
        {"model": "coins", "timeframe": "1d", "asset_class": "crypto"},
        {"model": "apple", "timeframe": "1d", "symbol": "AAPL"},
        {"model": "wild", "timeframe": "1d", "symbol": "AAPL", "regime": "volatile"},
    ]
    write_store(store, models, routes)
    bars = walk("AAPL")
    regimes = regimes_of(bars)
    with running_server(store, tmp_path) as server:
        publish(server, *bars)
        answered = [event.score.model for event in signals_since(server, 0, DAYS)]
        assert answered == ["wild" if regime == "volatile" else "apple" for regime in regimes]
        for symbol, model in (("BTC", "coins"), ("ETH", "coins"), ("MSFT", "all"), ("AAPL", "apple")):
            request = scoring_pb2.ScoreRequest(features=ROW, symbol=symbol, timeframe="1d")
            assert server.scoring.Score(request, timeout=10).model == model
            if symbol != "AAPL":
                publish(server, *walk(symbol, 10))
                (event,) = signals_since(server, 0, 10, symbols=[symbol])[-1:]
                assert event.score.model == model
        listed = server.models.ListModels(models_pb2.ListModelsRequest()).models
        assert {info.model for info in listed} == set(models)
