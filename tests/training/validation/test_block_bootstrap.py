"""Intervals know that rows depend on one another."""

import numpy as np
import pytest
from candlewire_training.validation.block_bootstrap import block_estimate, design_effect, time_blocks


def test_blocks_hold_whole_decision_times() -> None:
    times = np.repeat(np.arange(400, dtype=np.int64), 3)
    blocks = time_blocks(times, horizon=5)
    assert np.bincount(blocks).tolist() == [60] * 20
    assert np.bincount(time_blocks(times, horizon=20)).tolist() == [120] * 10


def test_copies_of_a_row_count_once() -> None:
    generator = np.random.default_rng(1)
    independent = generator.standard_normal(2_000)
    times = np.arange(2_000, dtype=np.int64)
    alone = design_effect(independent, time_blocks(times, horizon=1))
    copied = design_effect(np.repeat(independent, 5), time_blocks(np.repeat(times, 5), horizon=1))
    assert alone < 1.7
    assert copied == pytest.approx(5 * alone, rel=0.5)
    assert design_effect(np.ones(10), np.zeros(10, dtype=np.int64)) == 1.0


def test_the_interval_covers_the_mean_of_dependent_rows() -> None:
    generator = np.random.default_rng(2)
    covered = naive = 0
    for _ in range(100):
        shocks = generator.standard_normal(600)
        values = np.convolve(shocks, np.ones(5), mode="valid")
        estimate = block_estimate(values, time_blocks(np.arange(values.size), horizon=5), seed=1, draws=300)
        covered += estimate.low <= 0.0 <= estimate.high
        naive += abs(values.mean()) < 1.96 * values.std() / np.sqrt(values.size)
    assert covered >= 85
    assert naive < 75
