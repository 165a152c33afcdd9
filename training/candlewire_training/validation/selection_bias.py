"""What is left of a result once every trial is counted.

Sources: Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5);
Bailey, Borwein, Lopez de Prado and Zhu (2017), The Probability of Backtest Overfitting, Journal of
Computational Finance 20(4).
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import kurtosis, norm, rankdata, skew

from candlewire_training.arrays import F64
from candlewire_training.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflatedSharpe:
    """A Sharpe ratio beside what the best of `trials` would show by luck.

    Attributes:
        sharpe: Mean by standard deviation, per period.
        luck: Expected greatest Sharpe ratio of `trials` without skill, per period.
        probability: Probability that the true ratio is above zero, given the trials; 0.95 is the usual bar.
        periods: Returns it was measured on.
        trials: Trials counted.
    """

    sharpe: float
    luck: float
    probability: float
    periods: int
    trials: int


def deflated_sharpe(returns: F64, *, trials: int, trial_spread: float | None = None) -> DeflatedSharpe:
    """Deflated Sharpe ratio of returns that do not overlap.

    Args:
        returns: One a period, shape (periods,).
        trials: How many settings were tried, this one included.
        trial_spread: Standard deviation of the trials' Sharpe ratios; None takes that of estimates without
            skill, 1 / sqrt(periods - 1).

    Raises:
        SettingsError: Fewer than 3 returns, or no trial.
    """
    periods = int(returns.size)
    if periods < 3:
        raise SettingsError(f"deflated Sharpe ratio: {periods} returns are too few; give at least 3")
    if trials < 1:
        raise SettingsError(f"trials {trials} is out of range; count at least the trial itself")
    spread = float(returns.std(ddof=1))
    if spread == 0.0:
        return DeflatedSharpe(sharpe=0.0, luck=0.0, probability=0.5, periods=periods, trials=trials)
    sharpe = float(returns.mean()) / spread
    luck = expected_greatest(trials) * (
        1.0 / math.sqrt(periods - 1) if trial_spread is None else trial_spread
    )
    lean, tails = float(skew(returns)), float(kurtosis(returns, fisher=False))
    variance = max(1.0 - lean * sharpe + (tails - 1.0) / 4.0 * sharpe**2, 1e-12)
    probability = float(norm.cdf((sharpe - luck) * math.sqrt(periods - 1) / math.sqrt(variance)))
    return DeflatedSharpe(sharpe=sharpe, luck=luck, probability=probability, periods=periods, trials=trials)


def expected_greatest(trials: int) -> float:
    """Expected greatest of `trials` independent standard normal draws, approximately."""
    if trials <= 1:
        return 0.0
    gamma = float(np.euler_gamma)
    return float(
        (1.0 - gamma) * norm.ppf(1.0 - 1.0 / trials) + gamma * norm.ppf(1.0 - 1.0 / (trials * math.e))
    )


def probability_of_overfitting(performance: F64, *, parts: int = 10) -> float:
    """Probability that the trial chosen in one half of time is below the median in the other (PBO).

    Args:
        performance: Score of each trial in each period, greater is better, shape (periods, trials).
        parts: Stretches of time, even; every choice of half of them selects once.

    Raises:
        SettingsError: Fewer than 2 trials, or fewer periods than parts, or an odd count of parts.
    """
    periods, trials = performance.shape
    if trials < 2:
        raise SettingsError(f"probability of overfitting: {trials} trial is too few; give at least 2")
    if parts % 2 or not 2 <= parts <= min(periods, 20):
        raise SettingsError(
            f"parts {parts} is out of range; use an even number up to 20 and {periods} periods"
        )
    chunks = np.array_split(performance, parts)
    sums = np.array([chunk.sum(axis=0) for chunk in chunks])
    counts = np.array([chunk.shape[0] for chunk in chunks], dtype=np.float64)
    below = []
    for chosen in itertools.combinations(range(parts), parts // 2):
        mask = np.zeros(parts, dtype=bool)
        mask[list(chosen)] = True
        inside = sums[mask].sum(axis=0) / counts[mask].sum()
        outside = sums[~mask].sum(axis=0) / counts[~mask].sum()
        rank = rankdata(outside)[int(np.argmax(inside))] / (trials + 1.0)
        below.append(rank <= 0.5)
    return float(np.mean(below))


__all__ = ["DeflatedSharpe", "deflated_sharpe", "expected_greatest", "probability_of_overfitting"]
