"""One trial of a search: a walk forward fold by fold, given up where it falls behind."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from candlewire_training.arrays import I64
from candlewire_training.data.samples import Samples
from candlewire_training.members.contract import MemberSettings
from candlewire_training.validation.folds import Fold
from candlewire_training.validation.member_scoring import MemberScoring
from candlewire_training.validation.proper_scores import log_loss
from candlewire_training.validation.walk_forward import FitRules, out_of_fold

# Trials that are never pruned, and that others are held against.
FIRST_TRIALS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a trial tries, and what it is held against. Small, and pickles.

    Attributes:
        members: What to fit.
        columns: Feature columns of each fold; None takes all.
        early_stopping: See `TrainingSettings`.
        scoring: What scores the members, see `MemberScoring`.
        seed: Of the baselines.
        threads: Of the scoring kernel.
        others: Log losses of earlier trials after each of their folds.
    """

    members: tuple[MemberSettings, ...]
    columns: tuple[I64 | None, ...]
    early_stopping: float
    scoring: str
    seed: int
    threads: int
    others: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialScore:
    """What came of a trial.

    Attributes:
        values: Log loss a row over the folds so far, after each fold.
        pruned: Whether it was given up before its last fold.
    """

    values: tuple[float, ...]
    pruned: bool


def score_trial(samples: Samples, folds: tuple[Fold, ...], trial: Trial) -> TrialScore:
    """Walks a trial forward.

    Args:
        samples: All rows.
        folds: In order of time.
        trial: What is tried.

    Raises:
        TooFewBarsError: A fold's train rows lack a class.
    """
    scoring = MemberScoring(trial.scoring, threads=trial.threads)
    total, rows = 0.0, 0
    values: list[float] = []
    for number, (fold, kept) in enumerate(zip(folds, trial.columns, strict=True)):
        oof = out_of_fold(
            samples,
            (fold,),
            trial.members,
            ensemble="vote",
            rules=FitRules(
                choose=None if kept is None else partial(_given, kept), early_stopping=trial.early_stopping
            ),
            scoring=scoring,
            seed=trial.seed,
        )
        losses = log_loss(oof.pooled[:, -1], samples.up[oof.rows])
        total, rows = total + float(losses.sum()), rows + losses.size
        values.append(total / rows)
        if number + 1 < len(folds) and falls_behind(tuple(values), trial.others):
            return TrialScore(values=tuple(values), pruned=True)
    return TrialScore(values=tuple(values), pruned=False)


def falls_behind(own: tuple[float, ...], others: tuple[tuple[float, ...], ...]) -> bool:
    """Whether a trial is worse than the median of the others after as many folds; needs a few of them.

    Optuna's median pruner holds a trial's best fold against the others' later ones, and folds differ more
    than settings do.

    Args:
        own: Its log losses after each fold so far.
        others: Those of other trials, each after all the folds that it has seen.
    """
    folds = len(own)
    there = [values[folds - 1] for values in others if len(values) >= folds]
    return len(there) >= FIRST_TRIALS and own[-1] > float(np.median(there))


def _given(columns: I64, _: Samples) -> I64:
    return columns


__all__ = ["FIRST_TRIALS", "Trial", "TrialScore", "falls_behind", "score_trial"]
