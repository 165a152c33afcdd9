"""Stacking finds what it should, keeps to its simplex, and members of zero weight are left out."""

import numpy as np
import pytest
from candlewire_training.arrays import F64, I32
from candlewire_training.ensemble.contract import Ensemble, equal_weights
from candlewire_training.ensemble.pruning import pruned
from candlewire_training.ensemble.stacking import (
    contiguous_groups,
    cross_fitted_pool,
    fit_weights,
    make_ensemble,
)
from candlewire_training.errors import SettingsError
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from tests.training.members.made_rows import fitted


def forecasts(seed: int, rows: int = 3_000, members: int = 3, classes: int = 3) -> tuple[F64, I32, F64]:
    generator = np.random.default_rng(seed)
    oof = generator.dirichlet(np.ones(classes), (rows, members))
    cumulated = oof[:, 0].cumsum(axis=1)
    target = (generator.uniform(size=(rows, 1)) > cumulated).sum(axis=1).clip(0, classes - 1)
    return oof, target.astype(np.int32), generator.uniform(0.5, 2.0, rows)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    members=st.integers(1, 6),
    classes=st.integers(2, 4),
    ridge=st.sampled_from([0.0, 1e-3, 0.1, 10.0]),
)
def test_weights_are_on_the_simplex(seed: int, members: int, classes: int, ridge: float) -> None:
    oof, target, weight = forecasts(seed, 200, members, classes)
    weights = fit_weights(oof, target, weight, ridge=ridge)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    Ensemble(weights=tuple(weights.tolist()))


@pytest.mark.parametrize("ridge", [0.0, 0.05])
def test_weights_are_the_least_squares_ones(ridge: float) -> None:
    oof, target, weight = forecasts(1)
    # The second member is half of the first: both matter.
    oof[:, 1] = 0.5 * oof[:, 0] + 0.5 * oof[:, 1]
    truth = np.eye(3)[target]
    mean_square = np.einsum("rmc,r->", oof**2, weight) / weight.sum() / 3

    def loss(weights: F64) -> float:
        error = ((np.einsum("rmc,m->rc", oof, weights) - truth) ** 2).sum(axis=1) @ weight / weight.sum()
        return float(error + ridge * mean_square * ((weights - 1 / 3) ** 2).sum())

    best = minimize(
        loss,
        np.full(3, 1 / 3),
        method="SLSQP",
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        options={"ftol": 1e-12},
    )
    ours = fit_weights(oof, target, weight, ridge=ridge)
    assert loss(ours) <= float(best.fun) + 1e-5


def test_the_honest_member_gets_the_weight() -> None:
    oof, target, weight = forecasts(2)
    weights = fit_weights(oof, target, weight)
    assert weights[0] > 0.9


def test_a_strong_ridge_makes_the_weights_equal() -> None:
    weights = fit_weights(*forecasts(3), ridge=1e6)
    np.testing.assert_allclose(weights, 1 / 3, atol=1e-3)


def test_cross_fitted_weights_do_not_see_their_own_rows() -> None:
    oof, target, weight = forecasts(4, 1_000)
    blocks = np.arange(1_000) // 20
    before = cross_fitted_pool(oof, target, weight, blocks)
    changed = target.copy()
    own = contiguous_groups(blocks, 5) == 2
    changed[own] = (changed[own] + 1) % 3
    after = cross_fitted_pool(oof, changed, weight, blocks)
    np.testing.assert_allclose(before[own], after[own], atol=1e-9)
    assert np.abs(before[~own] - after[~own]).max() > 1e-4


def test_members_of_zero_weight_are_left_out() -> None:
    members = [fitted("logistic", 2, name=name) for name in ("a", "b", "c")]
    kept, ensemble = pruned(members, Ensemble(weights=(0.75, 0.0, 0.25)))
    assert [member.name for member in kept] == ["a", "c"]
    assert ensemble.weights == (0.75, 0.25)


def test_ensembles_by_name() -> None:
    oof, target, weight = forecasts(5)
    stacked = make_ensemble("stack", 3, oof=oof, target=target, weight=weight)
    assert stacked.weights == tuple(fit_weights(oof, target, weight).tolist())
    assert make_ensemble("fixed", 2, weights=(3.0, 1.0)).weights == (0.75, 0.25)
    assert make_ensemble("vote", 2) == Ensemble(weights=equal_weights(2))
    assert make_ensemble("hard_vote", 2).rule == "vote"


@pytest.mark.parametrize(
    ("kind", "options"),
    [("stack", {}), ("fixed", {"weights": (1.0,)}), ("fixed", {"weights": (1.0, -1.0)}), ("best", {})],
)
def test_ensembles_that_make_no_sense_are_refused(kind: str, options: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(SettingsError, match=f"ensemble '?{kind}"):
        make_ensemble(kind, 2, **options)  # type: ignore[arg-type]


def test_hard_votes_count_the_most_probable_class() -> None:
    members = np.array([[[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.4, 0.35, 0.25]]])
    pooled = Ensemble(weights=(0.5, 0.3, 0.2), rule="vote").pool(members)
    np.testing.assert_allclose(pooled, [[0.7, 0.3, 0.0]])
