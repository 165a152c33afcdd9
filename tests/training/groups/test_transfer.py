"""A symbol's model starts from the pooled one where the out-of-fold score says so, and only there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from candlewire_training.data.bars import BarTable, canonical_bars
from candlewire_training.data.parquet import write_bars
from candlewire_training.errors import SettingsError, StoreError
from candlewire_training.groups.pooled_start import PooledWork, fit_pooled_start
from candlewire_training.members.contract import Member
from candlewire_training.members.pooled_start import CONTINUED, INDEX, PooledStart, read_start
from candlewire_training.pipeline import train_model
from candlewire_training.progress import StepProgress
from candlewire_training.settings import TrainingSettings

from tests.training.conftest import random_walk
from tests.training.test_command import run

QUIET = StepProgress(quiet=True)
SETTINGS = TrainingSettings(
    model="m", members=("xgboost", "lightgbm", "logistic"), ensemble="vote", folds=3, trees=30
)


def alternating(symbol: str, *, bars: int, seed: int) -> pl.DataFrame:
    """A walk whose every step mostly undoes the one before: all such symbols teach the same."""
    frame = random_walk(symbol, bars=bars, seed=seed)
    generator = np.random.default_rng(seed)
    steps = 0.02 * generator.standard_normal(bars)
    steps[1:] -= 0.8 * steps[:-1]
    close = 100.0 * np.exp(np.cumsum(steps))
    opened = np.concatenate(([100.0], close[:-1]))
    return frame.with_columns(
        pl.Series("open", opened),
        pl.Series("close", close),
        pl.Series("high", np.maximum(opened, close) * 1.002),
        pl.Series("low", np.minimum(opened, close) / 1.002),
    )


def pooled(bars: BarTable, folder: Path, settings: TrainingSettings) -> PooledStart:
    write_bars(bars, folder / "bars.parquet")
    work = PooledWork(
        settings=settings, bars=(folder / "bars.parquet",), timeframe="1d", folder=folder / "start"
    )
    fit_pooled_start(work)
    return read_start(folder / "start")


@pytest.fixture(scope="module")
def alike() -> BarTable:
    frames = [alternating(f"S{seed}", bars=1_000, seed=seed) for seed in range(6)]
    return canonical_bars(pl.concat(frames), source="alternating walks")


@pytest.fixture(scope="module")
def start(alike: BarTable, tmp_path_factory: pytest.TempPathFactory) -> PooledStart:
    return pooled(alike, tmp_path_factory.mktemp("pooled"), replace(SETTINGS, horizon=1))


def of_symbol(bars: BarTable, symbol: str) -> BarTable:
    return replace(bars, frame=bars.frame.filter(pl.col("symbol") == symbol))


def test_a_start_survives_its_files(start: PooledStart) -> None:
    assert len(start.by_fold) == len(start.folds) == 3
    for stage in (*start.by_fold, start.final):
        assert [member is not None for member in stage] == [kind in CONTINUED for kind in SETTINGS.members]
    # The folds lie before the test part, one after the other.
    assert [first for first, _ in start.folds] == sorted(first for first, _ in start.folds)
    assert start.folds[-1][1] < start.boundaries_ns[1]


def test_what_all_symbols_teach_is_taken_over(alike: BarTable, start: PooledStart) -> None:
    settings = replace(SETTINGS, horizon=1)
    trained = train_model(of_symbol(alike, "S0"), settings, QUIET, start=start)
    assert trained.transfer is not None
    assert trained.transfer.admitted
    assert trained.transfer.gain.value > 0
    assert trained.split.boundaries_ns == start.boundaries_ns
    # The trees of the pooled member come first, then its own.
    (mine,) = [member for member in trained.model.members if member.name == "xgboost"]
    theirs = start.final[0]
    assert theirs is not None
    assert mine.steps == 30
    assert trees_of(mine) == 2 * trees_of(theirs) == 60


def trees_of(member: Member) -> int:
    booster = getattr(member, "booster_", None)
    assert booster is not None
    return int(booster.num_boosted_rounds())


def test_what_misleads_is_left_alone(alike: BarTable, tmp_path: Path) -> None:
    # The other symbols carry on in their direction; this one turns.
    following = [random_walk(f"F{seed}", bars=1_000, seed=seed) for seed in range(4)]
    for number, frame in enumerate(following):
        close = 100.0 * np.exp(np.cumsum(trending(1_000, number)))
        opened = np.concatenate(([100.0], close[:-1]))
        following[number] = frame.with_columns(
            pl.Series("open", opened),
            pl.Series("close", close),
            pl.Series("high", np.maximum(opened, close) * 1.002),
            pl.Series("low", np.minimum(opened, close) / 1.002),
        )
    settings = replace(SETTINGS, horizon=1, members=("xgboost",))
    others = pooled(canonical_bars(pl.concat(following), source="trends"), tmp_path, settings)
    trained = train_model(of_symbol(alike, "S1"), settings, QUIET, start=others)
    assert trained.transfer is not None
    assert not trained.transfer.admitted
    alone = [member for member in trained.model.members if member.name == "xgboost"]
    assert trees_of(alone[0]) == 30


def trending(bars: int, seed: int) -> np.ndarray:
    steps = 0.02 * np.random.default_rng(seed).standard_normal(bars)
    for bar in range(1, bars):
        steps[bar] += 0.6 * steps[bar - 1]
    return steps


def test_a_start_of_other_features_or_half_a_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="train it again"):
        read_start(tmp_path)
    (tmp_path / INDEX).write_text('{"folds": []}', encoding="utf-8")
    with pytest.raises(StoreError, match="train it again"):
        read_start(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (replace(SETTINGS, folds=0), "use --folds 1 or more"),
        (replace(SETTINGS, members=("logistic",)), "needs a member that can go on"),
    ],
)
def test_a_transfer_of_nothing_is_refused(settings: TrainingSettings, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        fit_pooled_start(PooledWork(settings=settings, bars=(), timeframe="1d", folder=tmp_path))


def test_the_command_transfers(alike: BarTable, tmp_path: Path) -> None:
    bars = replace(alike, frame=alike.frame.filter(pl.col("symbol").is_in(["S0", "S1"])))
    write_bars(bars, tmp_path / "bars.parquet")
    base = ("train", "--bars", tmp_path / "bars.parquet", "--out", tmp_path / "store", "--trees", 12)
    code, out, err = run(
        *base, "--per", "symbol", "--transfer", "--folds", 2, "--horizon", 1, "--model", "m", "--jobs", 2
    )
    assert (code, err) == (0, "")
    assert out.count("from the pooled model") + out.count("alone") == 2
    assert (tmp_path / "store" / ".runs" / "m" / "pooled" / "h1" / INDEX).exists()
    (card,) = (tmp_path / "store" / "m-S0").glob("*/card.md")
    assert "- Transfer: the model" in card.read_text(encoding="utf-8")
    code, _, err = run(*base, "--transfer")
    assert code == 2
    assert "use it with --per symbol" in err
