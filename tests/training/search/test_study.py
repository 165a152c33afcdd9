"""A search is resumable, and none of its trials is forgotten."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from candlewire_training.data.samples import Samples
from candlewire_training.errors import SettingsError
from candlewire_training.pipeline import TrainedModel
from candlewire_training.search import study as study_module
from candlewire_training.search.study import FIRST_TRIALS, falls_behind, search_settings
from candlewire_training.settings import TrainingSettings
from candlewire_training.validation.folds import RowTimes, walk_forward_folds

SETTINGS = TrainingSettings(model="m", trees=20, folds=2)


def test_a_study_goes_on_and_counts_every_trial(trained: TrainedModel, tmp_path: Path) -> None:
    samples = trained.samples.take(trained.split.train)
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    folds = walk_forward_folds(times, folds=2)
    journal = tmp_path / "study" / "journal.log"
    calls: list[int] = []
    first = search_settings(
        samples, folds, SETTINGS, trials=3, journal=journal, advance=lambda: calls.append(1)
    )
    assert (first.trials, len(calls), first.settings.trials) == (3, 3, 3)
    second = search_settings(
        samples, folds, SETTINGS, trials=4, journal=journal, advance=lambda: calls.append(1)
    )
    assert (second.trials, len(calls)) == (4, 4)
    assert second.log_loss <= first.log_loss
    again = search_settings(samples, folds, SETTINGS, trials=4, journal=journal)
    assert again == second


def test_a_study_of_other_rows_or_settings_is_not_gone_on_with(trained: TrainedModel, tmp_path: Path) -> None:
    samples = trained.samples.take(trained.split.train)
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    folds = walk_forward_folds(times, folds=2)
    journal = tmp_path / "journal"
    first = search_settings(samples, folds, SETTINGS, trials=2, journal=journal)
    others = (
        (replace(samples, target=1 - samples.target), folds, SETTINGS),
        (samples, walk_forward_folds(times, folds=3), SETTINGS),
        (samples, folds, replace(SETTINGS, members=("lightgbm",))),
    )
    for rows, other_folds, settings in others:
        with pytest.raises(SettingsError, match="was begun with other bars or other settings"):
            search_settings(rows, other_folds, settings, trials=3, journal=journal)
    # What was refused changed nothing.
    assert search_settings(samples, folds, SETTINGS, trials=2, journal=journal) == first


def test_a_trial_is_held_against_the_same_folds_of_the_others() -> None:
    study = optuna.create_study()
    # The second fold is harder for everyone.
    for _ in range(FIRST_TRIALS):
        trial = study.ask()
        for fold, value in enumerate((0.60, 0.70)):
            trial.report(value, fold)
        study.tell(trial, 0.70)
    worse = study.ask()
    worse.report(0.59, 0)
    assert not falls_behind(study, worse, 0)
    # Better than the others on the first fold, but behind after the second.
    worse.report(0.75, 1)
    assert falls_behind(study, worse, 1)
    few = optuna.create_study()
    first = few.ask()
    first.report(9.0, 0)
    assert not falls_behind(few, first, 0)


def test_pruned_trials_are_counted(
    trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = trained.samples.take(trained.split.train)
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    asked: list[tuple[int, int]] = []

    def behind(_: optuna.Study, trial: optuna.Trial, fold: int) -> bool:
        asked.append((trial.number, fold))
        return trial.number > 0

    monkeypatch.setattr(study_module, "falls_behind", behind)
    folds = walk_forward_folds(times, folds=3)
    found = search_settings(samples, folds, SETTINGS, trials=3, journal=tmp_path / "journal")
    assert (found.trials, found.pruned, found.settings.trials) == (3, 2, 3)
    # The last fold prunes nobody: the trial is done.
    assert asked == [(0, 0), (0, 1), (1, 0), (2, 0)]


def test_a_search_without_folds_is_refused() -> None:
    with pytest.raises(SettingsError, match="give folds"):
        TrainingSettings(model="m", search=3)


def test_no_trials_are_refused(trained: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="search 0"):
        search_settings(trained.samples, (), SETTINGS, trials=0, journal=tmp_path / "j")


def test_trials_read_the_features_chosen_in_each_fold(trained: TrainedModel, tmp_path: Path) -> None:
    samples = trained.samples.take(trained.split.train)
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    folds = walk_forward_folds(times, folds=2)
    asked: list[int] = []

    def choose(train: Samples) -> np.ndarray:
        asked.append(len(train))
        return np.array([0, 1])

    scores = [
        search_settings(
            replace(samples, X=X), folds, SETTINGS, trials=2, journal=tmp_path / str(number), choose=choose
        ).log_loss
        # Nothing beyond the first two columns reaches a trial.
        for number, X in enumerate((samples.X, np.where(np.arange(samples.X.shape[1]) < 2, samples.X, 0)))
    ]
    assert scores[0] == scores[1]
    # Once a fold in each search, whatever the trials.
    assert asked == [fold.train.size for fold in folds] * 2
