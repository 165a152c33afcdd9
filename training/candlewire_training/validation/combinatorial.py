"""Combinatorial purged cross-validation of one run: how much of its result is luck.

Its folds train on what came after their test rows too, so it is a diagnosis, never a track record, and it
chooses nothing. Source: Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 12.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F64, I64
from candlewire_training.data.samples import Samples
from candlewire_training.errors import TooFewBarsError
from candlewire_training.validation.block_bootstrap import time_blocks
from candlewire_training.validation.folds import Fold, RowTimes, combinatorial_folds, combinatorial_paths
from candlewire_training.validation.proper_scores import log_loss
from candlewire_training.validation.selection_bias import deflated_sharpe, probability_of_overfitting
from candlewire_training.validation.walk_forward import OutOfFold, directional_returns

# Stretches of time that the probability of overfitting is counted over.
PARTS = 10
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinatorialDiagnosis:
    """What every choice of test groups says together.

    Attributes:
        groups: Stretches of time.
        test_groups: How many of them each fold tests.
        folds: Fits of every member.
        gains: Log loss of the majority baseline minus the ensemble's, nats a row, of each path through all
            groups.
        sharpes: Sharpe ratio per horizon before costs of each path.
        candidates: What the overfitting is counted over: the ensemble, its members, the baselines.
        overfitting: Probability that the candidate which looks best in one half of time is below the median
            in the other (PBO).
    """

    groups: int
    test_groups: int
    folds: int
    gains: tuple[float, ...]
    sharpes: tuple[float, ...]
    candidates: tuple[str, ...]
    overfitting: float

    @property
    def gain_quantiles(self) -> tuple[float, ...]:
        """Least, lower quartile, median, upper quartile and greatest of the gains."""
        return tuple(float(value) for value in np.quantile(self.gains, QUANTILES))

    @property
    def sharpe_quantiles(self) -> tuple[float, ...]:
        """The same of the Sharpe ratios."""
        return tuple(float(value) for value in np.quantile(self.sharpes, QUANTILES))


def diagnose(
    samples: Samples,
    predict: Callable[[tuple[Fold, ...]], OutOfFold],
    *,
    groups: int,
    test_groups: int,
    names: tuple[str, ...],
    horizon: int,
    embargo_bars: int = 0,
) -> CombinatorialDiagnosis:
    """Fits on every choice of test groups, and judges the paths through them.

    Args:
        samples: Rows before the test part.
        predict: Out-of-fold predictions of folds of these rows, pooled by a rule that needs no other folds.
        groups: Stretches of time.
        test_groups: How many of them each fold tests.
        names: Of the members.
        horizon: Bars ahead that the label looks.
        embargo_bars: Decision times left out at each boundary.

    Raises:
        SettingsError: The groups do not fit.
        TooFewBarsError: A group is too short, or a fold lacks a class.
    """
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    chosen = combinatorial_folds(times, groups=groups, test_groups=test_groups, embargo_bars=embargo_bars)
    folds = tuple(fold for _, fold in chosen)
    if min(fold.train.size for fold in folds) == 0:
        raise TooFewBarsError(
            f"too few bars: the purge leaves nothing to train on with {groups} groups; use fewer groups"
        )
    oof = predict(folds)
    group = _groups(samples.decision_time_ns, groups)
    gains, sharpes = [], []
    for path in combinatorial_paths(groups, test_groups):
        mask = np.zeros(oof.rows.size, dtype=bool)
        for number, part in path:
            mask |= (oof.fold == number) & (group[oof.rows] == part)
        order = np.flatnonzero(mask)[np.argsort(oof.rows[mask], kind="stable")]
        rows, up = samples.take(oof.rows[order]), oof.pooled[order, -1]
        base = oof.baselines["majority"][order]
        gains.append(float((log_loss(base, rows.up) - log_loss(up, rows.up)).mean()))
        returns = directional_returns(rows, up - base, horizon=horizon)
        sharpes.append(deflated_sharpe(returns, trials=1).sharpe)
    candidates, scores = _candidates(samples, oof, names, horizon=horizon)
    return CombinatorialDiagnosis(
        groups=groups,
        test_groups=test_groups,
        folds=len(folds),
        gains=tuple(gains),
        sharpes=tuple(sharpes),
        candidates=candidates,
        overfitting=probability_of_overfitting(scores, parts=min(PARTS, scores.shape[0] // 2 * 2)),
    )


def _groups(decision_time_ns: I64, groups: int) -> I64:
    """Group of each row, as `combinatorial_folds` makes them."""
    times = np.unique(decision_time_ns)
    result: I64 = np.searchsorted(times, decision_time_ns).astype(np.int64) * groups // times.size
    return result


def _candidates(
    samples: Samples, oof: OutOfFold, names: tuple[str, ...], *, horizon: int
) -> tuple[tuple[str, ...], F64]:
    """Names and scores, shape (blocks, candidates), over the mean of what the folds say of a row."""
    said = {name: oof.baselines[name] for name in oof.baselines}
    if len(names) > 1:
        said = {name: oof.members[:, number, -1] for number, name in enumerate(names)} | said
    said = {"ensemble" if len(names) > 1 else names[0]: oof.pooled[:, -1]} | said
    rows, row = np.unique(oof.rows, return_inverse=True)
    up = samples.up[oof.rows]
    _, block = np.unique(time_blocks(samples.decision_time_ns[rows], horizon=horizon), return_inverse=True)
    counts = np.bincount(block[row])
    each = [
        -np.bincount(block[row], weights=log_loss(probabilities, up)) / counts
        for probabilities in said.values()
    ]
    return tuple(said), np.stack(each, axis=1)


__all__ = ["CombinatorialDiagnosis", "diagnose"]
