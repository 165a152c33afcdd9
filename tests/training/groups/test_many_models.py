"""Symbol x timeframe from one configuration."""

import json
from pathlib import Path

import polars as pl
import pytest
import typer
from candlewire_training.command import register
from candlewire_training.data.timeframes import parse_timeframes
from candlewire_training.errors import SettingsError
from typer.testing import CliRunner

from tests.training.conftest import random_walk

app = typer.Typer()
register(app)
RUNNER = CliRunner()
CONFIG = """
timeframes = ["1h", "1d", "1w"]
[data]
bars = "{bars}"
[models]
per = "symbol"
model = "grid"
trees = 10
version-stamp = 20261121000000
"""


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Two symbols at three timeframes in one folder; the weeks are too few to learn from."""
    folder = tmp_path / "bars"
    folder.mkdir()
    for timeframe, share, count in (("1h", 1 / 24, 1_100), ("1d", 1, 1_000), ("1w", 7, 90)):
        for seed, symbol in enumerate(("AAA", "BBB")):
            walk = random_walk(symbol, bars=count, seed=seed)
            step = (pl.int_range(pl.len()) * int(share * 86_400 * 10**9)).cast(pl.Int64)
            frame = walk.with_columns(
                (pl.col("open_time_ns").first() + step).alias("open_time_ns"),
                pl.lit(timeframe).alias("timeframe"),
            )
            frame.write_parquet(folder / f"{symbol}-{timeframe}.parquet")
    return folder


def test_symbol_by_timeframe_from_one_file(bars: Path, tmp_path: Path) -> None:
    config, store = tmp_path / "grid.toml", tmp_path / "store"
    config.write_text(CONFIG.format(bars=bars), encoding="utf-8")
    command = ["train", "--config", str(config), "--out", str(store), "--quiet"]
    result = RUNNER.invoke(app, command)
    assert result.exit_code == 0, result.output
    names = ["grid-1h-AAA", "grid-1h-BBB", "grid-1d-AAA", "grid-1d-BBB"]
    assert result.stdout.split() == [str(store.resolve() / name / "20261121000000") for name in names]
    assert "1w failed: none of 2 models could be trained; grid-1w-AAA: too few bars" in result.stderr
    for name in names:
        manifest = json.loads((store / name / "20261121000000" / "manifest.json").read_text("utf-8"))
        assert (manifest["timeframe"], manifest["symbols"]) == (name.split("-")[1], [name.split("-")[2]])
    deployment = json.loads((store / "deployment.json").read_text("utf-8"))
    assert deployment["routes"] == [
        {"model": name, "timeframe": name.split("-")[1], "symbol": name.split("-")[2]} for name in names
    ]
    # The same command goes on: what is done stays as it is.
    graph = (store / names[0] / "20261121000000" / "model.onnx").stat()
    assert RUNNER.invoke(app, command).exit_code == 0
    assert (store / names[0] / "20261121000000" / "model.onnx").stat().st_mtime_ns == graph.st_mtime_ns


def test_a_timeframe_that_the_bars_lack_is_told_before_anything_is_trained(
    bars: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    result = RUNNER.invoke(app, ["train", "--bars", str(bars), "--out", str(store), "--timeframes", "1d,4h"])
    assert result.exit_code == 2
    assert "holds no bars of timeframe 4h; it holds 1d, 1h, 1w" in result.stderr
    assert not store.exists()


def test_timeframes_choose_among_those_of_the_bars(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["train", "--sample", "--out", str(tmp_path), "--timeframes", "1d"])
    assert result.exit_code == 2
    assert "leave out --sample" in result.stderr


@pytest.mark.parametrize("text", ["", "1d,1d", "1d,2d", ","])
def test_what_are_no_timeframes_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="timeframe"):
        parse_timeframes(text)
