"""A walk forward finds what is there, and nothing where nothing is."""

from dataclasses import replace

import numpy as np
import pytest
from candlewire_training.card.markdown import walk_forward_facts
from candlewire_training.errors import GateError, SettingsError
from candlewire_training.members.contract import MemberSettings
from candlewire_training.pipeline import TrainedModel, train_model
from candlewire_training.progress import StepProgress
from candlewire_training.settings import TrainingSettings
from candlewire_training.validation.folds import Fold, RowTimes, walk_forward_folds
from candlewire_training.validation.walk_forward import (
    WalkForward,
    accuracy_by_confidence,
    judge,
    out_of_fold,
)

MEMBERS = (MemberSettings(kind="xgboost", trees=25), MemberSettings(kind="logistic"))


def folds_of(trained: TrainedModel) -> tuple[Fold, ...]:
    samples = trained.samples
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    return walk_forward_folds(times, folds=3, embargo_bars=5)


def walk(trained: TrainedModel, **changed: np.ndarray) -> WalkForward:
    samples, folds = replace(trained.samples, **changed), folds_of(trained)
    return judge(samples, folds, out_of_fold(samples, folds, MEMBERS), horizon=5)


def test_shuffled_labels_score_at_chance(trained: TrainedModel) -> None:
    order = np.random.default_rng(3).permutation(len(trained.samples))
    result = walk(trained, target=trained.samples.target[order])
    assert result.gain.low <= 0.0
    assert result.sharpe.probability < 0.99
    assert len(result.folds) == 3
    for fold in result.folds:
        assert set(fold.baseline_log_loss) == {"majority", "persistence", "momentum", "logistic"}


def test_a_planted_look_ahead_feature_is_caught(trained: TrainedModel) -> None:
    samples = trained.samples
    leaked = samples.X.copy()
    noise = np.random.default_rng(4).standard_normal(len(samples)) * samples.deviation
    leaked[:, 0] = samples.forward_return + noise
    result = walk(trained, X=leaked)
    # No honest model of direction gains this much, has such a ratio or is so sure of it.
    assert result.gain.low > 0.05
    assert result.sharpe.probability > 0.999
    assert result.monotone


def test_weights_and_rows_are_sound(trained: TrainedModel) -> None:
    samples, folds = trained.samples, folds_of(trained)
    oof = out_of_fold(samples, folds, MEMBERS)
    assert oof.members.shape == (sum(fold.test.size for fold in folds), 2, 2)
    assert np.allclose(oof.members.sum(axis=2), 1.0)
    assert np.allclose(oof.pooled.sum(axis=1), 1.0)
    result = judge(samples, folds, oof, horizon=5, trials=50)
    assert sum(result.weights) == pytest.approx(1.0)
    assert min(result.weights) >= 0.0
    assert result.member_overfitting is not None
    assert result.sharpe.trials == 50


def test_later_labels_change_nothing_earlier(trained: TrainedModel) -> None:
    samples, folds = trained.samples, folds_of(trained)
    before = out_of_fold(samples, folds, MEMBERS)
    opens = int(samples.decision_time_ns[folds[2].test].min())
    target = samples.target.copy()
    late = samples.known_from_ns > opens
    target[late] = 1 - target[late]
    after = out_of_fold(replace(samples, target=target), folds, MEMBERS)
    early = before.fold < 2
    assert np.array_equal(before.pooled[early], after.pooled[early])
    assert np.array_equal(before.members, after.members)
    assert np.array_equal(before.pooled, after.pooled)


def test_confidence_groups_show_an_inversion() -> None:
    up = np.linspace(0.5, 0.9, 1_000)
    probabilities = np.stack((1 - up, up), axis=1)
    assert accuracy_by_confidence(probabilities, (up < 0.7).astype(float)) == (1.0, 1.0, 0.5, 0.0, 0.0)


def test_a_gate_on_the_overfit_gap_refuses(trained: TrainedModel) -> None:
    settings = TrainingSettings(
        model="m", trees=200, depth=6, learning_rate=0.3, folds=2, maximum_overfit_gap=0.0
    )
    with pytest.raises(GateError, match="maximum-overfit-gap 0"):
        train_model(trained.bars, settings, StepProgress(quiet=True))


def test_stacking_without_folds_is_refused() -> None:
    with pytest.raises(SettingsError, match="folds 2"):
        TrainingSettings(model="m", members=("xgboost", "logistic"))


def test_the_card_tells_the_folds_and_the_trials(trained: TrainedModel) -> None:
    samples, folds = trained.samples, folds_of(trained)
    result = judge(samples, folds, out_of_fold(samples, folds, MEMBERS), horizon=5, trials=9)
    told = dict(
        walk_forward_facts(
            replace(trained, walk_forward=result, settings=replace(trained.settings, trials=9))
        )
    )
    assert told["Trials"].startswith("9:")
    assert "persistence" in told["Fold anchored 3"]
    said = told["Accuracy by confidence, out of fold"]
    assert ("NOT" in said) != result.monotone
    assert set(dict(walk_forward_facts(trained))) == {"Trials", "Early stopping"}
