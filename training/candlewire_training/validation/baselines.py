"""Baselines: what any model must beat before it is worth a microsecond.

Each is a probability of up for every row, fitted on train rows only, so that proper scores compare like with
like.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler

from candlewire_training.arrays import F64, I32
from candlewire_training.data.samples import Samples

# One coefficient a feature is known well enough from so many rows, evenly spaced.
MOST_LOGISTIC_ROWS = 200_000


def baseline_probabilities(train: Samples, test: Samples, *, seed: int) -> dict[str, F64]:
    """P(up) of test rows, by baseline.

    - `majority`: the share of up in train.
    - `persistence`: the share of up in train after the past horizon rose, or did not.
    - `momentum`: the same by the sign of the past 20 bars.
    - `logistic`: logistic regression on the same features.
    """
    share = float(train.up.mean())
    return {
        "majority": np.full(len(test), share),
        "persistence": _by_sign(train.past_return, train.up, test.past_return),
        "momentum": _by_sign(train.momentum, train.up, test.momentum),
        "logistic": _logistic(train, test, seed=seed),
    }


def _by_sign(train_sign: F64, train_up: I32, test_sign: F64) -> F64:
    # One imaginary row of each kind keeps an unseen sign from certainty.
    rates = [
        (float(train_up[mask].sum()) + 1.0) / (float(mask.sum()) + 2.0)
        for mask in (train_sign > 0, train_sign <= 0)
    ]
    return np.where(test_sign > 0, rates[0], rates[1])


def _logistic(train: Samples, test: Samples, *, seed: int) -> F64:
    if train.up.min() == train.up.max():
        return np.full(len(test), float(train.up.mean()))
    model = make_pipeline(
        RobustScaler(), LogisticRegression(C=0.1, solver="newton-cholesky", max_iter=100, random_state=seed)
    )
    thinned = slice(None, None, max(1, -(-len(train) // MOST_LOGISTIC_ROWS)))
    X = train.X[thinned]
    limits = np.quantile(X, (0.001, 0.999), axis=0)
    model.fit(np.clip(X, *limits).astype(np.float64), train.up[thinned])
    probabilities: F64 = model.predict_proba(np.clip(test.X, *limits).astype(np.float64))[:, 1]
    return probabilities


__all__ = ["baseline_probabilities"]
