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


def test_a_bundle_that_an_interruption_left_without_its_marker_counts(
    long_walk_bars: BarTable, tmp_path: Path
) -> None:
    store, run = tmp_path / "store", RunFolder(path=tmp_path / "run")
    settings = replace(SETTINGS, version=20261121000000)
    groups = plan_groups(long_walk_bars.symbols, settings, timeframe="1d", per="symbol")[:1]
    quiet = StepProgress(quiet=True)
    first = run_groups(long_walk_bars, groups, store=store, run=run, progress=quiet)
    (marker,) = (run.path / "done").iterdir()
    marker.unlink()
    graph = (Path(first.done["walk-AAA"]["bundle"]) / "model.onnx").stat()
    again = run_groups(long_walk_bars, groups, store=store, run=run, progress=quiet)
    assert (again.resumed, again.failed) == (0, {})
    told, before = (each.done["walk-AAA"] for each in (again, first))
    assert {key: told[key] for key in told if key not in {"seconds", "finished_at"}} == {
        key: before[key] for key in before if key not in {"seconds", "finished_at"}
    }
    assert (Path(told["bundle"]) / "model.onnx").stat().st_mtime_ns == graph.st_mtime_ns
    # A bundle of other settings under the same version is another thing.
    other = plan_groups(long_walk_bars.symbols, replace(settings, trees=11), timeframe="1d", per="symbol")[:1]
    with pytest.raises(TrainingError, match="exists; choose another --version-stamp"):
        run_groups(long_walk_bars, other, store=store, run=RunFolder(path=tmp_path / "other"), progress=quiet)


def test_a_local_ray_cluster_trains_the_same_bundles(long_walk_bars: BarTable, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra candlewire-training[ray]")
    groups = plan_groups(
        long_walk_bars.symbols, replace(SETTINGS, version=20261121000000), timeframe="1d", per="symbol"
    )[:2]
    graphs = []
    for name, ray in (("here", None), ("ray", "local")):
        report = run_groups(
            long_walk_bars,
            groups,
            store=tmp_path / name,
            run=RunFolder(path=tmp_path / f"{name}-run"),
            progress=StepProgress(quiet=True),
            jobs=2,
            ray=ray,
        )
        assert (sorted(report.done), report.failed) == (["walk-AAA", "walk-BBB"], {})
        graphs.append([(Path(one["bundle"]) / "model.onnx").read_bytes() for one in report.done.values()])
    assert sorted(graphs[0]) == sorted(graphs[1])


def test_ctrl_c_in_a_walk_forward_keeps_its_folds(long_walk_bars: BarTable, tmp_path: Path) -> None:
    write_bars(long_walk_bars, tmp_path / "bars.parquet")
    command = [
        sys.executable, "-c",
        PROGRAM,
        "train", "--bars", "bars.parquet", "--out", "store", "--folds", "9", "--model", "walk",
        "--members", "xgboost,random_forest", "--trees", "60", "--version-stamp", "20261121000000",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 90
    while len(list(tmp_path.glob("store/.runs/walk/folds-*/*/*.npz"))) < 2:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "folds are done: give the same command again to go on" in err
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("store/.runs/walk/folds-*/*/*.npz")}
    assert 2 <= len(kept) < 9
    # Half a file, as an earlier crash may have left it, is no fold.
    half = min(kept).with_name("8.npz")
    half.write_bytes(b"PK")
    finished = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=110)
    assert finished.returncode == 0, finished.stderr
    assert not (tmp_path / "store" / ".runs").exists()
    whole = [part.replace("store", "store2") for part in command]
    again = subprocess.run(whole, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=110)
    assert again.returncode == 0, again.stderr
    for name in ("model.onnx", "manifest.json", "golden.npz"):
        first, second = (
            (tmp_path / store / "walk" / "20261121000000" / name).read_bytes()
            for store in ("store", "store2")
        )
        assert first == second, name


def test_ctrl_c_leaves_a_state_to_go_on_from(long_walk_bars: BarTable, tmp_path: Path) -> None:
    write_bars(long_walk_bars, tmp_path / "bars.parquet")
    command = [
        sys.executable, "-c",
        PROGRAM,
        "train", "--bars", "bars.parquet", "--out", "store", "--per", "symbol", "--run", "run",
        "--model", "walk", "--trees", "60", "--version-stamp", "20261121000000",
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
    # What an uninterrupted run writes is the same to the byte.
    whole = [*command[:-2], "--version-stamp", "20261121000000"]
    whole[whole.index("store")], whole[whole.index("run")] = "store2", "run2"
    again = subprocess.run(whole, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=110)
    assert again.returncode == 0, again.stderr
    for graph in tmp_path.glob("store/*/*/model.onnx"):
        other = tmp_path / "store2" / graph.relative_to(tmp_path / "store")
        assert graph.read_bytes() == other.read_bytes()
