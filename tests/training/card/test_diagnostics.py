"""Figures of the card are what they are called."""

import numpy as np
import pytest
import xgboost as xgb
from candlewire_training.card.diagnostics import (
    by_confidence,
    by_time,
    confusion_matrix,
    contributions,
    information_coefficient,
    reliability_bins,
)
from candlewire_training.card.explanations import pooled_importances
from candlewire_training.card.learning_curves import learning_curve
from candlewire_training.data.bars import BarTable
from candlewire_training.data.samples import build_samples, preset_spec
from candlewire_training.labels.contract import CLASSES_OF_KIND, LabelSettings
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
    gains = pooled_importances(trained.model.members, (1.0,), names)
    shap = contributions(booster, samples.X, names)
    assert sum(share for _, share in gains) == pytest.approx(1.0)
    assert {name for name, _ in shap} == set(names)
    for items in (gains, shap):
        values = [value for _, value in items]
        assert values == sorted(values, reverse=True)
    used = {name for name, share in gains if share > 0.0}
    assert all(value == 0.0 for name, value in shap if name not in used)


def test_the_learning_curve_ends_at_the_model_s_own_loss(trained: TrainedModel) -> None:
    member = trained.model.members[0]
    train = trained.samples.take(trained.split.train)
    X, up = train.X[:1_500], train.up[:1_500]
    curve = learning_curve(member, X, up, name="train")
    assert curve.points[-1][0] == member.rounds  # type: ignore[attr-defined]
    wanted = log_loss(1.0 / (1.0 + np.exp(-member.margin(X))), up).mean()
    assert curve.points[-1][1] == pytest.approx(wanted, abs=1e-5)
    assert curve.points[-1][1] < curve.points[0][1]


def test_a_booster_of_three_classes_is_explained_too() -> None:
    generator = np.random.default_rng(8)
    X = generator.standard_normal((1_200, 3)).astype(np.float32)
    target = np.digitize(X[:, 1] + 0.5 * generator.standard_normal(1_200), (-0.5, 0.5)).astype(np.int32)
    parameters = {"objective": "multi:softprob", "num_class": 3, "max_depth": 2, "nthread": 1}
    booster = xgb.train(parameters, xgb.DMatrix(X, label=target, nthread=1), num_boost_round=20)
    shap = contributions(booster, X, ("a", "b", "c"))
    assert shap[0][0] == "b"
    assert shap[0][1] > 3 * shap[1][1]


def test_trees_with_vector_leaves_do_not_stop_the_card() -> None:
    generator = np.random.default_rng(9)
    X = generator.standard_normal((600, 3)).astype(np.float32)
    target = np.digitize(X[:, 1], (-0.5, 0.5)).astype(np.int32)
    parameters = {
        "objective": "multi:softprob",
        "num_class": 3,
        "max_depth": 2,
        "nthread": 1,
        "tree_method": "hist",
        "multi_strategy": "multi_output_tree",
    }
    booster = xgb.train(parameters, xgb.DMatrix(X, label=target, nthread=1), num_boost_round=5)
    names = ("a", "b", "c")
    items = contributions(booster, X, names)
    assert items == () or {name for name, _ in items} == set(names)


@pytest.mark.parametrize("kind", sorted(CLASSES_OF_KIND))
def test_samples_of_every_kind_reach_the_figures(kind: str, walk_bars: BarTable) -> None:
    samples = build_samples(walk_bars, preset_spec("core"), horizon=5, labels=LabelSettings(kind=kind))
    classes = len(samples.classes)
    assert set(np.unique(samples.target)) == set(range(classes))
    np.testing.assert_array_equal(samples.up, samples.target == classes - 1)
    even = np.full((len(samples), classes), 1.0 / classes)
    assert np.array(confusion_matrix(even, samples.target)).shape == (classes, classes)
    half = samples.take(np.arange(len(samples)) % 2 == 0)
    assert half.classes == samples.classes
    assert np.isfinite(half.weight).all()
