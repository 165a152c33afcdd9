"""From bars to scores through the real server: what was computed offline comes back online, bit for bit."""

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import candlewire
import candlewire_features
import numpy as np
import onnxruntime
import polars as pl
import pytest
from numpy.typing import NDArray

from .conftest import COMMAND, Serve, Served

COLUMNS = ["symbol", "timeframe", "open_time_ns", "open", "high", "low", "close", "volume"]


@pytest.fixture(scope="module")
def bars(bars_folder: Path) -> pl.DataFrame:
    table = pl.read_parquet(bars_folder / "*.parquet").with_columns(open_time_ns=pl.col("ts").dt.epoch("ns"))
    return table.select(COLUMNS).sort("open_time_ns", "symbol")


@pytest.fixture(scope="module")
def unseen(bars: pl.DataFrame) -> pl.DataFrame:
    """The last 200 bars of the symbols that the model knows."""
    known = bars.filter(pl.col("symbol") != "FB")
    return known.group_by("symbol").tail(200).sort("open_time_ns", "symbol")


@pytest.fixture(scope="module")
def manifest(store: Path) -> dict[str, object]:
    (path,) = store.glob("daily/*/manifest.json")
    content: dict[str, object] = json.loads(path.read_text())
    return content


@pytest.fixture(scope="module")
def served(serve: Serve, store: Path) -> Iterator[Served]:
    with serve(store) as server:
        yield server


@pytest.fixture(scope="module")
def events(served: Served, unseen: pl.DataFrame) -> list[candlewire.SignalEvent]:
    """Every signal of the unseen bars, published in order to an empty server."""
    with candlewire.Client(served.data) as publisher, candlewire.Client(served.data) as listener:
        subscription = listener.subscribe(include_not_ready=True, buffer_signals=unseen.height)
        acks = list(publisher.publish(as_bars(unseen)))
        assert {ack.fate for ack in acks} == {candlewire.BarFate.ACCEPTED}
        received = list(itertools.islice(subscription, len(acks)))
        subscription.close()
    return received


def as_bars(frame: pl.DataFrame) -> list[candlewire.Bar]:
    return [candlewire.Bar(**row) for row in frame.select(COLUMNS).iter_rows(named=True)]


def offline_features(unseen: pl.DataFrame, symbol: str, manifest: dict[str, object]) -> NDArray[np.float32]:
    spec = candlewire_features.FeatureSpec.from_json(json.dumps(manifest["feature_spec"]))
    assert spec.hash == manifest["feature_spec_hash"]
    return candlewire_features.compute(unseen.filter(pl.col("symbol") == symbol), spec).astype(np.float32)


def test_every_bar_gives_one_signal_in_order(
    events: list[candlewire.SignalEvent], unseen: pl.DataFrame
) -> None:
    assert [event.sequence for event in events] == list(range(1, unseen.height + 1))
    published = list(zip(unseen["symbol"], unseen["open_time_ns"], strict=True))
    assert [(event.bar.symbol, event.bar.open_time_ns) for event in events] == published


@pytest.mark.parametrize("symbol", ["AAPL", "GOOG", "IBM", "MSFT"])
def test_online_scores_equal_offline_scores_to_the_last_bit(
    symbol: str,
    events: list[candlewire.SignalEvent],
    unseen: pl.DataFrame,
    manifest: dict[str, object],
    store: Path,
) -> None:
    features = offline_features(unseen, symbol, manifest)
    ready = np.isfinite(features).all(axis=1)
    assert ready.sum() > 100
    (model,) = store.glob("daily/*/model.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = ["probabilities", "probability_low", "probability_high", "dissimilarity"]
    expected = dict(zip(names, session.run(names, {"features": features[ready]}), strict=True))

    scores = [event.score for event in events if event.bar.symbol == symbol]
    not_ready = [score.signal is candlewire.Signal.NOT_READY for score in scores]
    assert not_ready == (~ready).tolist()
    scored = [score for score, waiting in zip(scores, not_ready, strict=True) if not waiting]
    assert (
        np.array([s.probabilities for s in scored], np.float32).tobytes()
        == expected["probabilities"].tobytes()
    )
    for name in names[1:]:
        online = np.array([getattr(score, name) for score in scored], np.float32)
        assert online.tobytes() == expected[name].tobytes(), name


def test_a_vector_and_a_window_of_bars_score_alike(
    served: Served, unseen: pl.DataFrame, manifest: dict[str, object]
) -> None:
    window = unseen.filter(pl.col("symbol") == "IBM")
    row = offline_features(unseen, "IBM", manifest)[-1]
    with candlewire.Client(served.data) as client:
        from_bars = client.score(bars=as_bars(window), model="daily")
        from_features = client.score(row, model="daily")
    assert from_bars.probabilities == from_features.probabilities
    assert from_bars.feature_spec_hash == manifest["feature_spec_hash"]
    assert from_bars.bar_open_time_ns == window["open_time_ns"][-1]


def test_bands_widen_by_the_multiplier_they_carry(
    events: list[candlewire.SignalEvent],
) -> None:
    multipliers = {round(e.score.return_band.width_multiplier, 6) for e in events if e.score.return_band}
    assert len(multipliers) > 20, "outcomes mature within these bars: the controller must have moved"
    for event in events:
        band = event.score.return_band
        if band is not None:
            assert band.low < band.mid < band.high


def test_a_symbol_nobody_trained_is_refused_by_name(served: Served, bars: pl.DataFrame) -> None:
    (stranger,) = as_bars(bars.filter(pl.col("symbol") == "FB").tail(1))
    with candlewire.Client(served.data) as client:
        (ack,) = client.publish([stranger])
    assert ack.rejection is candlewire.BarRejection.UNKNOWN_SYMBOL
    assert "FB" in ack.message


def test_the_readme_example_works_as_pasted(
    root: Path, served: Served, bars_folder: Path, tmp_path: Path
) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    assert 'Client("127.0.0.1:50051")' in code
    (tmp_path / "bars").symlink_to(bars_folder)
    script = code.replace("127.0.0.1:50051", served.data)
    python = COMMAND.with_name("python")
    result = subprocess.run([python, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "return band" in result.stdout
    assert "latest PriceBand(" in result.stdout
