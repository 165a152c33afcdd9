"""What a user is told by the command when there is nothing to find, or something that must not be there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import typer
from candlewire_training import pipeline
from candlewire_training.command import register
from candlewire_training.data.bars import BarTable
from candlewire_training.data.parquet import write_bars
from candlewire_training.data.sample import sample_bars
from candlewire_training.data.samples import PER_ROW, Samples, build_samples
from candlewire_training.progress import StepProgress
from candlewire_training.settings import TrainingSettings
from typer.testing import CliRunner

app = typer.Typer()
register(app)


def trained_by_command(bars: BarTable, folder: Path, *options: object) -> tuple[dict[str, Any], str, str]:
    """Manifest, output and card of one run."""
    path = folder / "bars.parquet"
    write_bars(bars, path)
    arguments = ["train", "--bars", path, "--out", folder / "store", "--trees", 40, "--folds", 3, *options]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "400"})
    assert result.exit_code == 0, result.output
    (bundle,) = (folder / "store" / "direction-1d").iterdir()
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    return manifest, result.stdout, (bundle / "card.html").read_text(encoding="utf-8")


def two_stocks() -> BarTable:
    bars = sample_bars()
    return replace(bars, frame=bars.frame.filter(pl.col("symbol").is_in(["AAPL", "IBM"])))


def shuffled(bars: BarTable, seed: int) -> BarTable:
    """The same bars in another order, close joined to close: what follows a bar has nothing to do with it."""
    generator = np.random.default_rng(seed)
    parts = []
    for symbol in bars.symbols:
        frame = bars.frame.filter(pl.col("symbol") == symbol)
        close = frame["close"].to_numpy()
        order = generator.permutation(np.arange(1, close.size))
        steps = np.log(close[1:] / close[:-1])[order - 1]
        made = 100.0 * np.exp(np.concatenate(([0.0], np.cumsum(steps))))
        source = np.concatenate(([0], order))
        scale = made / close[source]
        parts.append(
            frame.with_columns(
                *(
                    pl.Series(name, frame[name].to_numpy()[source] * scale)
                    for name in ("open", "high", "low", "close")
                ),
                pl.Series("volume", frame["volume"].to_numpy()[source]),
            )
        )
    return replace(bars, frame=pl.concat(parts))


def test_shuffled_bars_score_at_chance(tmp_path: Path) -> None:
    manifest, out, card = trained_by_command(shuffled(two_stocks(), 3), tmp_path)
    assert "No skill in direction is shown" in out or "worse than the majority" in out
    assert "LEAK?" not in out
    # One shuffle in forty is lucky by itself, at a few thousandths of a nat; a leak gains a tenth or more.
    assert manifest["training"]["walk_forward"]["gain"]["low"] < 0.002
    assert manifest["training"]["walk_forward"]["sharpe"]["probability"] < 0.999
    assert "knows the future" not in card


def test_a_look_ahead_feature_in_the_bars_is_caught(tmp_path: Path) -> None:
    bars = two_stocks()
    # Volume that knows the next five days, as a column merged in from a later report would.
    future = (pl.col("close").shift(-5) / pl.col("close")).log().fill_null(0.0).over("symbol")
    leaked = bars.frame.with_columns(volume=(1e6 * (40.0 * future).clip(-8.0, 8.0).exp()).round())
    manifest, out, card = trained_by_command(replace(bars, frame=leaked), tmp_path)
    assert manifest["training"]["walk_forward"]["gain"]["low"] > 0.05
    assert "LEAK?" in out
    assert "look for a feature that knows the future" in card


def test_a_copy_of_a_test_row_among_train_rows_is_purged(
    walk_bars: BarTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(model="m", trees=5, folds=2)
    honest = pipeline.train_model(walk_bars, settings, StepProgress(quiet=True))
    train, test = honest.split.train, honest.split.test

    def planted(bars: BarTable, *arguments: Any, **options: Any) -> Samples:
        samples = build_samples(bars, *arguments, **options)
        # Features and label of a test row, dated into the train part; its label stays known when it was.
        rows = {
            name: np.concatenate((getattr(samples, name), getattr(samples, name)[[test[5]]]))
            for name in PER_ROW
        }
        rows["decision_time_ns"][-1] = samples.decision_time_ns[train[-100]]
        order = np.lexsort((rows["symbol_index"], rows["decision_time_ns"]))
        return replace(samples, **{name: values[order] for name, values in rows.items()})

    monkeypatch.setattr(pipeline, "build_samples", planted)
    forged = pipeline.train_model(walk_bars, settings, StepProgress(quiet=True))
    assert len(forged.samples) == len(honest.samples) + 1
    settled = forged.samples.known_from_ns[forged.split.train].max()
    assert settled <= forged.samples.decision_time_ns[forged.split.calibration].min()
    assert forged.split.train.size == train.size
    assert forged.split.purged_rows == honest.split.purged_rows + 1
