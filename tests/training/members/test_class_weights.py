"""Balanced classes reach every kind of member, and no row that judges."""

from dataclasses import replace

import numpy as np
import pytest
from candlewire_training.bands.band_inputs import volatility_columns
from candlewire_training.data.samples import Samples
from candlewire_training.members.contract import KINDS
from candlewire_training.pipeline import TrainedModel, fit_model
from candlewire_training.progress import StepProgress
from candlewire_training.settings import TrainingSettings
from candlewire_training.validation.folds import RowTimes, walk_forward_folds
from candlewire_training.validation.walk_forward import out_of_fold

NO_COLUMNS = volatility_columns('{"features": []}')


@pytest.fixture(scope="module")
def rare(trained: TrainedModel) -> Samples:
    """A class that happens to one row in eight."""
    samples = trained.samples
    target = (samples.forward_return > np.quantile(samples.forward_return, 7 / 8)).astype(np.int32)
    return replace(samples, target=target)


def settings_of(kind: str) -> TrainingSettings:
    return TrainingSettings(
        model="m", members=(kind,), trees=40, learning_rate=0.1, profile="full", threads=1
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_with_balanced_classes(trained: TrainedModel, rare: Samples, kind: str) -> None:
    split, settings = trained.split, settings_of(kind)
    means = {}
    for balanced in (False, True):
        samples = replace(rare, balance_classes=balanced)
        train, calibration = samples.take(split.train), samples.take(split.calibration)
        model, _ = fit_model(train, calibration, settings, StepProgress(quiet=True), volatility=NO_COLUMNS)
        said = model.members[0].probabilities(train.X)[:, 1]
        means[balanced] = float(said.mean())
        # Calibration brings the classes back as they come, as far as its own doubt lets it.
        assert model.score(calibration.X).up.mean() == pytest.approx(calibration.up.mean(), abs=0.08)
    assert means[False] == pytest.approx(1 / 8, abs=0.04)
    assert means[True] == pytest.approx(1 / 2, abs=0.12)


def test_a_fold_balances_its_own_train_rows(rare: Samples) -> None:
    times = RowTimes(decision_time_ns=rare.decision_time_ns, known_from_ns=rare.known_from_ns)
    folds = walk_forward_folds(times, folds=2, embargo_bars=5)
    members = settings_of("xgboost").member_settings
    plain = out_of_fold(rare, folds, members)
    balanced = out_of_fold(replace(rare, balance_classes=True), folds, members)
    assert balanced.pooled[:, 1].mean() > 2 * plain.pooled[:, 1].mean()


def test_weights_are_of_the_rows_at_hand(rare: Samples) -> None:
    samples = replace(rare, balance_classes=True)
    for rows in (slice(None), slice(0, 400)):
        part = samples.take(np.arange(len(samples))[rows])
        sums = np.bincount(part.target, weights=part.fit_weight)
        assert sums[0] == pytest.approx(sums[1])
        assert part.fit_weight.mean() == pytest.approx(1.0)
        assert np.array_equal(part.weight, rare.weight[rows])
