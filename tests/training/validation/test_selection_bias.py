"""Luck is not skill, however often one tries."""

import numpy as np
import pytest
from candlewire_training.errors import SettingsError
from candlewire_training.validation.selection_bias import (
    deflated_sharpe,
    expected_greatest,
    probability_of_overfitting,
)


def test_the_example_of_the_paper() -> None:
    # Bailey and Lopez de Prado (2014), section 6: 100 trials whose annual ratios have a variance of 1/2 make
    # 0.1132 a day the greatest expected without skill.
    luck = expected_greatest(100) * np.sqrt(0.5 / 250)
    assert luck == pytest.approx(0.1132, abs=1e-4)


def test_the_best_of_many_without_skill_is_deflated() -> None:
    generator = np.random.default_rng(5)
    returns = 0.01 * generator.standard_normal((1_000, 200))
    best = int(np.argmax(returns.mean(axis=0) / returns.std(axis=0)))
    naive = deflated_sharpe(returns[:, best], trials=1)
    honest = deflated_sharpe(returns[:, best], trials=200)
    assert naive.probability > 0.99
    assert honest.probability < 0.95
    assert honest.sharpe == naive.sharpe


def test_skill_survives_the_trials() -> None:
    returns = 0.002 + 0.01 * np.random.default_rng(6).standard_normal(1_000)
    assert deflated_sharpe(returns, trials=100).probability > 0.95


def test_the_greatest_of_draws_matches_a_simulation() -> None:
    draws = np.random.default_rng(7).standard_normal((20_000, 50)).max(axis=1).mean()
    assert expected_greatest(50) == pytest.approx(draws, abs=0.03)
    assert expected_greatest(1) == 0.0


def test_overfitting_is_near_one_half_for_noise_and_near_zero_for_skill() -> None:
    generator = np.random.default_rng(8)
    noise = [probability_of_overfitting(generator.standard_normal((400, 10)), parts=8) for _ in range(20)]
    assert 0.3 < np.mean(noise) < 0.7
    skilled = generator.standard_normal((400, 10))
    skilled[:, 3] += 1.0
    assert probability_of_overfitting(skilled, parts=8) == 0.0


def test_too_little_is_refused() -> None:
    with pytest.raises(SettingsError, match="2 returns"):
        deflated_sharpe(np.zeros(2), trials=1)
    with pytest.raises(SettingsError, match="trials 0"):
        deflated_sharpe(np.zeros(9), trials=0)
    with pytest.raises(SettingsError, match="1 trial"):
        probability_of_overfitting(np.zeros((9, 1)))
    with pytest.raises(SettingsError, match="parts 3"):
        probability_of_overfitting(np.zeros((9, 2)), parts=3)
