"""Optuna over the settings of the trees, judged by the walk forward on rows before the test part.

The study lives in a journal file: the same call goes on where an earlier one stopped. Trials that look worse
than the median of the others after a fold are pruned, and still count.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from candlewire_training.arrays import I64
from candlewire_training.data.samples import Samples
from candlewire_training.errors import SettingsError
from candlewire_training.settings import TrainingSettings
from candlewire_training.validation.folds import Fold
from candlewire_training.validation.member_scoring import MemberScoring
from candlewire_training.validation.proper_scores import log_loss
from candlewire_training.validation.walk_forward import FitRules, out_of_fold

# Trials that are never pruned, and that others are held against.
FIRST_TRIALS = 5
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


def search_settings(
    samples: Samples,
    folds: tuple[Fold, ...],
    settings: TrainingSettings,
    *,
    trials: int,
    journal: Path,
    choose: Callable[[Samples], I64] | None = None,
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
            # Optuna's median pruner holds a trial's best fold against the others' later ones, and folds
            # differ more than settings do: `falls_behind` compares the same folds.
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
    columns = [None if choose is None else choose(samples.take(fold.train)) for fold in folds]
    there = len(study.trials)
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + there)
    if there == 0:
        study.enqueue_trial(
            {"trees": settings.trees, "depth": settings.depth, "learning_rate": settings.learning_rate},
            skip_if_exists=True,
        )

    scoring = MemberScoring(settings.scoring, threads=settings.threads)

    def objective(trial: optuna.Trial) -> float:
        tried = _tried(trial.suggest_int, trial.suggest_float, settings)
        total, rows = 0.0, 0
        for number, fold in enumerate(folds):
            kept = columns[number]
            oof = out_of_fold(
                samples,
                (fold,),
                tried.member_settings,
                ensemble="vote",
                rules=FitRules(
                    choose=None if kept is None else partial(_given, kept),
                    early_stopping=settings.early_stopping,
                ),
                scoring=scoring,
                seed=settings.seed,
            )
            losses = log_loss(oof.pooled[:, -1], samples.up[oof.rows])
            total, rows = total + float(losses.sum()), rows + losses.size
            trial.report(total / rows, number)
            if number + 1 < len(folds) and falls_behind(study, trial, number):
                raise optuna.TrialPruned
        return total / rows

    def after(*_: object) -> None:
        advance()

    left = trials - len([trial for trial in study.trials if trial.state.is_finished()])
    if left > 0:
        study.optimize(objective, n_trials=left, callbacks=[after])
    best = study.best_trial
    return Search(
        settings=replace(settings, **best.params, trials=max(len(study.trials), 1)),
        log_loss=float(study.best_value),
        trials=len(study.trials),
        pruned=len([t for t in study.trials if t.state == optuna.trial.TrialState.PRUNED]),
    )


def falls_behind(study: optuna.Study, trial: optuna.Trial, fold: int) -> bool:
    """Whether the trial is worse than the median of the others over the same folds; needs a few of them."""
    values = {
        each.number: each.intermediate_values[fold]
        for each in study.get_trials(deepcopy=False)
        if fold in each.intermediate_values
    }
    own = values.pop(trial.number)
    return len(values) >= FIRST_TRIALS and own > float(np.median(list(values.values())))


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


def _given(columns: I64, _: Samples) -> I64:
    return columns


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


__all__ = ["FIRST_TRIALS", "Search", "falls_behind", "search_settings"]
