"""Folds that are fitted beside one another say what they say one after the other."""

from dataclasses import replace
from pathlib import Path

import pytest
from candlewire_training.data.bars import BarTable
from candlewire_training.errors import TrainingError
from candlewire_training.export.bundle import write_bundle
from candlewire_training.groups.fold_fan_out import FoldFanOut
from candlewire_training.pipeline import train_model, walk_folds
from candlewire_training.progress import StepProgress
from candlewire_training.settings import TrainingSettings
from candlewire_training.validation.fold_memory import FoldMemory
from candlewire_training.validation.walk_forward import FitRules

QUIET = StepProgress(quiet=True)
SETTINGS = TrainingSettings(
    model="walk",
    trees=20,
    folds=3,
    members=("xgboost", "logistic"),
    select_features=5,
    version=20261121000000,
)


def trained(bars: BarTable, folder: Path, fan_out: FoldFanOut | None) -> dict[str, bytes]:
    memory = FoldMemory(folder=folder / "folds")
    model = train_model(bars, SETTINGS, QUIET, memory=memory, fan_out=fan_out)
    assert memory.done() == 3
    assert not list(memory.folder.rglob("rows.arrays"))
    bundle = write_bundle(model, folder / "store", QUIET)
    return {
        name: (bundle.folder / name).read_bytes() for name in ("model.onnx", "manifest.json", "golden.npz")
    }


def test_the_bundle_has_the_same_bytes(walk_bars: BarTable, tmp_path: Path) -> None:
    one = trained(walk_bars, tmp_path / "one", None)
    assert trained(walk_bars, tmp_path / "beside", FoldFanOut(jobs=2, ray=None)) == one


def test_a_local_ray_cluster_fits_the_same_folds(walk_bars: BarTable, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra candlewire-training[ray]")
    one = trained(walk_bars, tmp_path / "one", None)
    assert trained(walk_bars, tmp_path / "ray", FoldFanOut(jobs=1, ray="local")) == one


def test_a_fold_that_fails_is_named_and_the_others_are_kept(walk_bars: BarTable, tmp_path: Path) -> None:
    model = train_model(walk_bars, replace(SETTINGS, members=("xgboost",), folds=0), QUIET)
    samples = model.samples
    _, folds = walk_folds(samples, SETTINGS)
    # The last fold's train rows know one class only.
    broken = replace(folds[2], train=folds[2].train[samples.target[folds[2].train] == 1])
    memory = FoldMemory(folder=tmp_path)
    with pytest.raises(TrainingError, match="fold anchored 3: "):
        FoldFanOut(jobs=1, ray=None).fit(
            samples,
            (*folds[:2], broken),
            SETTINGS.member_settings,
            rules=FitRules(),
            scoring="native",
            seed=7,
            memory=memory,
        )
    assert [memory.recall(number) is not None for number in range(3)] == [True, True, False]
