"""The index is 1 at the edge of the training data and finite everywhere."""

import numpy as np
import pytest
from candlewire_training.trust.dissimilarity import EDGE_QUANTILE, fit_dissimilarity

from tests.training.conftest import run_graph

X = np.random.default_rng(1).standard_normal((3_000, 6)).astype(np.float32) * np.float32(5) + np.float32(2)
INDEX = fit_dissimilarity(X, seed=1)


def test_the_edge_holds_the_training_rows() -> None:
    assert np.mean(INDEX.apply(X) <= 1.0) == pytest.approx(EDGE_QUANTILE, abs=0.001)


def test_far_rows_are_outside_and_further_is_more() -> None:
    far = np.stack([X.mean(axis=0) + step * X.std(axis=0) for step in (0.0, 5.0, 10.0, 1e30)])
    index = INDEX.apply(far.astype(np.float32))
    assert index[0] < 1.0 < index[1] < index[2] < index[3] < np.inf


def test_a_constant_feature_does_no_harm() -> None:
    constant = X.copy()
    constant[:, 3] = 7.0
    assert np.isfinite(fit_dissimilarity(constant, seed=1).apply(constant)).all()


def test_the_graph_agrees() -> None:
    rows = np.concatenate((X, 1e6 * X[:10], np.full((1, 6), 3e38, np.float32)))
    (exported,) = run_graph(lambda graph: [INDEX.export(graph, "features")], rows)
    np.testing.assert_allclose(exported[:, 0], INDEX.apply(rows), rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_centres() -> None:
    np.testing.assert_array_equal(fit_dissimilarity(X, seed=1).centres, INDEX.centres)
