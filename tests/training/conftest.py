"""Bars and models that several tests of training share."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import polars as pl
import pytest
from candlewire_training.arrays import F32
from candlewire_training.data.bars import BarTable, canonical_bars
from candlewire_training.data.sample import sample_bars
from candlewire_training.export.bundle import Bundle, write_bundle
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.pipeline import TrainedModel, train_model
from candlewire_training.progress import StepProgress
from candlewire_training.settings import TrainingSettings

VERSION = 20261121000000
DAY_NS = 86_400 * 10**9


def random_walk(symbol: str, *, bars: int, seed: int, volatility: float = 0.02) -> pl.DataFrame:
    """Daily bars whose direction nobody can foretell; volatility comes in slow waves."""
    generator = np.random.default_rng(seed)
    wave = volatility * np.exp(0.6 * np.sin(np.arange(bars) / 40.0))
    steps = wave * generator.standard_normal(bars)
    close = 100.0 * np.exp(np.cumsum(steps))
    opened = np.concatenate(([100.0], close[:-1])) * np.exp(0.2 * wave * generator.standard_normal(bars))
    spread = np.exp(np.abs(0.5 * wave * generator.standard_normal(bars)))
    return pl.DataFrame(
        {
            "symbol": [symbol] * bars,
            "open_time_ns": 946_684_800 * 10**9 + DAY_NS * np.arange(bars, dtype=np.int64),
            "open": opened,
            "high": np.maximum(opened, close) * spread,
            "low": np.minimum(opened, close) / spread,
            "close": close,
            "volume": generator.uniform(1e5, 1e6, bars).round(),
        }
    )


def run_graph(build: Callable[[GraphBuilder], list[str]], X: F32) -> list[F32]:
    """Outputs, each [N, 1], of the nodes that `build` adds after the input `features`."""
    graph = GraphBuilder()
    for number, tensor in enumerate(build(graph)):
        graph.output(tensor, f"output_{number}", ["N", 1])
    model = graph.model(features=X.shape[1], metadata={})
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, {"features": X})]


@pytest.fixture(scope="session")
def walk_bars() -> BarTable:
    """Three random walks of 900 bars."""
    frames = [random_walk(symbol, bars=900, seed=seed) for seed, symbol in enumerate(("AAA", "BBB", "CCC"))]
    return canonical_bars(pl.concat(frames), source="random walks")


@pytest.fixture(scope="session")
def long_walk_bars() -> BarTable:
    """Three random walks, each long enough for a model of its own."""
    frames = [random_walk(symbol, bars=1_700, seed=seed) for seed, symbol in enumerate(("AAA", "BBB", "CCC"))]
    return canonical_bars(pl.concat(frames), source="random walks")


@pytest.fixture(scope="session")
def settings() -> TrainingSettings:
    """A quick model."""
    return TrainingSettings(model="quick", trees=60, version=VERSION)


@pytest.fixture(scope="session")
def trained(settings: TrainingSettings) -> TrainedModel:
    """A model of two real stocks."""
    bars = sample_bars()
    bars = replace(bars, frame=bars.frame.filter(pl.col("symbol").is_in(["AAPL", "IBM"])))
    return train_model(bars, settings, StepProgress(quiet=True))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the bundle of `trained`."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def bundle(trained: TrainedModel, store: Path) -> Bundle:
    """The bundle of `trained`."""
    return write_bundle(trained, store, StepProgress(quiet=True))
