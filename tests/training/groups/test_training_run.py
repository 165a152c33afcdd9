"""A run of many models survives failures and interruptions."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from candlewire_training.data.bars import BarTable
from candlewire_training.data.parquet import write_bars
from candlewire_training.errors import SettingsError, TrainingError
from candlewire_training.groups.plan import plan_groups
from candlewire_training.groups.run_folder import RunFolder
from candlewire_training.groups.training_run import run_groups
from candlewire_training.progress import StepProgress
from candlewire_training.settings import TrainingSettings

PROGRAM = """
import typer
from candlewire_training.command import register

app = typer.Typer()
register(app)
app()
"""
SETTINGS = TrainingSettings(model="walk", trees=10)


def short_ccc(bars: BarTable) -> BarTable:
    """The last symbol has too few bars to learn from."""
    early = pl.col("open_time_ns") < bars.frame["open_time_ns"].unique().sort()[80]
    return replace(bars, frame=bars.frame.filter((pl.col("symbol") != "CCC") | early))


def test_a_failed_symbol_is_reported_and_the_rest_goes_on(long_walk_bars: BarTable, tmp_path: Path) -> None:
    bars, store, run = short_ccc(long_walk_bars), tmp_path / "store", RunFolder(path=tmp_path / "run")
    groups = plan_groups(bars.symbols, SETTINGS, timeframe="1d", per="symbol")
    quiet = StepProgress(quiet=True)
    report = run_groups(bars, groups, store=store, run=run, progress=quiet, jobs=2)
    assert sorted(report.done) == ["walk-AAA", "walk-BBB"]
    assert list(report.failed) == ["walk-CCC"]
    assert "too few" in report.failed["walk-CCC"]
    deployment = json.loads((store / "deployment.json").read_text(encoding="utf-8"))
    assert deployment["routes"] == [
        {"model": "walk-AAA", "symbol": "AAA", "timeframe": "1d"},
        {"model": "walk-BBB", "symbol": "BBB", "timeframe": "1d"},
    ]
    versions = {path.name for path in (store / "walk-AAA").iterdir()}
    # The same call again does only what is left.
    again = run_groups(bars, groups, store=store, run=run, progress=quiet)
    assert (again.resumed, list(again.failed)) == (2, ["walk-CCC"])
    assert {path.name for path in (store / "walk-AAA").iterdir()} == versions
    with pytest.raises(SettingsError, match="other models"):
        run_groups(
            bars,
            plan_groups(bars.symbols, replace(SETTINGS, seed=8), timeframe="1d", per="symbol"),
            store=store,
            run=run,
            progress=quiet,
        )


def test_a_run_without_one_model_fails(long_walk_bars: BarTable, tmp_path: Path) -> None:
    bars = short_ccc(long_walk_bars)
    bars = replace(bars, frame=bars.frame.filter(pl.col("symbol") == "CCC"))
    groups = plan_groups(bars.symbols, SETTINGS, timeframe="1d", per="symbol")
    with pytest.raises(TrainingError, match="walk-CCC: too few"):
        run_groups(
            bars,
            groups,
            store=tmp_path / "store",
            run=RunFolder(path=tmp_path / "run"),
            progress=StepProgress(quiet=True),
        )


def test_ctrl_c_leaves_a_state_to_go_on_from(long_walk_bars: BarTable, tmp_path: Path) -> None:
    write_bars(long_walk_bars, tmp_path / "bars.parquet")
    command = [
        sys.executable, "-c",
        PROGRAM,
        "train", "--bars", "bars.parquet", "--out", "store", "--per", "symbol", "--run", "run",
        "--model", "walk", "--trees", "60",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob("run/done/*.json")):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # As a terminal does: to the whole group, workers too.
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "go on" in err
    first = {path.stem: path.read_bytes() for path in tmp_path.glob("run/done/*.json")}
    assert 1 <= len(first) < 3
    assert not list(tmp_path.glob("store/*/.writing-*"))
    finished = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=110)
    assert finished.returncode == 0, finished.stderr
    after = {path.stem: path.read_bytes() for path in tmp_path.glob("run/done/*.json")}
    assert len(after) == 3
    assert all(after[key] == content for key, content in first.items())
