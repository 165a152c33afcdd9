"""Exported trees decide as the library does, at thresholds, beside them, and on missing values."""

import numpy as np
import pytest
import xgboost as xgb
from candlewire_training.arrays import F32, I32
from candlewire_training.export.tree_ensemble import xgboost_trees
from candlewire_training.members.contract import FitRows, MemberSettings
from candlewire_training.members.xgboost_member import XGBoostMember

from tests.training.conftest import run_graph


def rows(seed: int, count: int = 2_000) -> F32:
    return np.random.default_rng(seed).standard_normal((count, 5)).astype(np.float32)


def fitted(X: F32, up: I32, **settings: float) -> XGBoostMember:
    member = XGBoostMember(settings=MemberSettings(**settings))  # type: ignore[arg-type]
    return member.fit(FitRows(X=X, target=up, weight=np.ones(up.size), classes=("DOWN", "UP")))


def at_thresholds(member: XGBoostMember) -> F32:
    points = [(f, t) for f, thresholds in member.split_points() for t in thresholds]
    X = np.repeat(rows(9, len(points)), 3, axis=0)
    for number, (feature, threshold) in enumerate(points):
        for offset, towards in enumerate((-np.inf, threshold, np.inf)):
            X[3 * number + offset, feature] = np.nextafter(threshold, np.float32(towards))
    return X


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_xgboost_direction(depth: int) -> None:
    X = rows(1)
    up = (X[:, 0] + X[:, 1] * X[:, 2] + np.random.default_rng(2).standard_normal(2_000) > 0).astype(np.int32)
    member = fitted(X, up, trees=50, depth=depth, learning_rate=0.2)
    with_gaps = X.copy()
    with_gaps[np.random.default_rng(3).uniform(size=X.shape) < 0.2] = np.nan
    everything = np.concatenate((X, with_gaps, at_thresholds(member)))
    (exported,) = run_graph(lambda graph: [member.export_margin(graph, "features")], everything)
    np.testing.assert_allclose(exported[:, 0], member.margin(everything), rtol=1e-5, atol=2e-6)


def test_missing_values_keep_their_direction() -> None:
    X = rows(4)
    X[np.random.default_rng(5).uniform(size=X.shape) < 0.3] = np.nan
    up = (np.nan_to_num(X[:, 0], nan=2.0) > 0).astype(np.int32)
    member = fitted(X, up, trees=30, learning_rate=0.3)
    (exported,) = run_graph(lambda graph: [member.export_margin(graph, "features")], X)
    np.testing.assert_allclose(exported[:, 0], member.margin(X), rtol=1e-5, atol=2e-6)
    assert member.margin(X)[np.isnan(X[:, 0])].mean() > 1.0


def test_a_booster_that_never_split_is_a_constant() -> None:
    X = rows(6, 300)
    parameters = {"objective": "reg:squarederror", "base_score": 0.0, "gamma": 1e9, "nthread": 1}
    booster = xgb.train(parameters, xgb.DMatrix(X, label=np.full(300, 2.0)), num_boost_round=3)
    (exported,) = run_graph(lambda graph: [xgboost_trees(booster, base=0.0).export(graph, "features")], X)
    np.testing.assert_allclose(exported[:, 0], booster.predict(xgb.DMatrix(X)), rtol=1e-6)


def test_trees_do_not_depend_on_threads() -> None:
    X = rows(7)
    up = (X[:, 0] + np.random.default_rng(8).standard_normal(2_000) > 0).astype(np.int32)
    one, two = (fitted(X, up, trees=10, threads=threads).ensembles()[0] for threads in (1, 2))
    for first, second in zip(one.trees, two.trees, strict=True):
        np.testing.assert_array_equal(first.threshold, second.threshold)
        np.testing.assert_array_equal(first.value, second.value)
