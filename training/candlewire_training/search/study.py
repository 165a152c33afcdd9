"""Optuna over the settings of the trees, judged by the walk forward on rows before the test part.

The study lives in a journal file: the same call goes on where an earlier one stopped. Trials that look worse
than the median of the others after a fold are pruned, and still count.

Several trials may run beside one another, in rounds: all of a round are drawn before one of them is known, so
what a search finds hangs on their number, but not on which of them is done first.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from candlewire_training.arrays import I64
from candlewire_training.data.samples import Samples
from candlewire_training.errors import SettingsError
from candlewire_training.search.trial import Trial, TrialScore, score_trial
from candlewire_training.settings import TrainingSettings
from candlewire_training.validation.folds import Fold

# Where a study keeps what its trials have in common, and the settings in it.
QUESTION = "question"
ASKED = (
    "members",
    "trees",
    "depth",
    "learning_rate",
    "early_stopping",
    "seed",
    "select_features",
    "select_by",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a search found.

    Attributes:
        settings: The best settings, with the count of trials that the deflated Sharpe ratio needs.
        log_loss: Of the best trial, out of fold.
        trials: Trials of the study, pruned and failed ones included, those of earlier calls too.
        pruned: How many were pruned.
    """

    settings: TrainingSettings
    log_loss: float
    trials: int
    pruned: int


Scoring = Callable[[Sequence[Trial]], list[TrialScore]]


class TrialsBeside(Protocol):
    """What runs the trials of a round beside one another."""

    @property
    def trials_at_once(self) -> int:
        """Trials of a round."""

    def scoring_trials(
        self, samples: Samples, folds: tuple[Fold, ...], folder: Path
    ) -> AbstractContextManager[Scoring]:
        """A way to score trials over these rows, which may lie in `folder` meanwhile."""


def search_settings(
    samples: Samples,
    folds: tuple[Fold, ...],
    settings: TrainingSettings,
    *,
    trials: int,
    journal: Path,
    choose: Callable[[Samples], I64] | None = None,
    beside: TrialsBeside | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Search:
    """Runs trials until the study holds `trials` of them.

    Args:
        samples: Rows before the test part.
        folds: Of the walk forward.
        settings: What is not searched; its trees, depth and learning rate are the first trial.
        trials: Trials of the study in all.
        journal: File of the study.
        choose: Chooses feature columns from the train rows of each fold; None takes all.
        beside: What runs trials beside one another; None runs them here, one after the other.
        advance: Called after each trial.

    Raises:
        SettingsError: `trials` is out of range, or the journal cannot be written, or was begun with other
            rows, folds or settings.
    """
    if not 1 <= trials <= 100_000:
        raise SettingsError(f"search {trials} is out of range; use 1 to 100000 trials")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(journal)))
        study = optuna.create_study(
            study_name=settings.model,
            storage=storage,
            load_if_exists=True,
            # The seed moves with the trials that are there, else a resumed study would draw them again.
            sampler=optuna.samplers.TPESampler(seed=settings.seed),
            # Trials prune themselves, see `falls_behind`.
            pruner=optuna.pruners.NopPruner(),
        )
    except OSError as error:
        raise SettingsError(f"search: the journal {journal} cannot be written ({error.strerror})") from error
    asked = _question(samples, folds, settings)
    if study.trials and study.user_attrs.get(QUESTION) != asked:
        raise SettingsError(
            f"search: the journal {journal} was begun with other bars or other settings, so its trials "
            "cannot be compared with new ones; remove it, or give another --model"
        )
    study.set_user_attr(QUESTION, asked)
    # The choice is that of the settings given, the same in every trial.
    columns = tuple(None if choose is None else choose(samples.take(fold.train)) for fold in folds)
    there = len(study.trials)
    # Trials of a round are drawn before any of them is known: what is still open counts as a bad one.
    several = beside is not None and beside.trials_at_once > 1
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + there, constant_liar=several)
    if there == 0:
        study.enqueue_trial(
            {"trees": settings.trees, "depth": settings.depth, "learning_rate": settings.learning_rate},
            skip_if_exists=True,
        )

    def drawn(trial: optuna.Trial, others: tuple[tuple[float, ...], ...]) -> Trial:
        tried = _tried(trial.suggest_int, trial.suggest_float, settings)
        return Trial(
            members=tried.member_settings,
            columns=columns,
            early_stopping=settings.early_stopping,
            scoring=settings.scoring,
            seed=settings.seed,
            threads=settings.threads,
            others=others,
        )

    left = trials - len([trial for trial in study.trials if trial.state.is_finished()])
    inline = nullcontext(lambda works: [score_trial(samples, folds, work) for work in works])
    with beside.scoring_trials(samples, folds, journal.parent) if beside and left > 0 else inline as score:
        while left > 0:
            others = _known(study)
            asked_now = [study.ask() for _ in range(min(left, beside.trials_at_once if beside else 1))]
            works = [drawn(trial, others) for trial in asked_now]
            try:
                scores = score(works)
            except Exception:
                for trial in asked_now:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                raise
            for trial, said in zip(asked_now, scores, strict=True):
                _tell(study, trial, said)
                advance()
            left -= len(asked_now)
    best = study.best_trial
    return Search(
        settings=replace(settings, **best.params, trials=max(len(study.trials), 1)),
        log_loss=float(study.best_value),
        trials=len(study.trials),
        pruned=len([t for t in study.trials if t.state == optuna.trial.TrialState.PRUNED]),
    )


def _known(study: optuna.Study) -> tuple[tuple[float, ...], ...]:
    """Log losses after each fold, of every trial that has any."""
    kept = (each.intermediate_values for each in study.get_trials(deepcopy=False))
    return tuple(tuple(values[fold] for fold in sorted(values)) for values in kept if values)


def _tell(study: optuna.Study, trial: optuna.Trial, said: TrialScore) -> None:
    for fold, value in enumerate(said.values):
        trial.report(value, fold)
    if said.pruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(trial, said.values[-1])


def _question(samples: Samples, folds: tuple[Fold, ...], settings: TrainingSettings) -> str:
    """A digest of everything that a trial's score hangs on, beside what the trial tries."""
    digest = hashlib.sha256()
    for values in (samples.X, samples.target, samples.fit_weight, samples.decision_time_ns):
        digest.update(np.ascontiguousarray(values).tobytes())
    for fold in folds:
        digest.update(fold.train.tobytes() + fold.test.tobytes())
    asked = {name: getattr(settings, name) for name in ASKED}
    digest.update(json.dumps(asked, sort_keys=True).encode())
    return digest.hexdigest()


def _tried(
    whole: Callable[..., int], real: Callable[..., float], settings: TrainingSettings
) -> TrainingSettings:
    return replace(
        settings,
        trees=whole("trees", min(20, settings.trees), max(600, settings.trees)),
        depth=whole("depth", min(2, settings.depth), max(6, settings.depth)),
        learning_rate=real(
            "learning_rate", min(0.005, settings.learning_rate), max(0.2, settings.learning_rate), log=True
        ),
    )


__all__ = ["Search", "TrialsBeside", "search_settings"]
