"""Combinatorial folds tell luck from skill, and choose nothing."""

from dataclasses import replace

import numpy as np
import pytest
from candlewire_training.data.bars import BarTable
from candlewire_training.data.samples import Samples
from candlewire_training.errors import SettingsError
from candlewire_training.members.contract import MemberSettings
from candlewire_training.pipeline import TrainedModel, train_model
from candlewire_training.progress import StepProgress
from candlewire_training.settings import TrainingSettings
from candlewire_training.validation.combinatorial import CombinatorialDiagnosis, diagnose
from candlewire_training.validation.folds import Fold
from candlewire_training.validation.walk_forward import OutOfFold, out_of_fold

MEMBERS = (MemberSettings(kind="xgboost", trees=25), MemberSettings(kind="extra_trees", trees=10))


def diagnosed(samples: Samples, groups: int = 5, test_groups: int = 2) -> CombinatorialDiagnosis:
    return diagnose(
        samples,
        lambda folds: out_of_fold(samples, folds, MEMBERS, ensemble="vote"),
        groups=groups,
        test_groups=test_groups,
        names=("xgboost", "extra_trees"),
        horizon=5,
        embargo_bars=5,
    )


def test_shuffled_labels_are_luck(trained: TrainedModel) -> None:
    order = np.random.default_rng(3).permutation(len(trained.samples))
    result = diagnosed(replace(trained.samples, target=trained.samples.target[order]))
    assert result.folds == 10
    assert len(result.gains) == len(result.sharpes) == 4
    assert result.candidates[:3] == ("ensemble", "xgboost", "extra_trees")
    assert "majority" in result.candidates
    assert max(result.gains) < 0.005
    assert max(abs(sharpe) for sharpe in result.sharpes) < 0.15


def test_a_planted_look_ahead_feature_shows_on_every_path(trained: TrainedModel) -> None:
    samples = trained.samples
    X = samples.X.copy()
    noise = np.random.default_rng(4).standard_normal(len(samples)) * samples.deviation
    X[:, 0] = samples.forward_return + noise
    result = diagnosed(replace(samples, X=X))
    assert min(result.gains) > 0.02
    assert min(result.sharpes) > 0.5
    # Which of the members is best is real here: it is best in both halves of time.
    assert result.overfitting == 0.0


def test_every_path_goes_through_every_row_once(trained: TrainedModel) -> None:
    samples = trained.samples
    counted = np.zeros(len(samples), dtype=int)
    said: list[OutOfFold] = []

    def constant(folds: tuple[Fold, ...]) -> OutOfFold:
        for fold in folds:
            counted[fold.test] += 1
        rows = np.concatenate([fold.test for fold in folds])
        fold_of = np.repeat(np.arange(len(folds), dtype=np.int32), [fold.test.size for fold in folds])
        # Fold 0 is sure of the truth, the others know nothing.
        up = np.where(fold_of == 0, np.where(samples.up[rows] == 1, 0.9, 0.1), 0.5)
        pooled = np.stack((1 - up, up), axis=1)
        said.append(
            OutOfFold(
                rows=rows,
                fold=fold_of,
                members=pooled[:, None],
                pooled=pooled,
                baselines={"majority": np.full(rows.size, 0.5)},
                train_accuracy=(),
                scored_by="a test",
            )
        )
        return said[-1]

    result = diagnose(samples, constant, groups=4, test_groups=2, names=("one",), horizon=5)
    # Each row is tested by 3 of the 6 folds, once for each path.
    assert counted.tolist() == [3] * len(samples)
    # Fold 0 lies on one path alone, and makes half of it.
    shares = said[0].fold == 0
    expected = (np.log(0.9) - np.log(0.5)) * shares.sum() / len(samples)
    assert sorted(result.gains) == pytest.approx([0.0, 0.0, expected], abs=1e-12)
    assert result.candidates == ("one", "majority")


def test_the_run_carries_the_diagnosis_and_the_model_stays_the_same(walk_bars: BarTable) -> None:
    settings = TrainingSettings(model="m", trees=10, members=("xgboost", "logistic"), folds=2)
    plain = train_model(walk_bars, settings, StepProgress(quiet=True))
    judged = train_model(walk_bars, replace(settings, cpcv=(4, 2)), StepProgress(quiet=True))
    assert plain.combinatorial is None
    assert judged.combinatorial is not None
    assert judged.combinatorial.folds == 6
    X = plain.samples.X[:200]
    assert np.array_equal(plain.model.score(X).up, judged.model.score(X).up)


def test_groups_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SettingsError, match="cpcv 4,4 does not fit"):
        TrainingSettings(model="m", cpcv=(4, 4))
