"""Intervals and design effects for rows that overlap in time and move together.

Whole blocks of consecutive decision times, all symbols together, are drawn with replacement.
Source: Künsch (1989), The Jackknife and the Bootstrap for General Stationary Observations.
"""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F64, I64

MINIMUM_BLOCK_TIMES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with its 95 % block-bootstrap interval."""

    value: float
    low: float
    high: float

    def excludes_zero(self) -> bool:
        """True when the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def time_blocks(decision_time_ns: I64, *, horizon: int) -> I64:
    """Block number of each row: blocks of consecutive decision times, at least twice the horizon long."""
    times, position = np.unique(decision_time_ns, return_inverse=True)
    length = max(2 * horizon, MINIMUM_BLOCK_TIMES)
    # Short samples still get a handful of blocks, else there is nothing to draw from.
    length = max(min(length, times.size // 8), 1)
    blocks: I64 = (position // length).astype(np.int64)
    return blocks


def design_effect(values: F64, blocks: I64) -> float:
    """How many rows count as one: variance of the mean over blocks, by the variance if rows were independent.

    At least 1. Source: Kish (1965), Survey Sampling.
    """
    residual = values - values.mean()
    spread = float(np.sum(residual**2))
    if spread == 0.0:
        return 1.0
    sums = np.bincount(blocks, weights=residual)
    return max(1.0, float(np.sum(sums**2)) / spread)


def block_estimate(values: F64, blocks: I64, *, seed: int, draws: int = 1_000) -> Estimate:
    """Mean of `values` with its 95 % interval over blocks."""
    sums = np.bincount(blocks, weights=values)
    counts = np.bincount(blocks).astype(np.float64)
    sums, counts = sums[counts > 0], counts[counts > 0]
    generator = np.random.default_rng(seed)
    chosen = generator.integers(0, counts.size, size=(draws, counts.size))
    means = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(value=float(values.mean()), low=float(low), high=float(high))


__all__ = ["Estimate", "block_estimate", "design_effect", "time_blocks"]
