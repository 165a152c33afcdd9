"""The pipeline finds nothing where there is nothing, and a leak where one was planted."""

from dataclasses import replace

import numpy as np
import pytest
from candlewire_training.bands.band_inputs import volatility_columns
from candlewire_training.data.samples import Samples
from candlewire_training.pipeline import TrainedModel, fit_model
from candlewire_training.progress import StepProgress
from candlewire_training.validation.chronological import chronological_split
from candlewire_training.validation.evaluation import Evaluation, evaluate

NO_COLUMNS = volatility_columns('{"features": []}')


def judge(trained: TrainedModel, samples: Samples) -> Evaluation:
    split, settings = trained.split, trained.settings
    train, calibration, test = (samples.take(rows) for rows in (split.train, split.calibration, split.test))
    model, _ = fit_model(train, calibration, settings, StepProgress(quiet=True), volatility=NO_COLUMNS)
    return evaluate(
        model.score(test.X),
        train=train,
        calibration=calibration,
        test=test,
        horizon=settings.horizon,
        target_coverage=settings.target_coverage,
        thresholds=settings.decision_thresholds,
        seed=1,
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shuffled_labels_score_at_chance(trained: TrainedModel, seed: int) -> None:
    samples = trained.samples
    order = np.random.default_rng(seed).permutation(len(samples))
    evaluation = judge(trained, replace(samples, target=samples.up[order]))
    assert not evaluation.has_skill()
    hits = evaluation.direction["model"].hit_rate
    best_blind_guess = max(evaluation.base_rate, 1 - evaluation.base_rate)
    assert hits.low <= best_blind_guess
    assert evaluation.direction["model"].gain.value > -0.02


def test_a_planted_look_ahead_feature_is_caught(trained: TrainedModel) -> None:
    samples = trained.samples
    leaked = samples.X.copy()
    # As much noise as signal in calm and in wild years alike.
    noise = np.random.default_rng(4).standard_normal(len(samples)) * samples.deviation
    leaked[:, 0] = samples.forward_return + noise
    evaluation = judge(trained, replace(samples, X=leaked))
    assert evaluation.has_skill()
    # No honest model of direction gains a tenth of a nat: such a figure means a leak.
    assert evaluation.direction["model"].gain.value > 0.1


def test_a_planted_copy_across_the_purge_is_caught() -> None:
    # A label that settles after the next part has begun must not be learnt from, whatever its row number.
    decision = np.arange(2_000, dtype=np.int64)
    known = decision + 5
    clean = chronological_split(decision, known)
    known[clean.train[100]] = decision[clean.calibration[50]]
    purged = chronological_split(decision, known)
    assert clean.train[100] not in purged.train
    assert purged.purged_rows == clean.purged_rows + 1


def test_random_walks_show_no_skill(trained: TrainedModel) -> None:
    # Real stocks over five days are close to one: the card must not claim otherwise.
    assert trained.evaluation.direction["majority"].gain.value == pytest.approx(0.0)
    assert trained.evaluation.direction["model"].gain.low < 0.02
