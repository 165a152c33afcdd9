"""Prices are measured, gains have intervals, and a budget keeps the best members that fit into it."""

import numpy as np
import pytest
from candlewire_training.ensemble.budget import (
    LatencyBudget,
    MemberPrice,
    choose_within_budget,
    leave_one_out_gains,
    price_members,
    profile_budgets,
)
from candlewire_training.errors import SettingsError

from tests.training.ensemble.test_stacking import forecasts
from tests.training.members.made_rows import features, fitted

BLOCKS = np.arange(3_000) // 20


def price(name: str, one_row_us: float) -> MemberPrice:
    return MemberPrice(name=name, one_row_us=one_row_us, batch_64_us_per_row=one_row_us / 4, megabytes=0.1)


def test_every_member_has_its_price() -> None:
    members = [fitted("xgboost", 3, trees=trees, name=f"trees_{trees}") for trees in (2, 400)]
    prices, reference = price_members(members, features(1, 300))
    assert [each.name for each in prices] == ["trees_2", "trees_400"]
    assert prices[1].batch_64_us_per_row > 3 * prices[0].batch_64_us_per_row
    assert prices[1].megabytes > 10 * prices[0].megabytes
    assert reference.batch_64_us_per_row > prices[0].batch_64_us_per_row


def test_the_honest_member_adds_and_the_noise_does_not() -> None:
    oof, target, weight = forecasts(1)
    gains = leave_one_out_gains(oof, target, weight, BLOCKS, seed=1)
    assert gains[0].low > 0
    assert gains[1].value < 0.1 * gains[0].value


def test_a_lone_member_is_compared_with_the_shares_of_the_classes() -> None:
    oof, target, weight = forecasts(2)
    (gain,) = leave_one_out_gains(oof[:, :1], target, weight, BLOCKS, seed=1)
    assert gain.low > 0


def test_a_budget_takes_the_best_that_fits() -> None:
    oof, target, weight = forecasts(3)
    # The second member is a worse copy of the honest first one.
    oof[:, 1] = 0.7 * oof[:, 0] + 0.3 / 3
    prices = (price("honest", 100.0), price("copy", 10.0), price("noise", 10.0))
    full = choose_within_budget(
        oof, target, weight, BLOCKS, prices, profile_budgets("full", prices[0]), seed=1
    )
    assert 0 in full.kept
    assert full.lost.value <= 1e-9
    tight = choose_within_budget(
        oof, target, weight, BLOCKS, prices, (LatencyBudget(one_row_us=15.0),), seed=1
    )
    assert tight.kept == (1,)
    assert tight.weights == (0.0, 1.0, 0.0)
    # Nothing is lost silently.
    assert tight.lost.low > 0
    assert tight.log_loss > tight.full_log_loss


def test_a_budget_that_holds_nobody_says_what_to_do() -> None:
    oof, target, weight = forecasts(4)
    prices = (price("a", 100.0), price("b", 50.0), price("c", 60.0))
    with pytest.raises(SettingsError, match=r"cheapest, b, takes 50 us .* raise --budget-us"):
        choose_within_budget(oof, target, weight, BLOCKS, prices, (LatencyBudget(one_row_us=5.0),), seed=1)


def test_fast_is_the_fixed_budget_or_five_times_the_reference() -> None:
    fixed, relative = profile_budgets("fast", price("reference", 20.0))
    assert fixed.holds([price("a", 39.0)])
    assert not fixed.holds([price("a", 39.0), price("b", 2.0)])
    assert relative.holds([price("a", 99.0)])
    assert not relative.holds([price("a", 101.0)])
    with pytest.raises(SettingsError, match="profile 'slow' is unknown"):
        profile_budgets("slow", price("reference", 20.0))
