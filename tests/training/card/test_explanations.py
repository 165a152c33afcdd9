"""Explanations through predictions alone agree with what is known of simple models."""

import numpy as np
import pytest
from candlewire_training.card.explanations import pooled_importances, sampled_contributions
from candlewire_training.card.trades import by_expected_r, r_multiple_facts, r_multiples_of
from candlewire_training.members.contract import FitRows, MemberSettings
from candlewire_training.members.registry import make_member
from candlewire_training.pipeline import TrainedModel


def test_contributions_of_a_sum_are_its_terms() -> None:
    generator = np.random.default_rng(5)
    X = generator.standard_normal((400, 4)).astype(np.float32)
    slopes = np.array([0.0, 3.0, -1.0, 0.5])
    background = np.zeros((1, 4), dtype=np.float32)
    said = dict(
        sampled_contributions(
            lambda rows: rows.astype(np.float64) @ slopes, X, background, tuple("abcd"), seed=1
        )
    )
    # In a sum the Shapley value of a term is the term itself, in every order.
    explained = X[np.unique(np.linspace(0, 399, 40).astype(int))]
    for name, expected in zip("abcd", np.abs(explained * slopes).mean(axis=0), strict=True):
        assert said[name] == pytest.approx(expected, abs=1e-6)
    assert list(said) == ["b", "c", "d", "a"]


def test_a_product_is_shared_by_its_factors() -> None:
    X = np.array([[2.0, 3.0, 9.0]], dtype=np.float32)
    said = dict(
        sampled_contributions(
            lambda rows: (rows[:, 0] * rows[:, 1]).astype(np.float64),
            X,
            np.zeros((1, 3), dtype=np.float32),
            tuple("abc"),
            seed=2,
        )
    )
    assert said["a"] + said["b"] == pytest.approx(6.0)
    assert said["c"] == 0.0


def test_importances_are_pooled_by_weight() -> None:
    generator = np.random.default_rng(6)
    X = generator.standard_normal((600, 3)).astype(np.float32)
    members = []
    for column, kind in ((0, "lightgbm"), (2, "random_forest")):
        target = (X[:, column] > 0).astype(np.int32)
        rows = FitRows(X=X, target=target, weight=np.ones(600), classes=("DOWN", "UP"))
        members.append(make_member(MemberSettings(kind=kind, trees=10, feature_share=1.0)).fit(rows))
    said = dict(pooled_importances(tuple(members), (0.75, 0.25), tuple("abc")))
    assert sum(said.values()) == pytest.approx(1.0)
    assert said["a"] == pytest.approx(0.75, abs=0.05)
    assert said["c"] == pytest.approx(0.25, abs=0.05)


def test_expected_r_multiples_are_those_of_train_rows(trained: TrainedModel) -> None:
    train = trained.samples.take(trained.split.train)
    down, up = r_multiples_of(trained).by_class
    assert up == pytest.approx(train.r_multiple[train.up == 1].mean())
    assert down < 0.0 < up
    ((name, text),) = r_multiple_facts(trained)
    assert name == "Mean R-multiple by class"
    assert f"UP {up:+.3f}" in text


def test_groups_of_expected_r_rise_and_hold_what_was_made() -> None:
    generator = np.random.default_rng(7)
    expected = generator.uniform(-1, 1, 3_000)
    realised = expected + generator.standard_normal(3_000)
    realised[::10] = np.nan
    groups = by_expected_r(expected, realised, np.arange(3_000) // 30, seed=1)
    assert [group.rows for group in groups] == [540] * 5
    for group in groups:
        assert group.realised.low <= group.expected <= group.realised.high
    assert groups[0].expected < groups[-1].expected
    assert by_expected_r(expected, np.full(3_000, np.nan), np.arange(3_000), seed=1) == ()
