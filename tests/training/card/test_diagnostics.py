"""Figures of the card are what they are called."""

import numpy as np
import pytest
from candlewire_training.card.diagnostics import (
    by_confidence,
    by_time,
    confusion_matrix,
    contributions,
    gain_shares,
    information_coefficient,
    learning_curve,
    reliability_bins,
)
from candlewire_training.pipeline import TrainedModel
from candlewire_training.validation.proper_scores import log_loss

GENERATOR = np.random.default_rng(3)
ROWS = 4_000
UP = GENERATOR.uniform(0.2, 0.8, ROWS)
PROBABILITIES = np.column_stack((1 - UP, UP))
TARGET = (GENERATOR.uniform(size=ROWS) < UP).astype(np.int32)
BLOCKS = np.arange(ROWS) // 40


def test_accuracy_grows_with_an_honest_confidence() -> None:
    groups = by_confidence(PROBABILITIES, TARGET, BLOCKS, seed=1)
    assert sum(group.rows for group in groups) == ROWS
    values = [group.share.value for group in groups]
    assert values == sorted(values)
    assert values[0] == pytest.approx(0.53, abs=0.04)
    assert values[-1] == pytest.approx(0.77, abs=0.04)


def test_one_confidence_for_all_is_one_group() -> None:
    same = np.full((ROWS, 2), 0.5)
    assert [group.rows for group in by_confidence(same, TARGET, BLOCKS, seed=1)] == [ROWS]


def test_calibrated_bins_hold_their_forecast() -> None:
    for one in reliability_bins(UP, TARGET, BLOCKS, seed=1):
        assert one.happened.value == pytest.approx(one.forecast, abs=0.06)


def test_the_confusion_matrix_counts() -> None:
    matrix = np.array(confusion_matrix(PROBABILITIES, TARGET))
    assert matrix.sum() == ROWS
    assert matrix[1, 0] == int(np.sum((TARGET == 1) & (UP <= 0.5)))


def test_rank_correlation_is_spearman_s() -> None:
    rising = np.arange(500.0)
    blocks = np.arange(500) // 20
    assert information_coefficient(rising, np.exp(rising / 100), blocks, seed=1).value == pytest.approx(1.0)
    assert information_coefficient(rising, -rising, blocks, seed=1).value == pytest.approx(-1.0)
    assert information_coefficient(np.zeros(500), rising, blocks, seed=1).value == 0.0
    noise = information_coefficient(rising, np.random.default_rng(2).standard_normal(500), blocks, seed=1)
    assert noise.low < 0 < noise.high


def test_time_groups_are_quarters_or_years() -> None:
    day = 86_400 * 10**9
    start = np.datetime64("2020-01-01", "ns").astype(np.int64)
    two_years = start + day * np.arange(730)
    blocks = np.arange(730) // 20
    names = [group.name for group in by_time(np.ones(730), two_years, blocks, seed=1)]
    assert names[0] == "2020 Q1"
    assert len(names) == 8
    decades = start + 20 * day * np.arange(730)
    names = [group.name for group in by_time(np.ones(730), decades, np.arange(730) // 3, seed=1, most=24)]
    assert names == []  # 18 rows a year say too little
    assert by_time(np.ones(730), start + 5 * day * np.arange(730), blocks, seed=1, most=4)[0].name == "2020"


def test_a_group_of_few_blocks_is_left_out() -> None:
    day = 86_400 * 10**9
    times = np.datetime64("2020-01-01", "ns").astype(np.int64) + day * np.arange(365)
    assert by_time(np.ones(365), times, np.zeros(365, dtype=np.int64), seed=1) == ()


def test_explanations_of_a_booster(trained: TrainedModel) -> None:
    booster = trained.model.members[0].booster_  # type: ignore[attr-defined]
    samples = trained.samples.take(trained.split.test)
    names = samples.feature_names
    gains, shap = gain_shares(booster, names), contributions(booster, samples.X, names)
    assert sum(share for _, share in gains) == pytest.approx(1.0)
    assert {name for name, _ in shap} == set(names)
    for items in (gains, shap):
        values = [value for _, value in items]
        assert values == sorted(values, reverse=True)
    used = {name for name, _ in gains}
    assert all(value == 0.0 for name, value in shap if name not in used)


def test_the_learning_curve_ends_at_the_model_s_own_loss(trained: TrainedModel) -> None:
    member = trained.model.members[0]
    train = trained.samples.take(trained.split.train)
    X, up = train.X[:1_500], train.up[:1_500]
    curve = learning_curve(member.booster_, X, up, name="train")  # type: ignore[attr-defined]
    assert curve.points[-1][0] == trained.settings.trees
    wanted = log_loss(1.0 / (1.0 + np.exp(-member.margin(X))), up).mean()
    assert curve.points[-1][1] == pytest.approx(wanted, abs=1e-5)
    assert curve.points[-1][1] < curve.points[0][1]
