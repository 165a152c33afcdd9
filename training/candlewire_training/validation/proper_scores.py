"""Scores that honesty minimises: log loss, Brier, Winkler."""

import numpy as np

from candlewire_training.arrays import F64, I32

SMALLEST_PROBABILITY = 1e-6


def log_loss(probability: F64, up: I32) -> F64:
    """Negative log likelihood of each row, nats."""
    p = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    result: F64 = -np.where(up == 1, np.log(p), np.log1p(-p))
    return result


def brier(probability: F64, up: I32) -> F64:
    """Squared error of each row."""
    result: F64 = (probability - up) ** 2
    return result


def winkler(low: F64, high: F64, realised: F64, *, target_coverage: float) -> F64:
    """Winkler interval score of each row: width, plus 2/alpha times how far outside the truth fell.

    Source: Winkler (1972), A Decision-Theoretic Approach to Interval Estimation.
    """
    penalty = 2.0 / (1.0 - target_coverage)
    result: F64 = (high - low) + penalty * (
        np.maximum(low - realised, 0.0) + np.maximum(realised - high, 0.0)
    )
    return result


__all__ = ["brier", "log_loss", "winkler"]
