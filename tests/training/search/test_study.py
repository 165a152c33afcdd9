"""A search is resumable, and none of its trials is forgotten."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from candlewire_training.data.samples import Samples
from candlewire_training.errors import SettingsError, TrainingError
from candlewire_training.groups.fold_fan_out import FoldFanOut
from candlewire_training.pipeline import TrainedModel
from candlewire_training.search import trial as trial_module
from candlewire_training.search.study import search_settings
from candlewire_training.search.trial import FIRST_TRIALS, falls_behind
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
    # The second fold is harder for everyone.
    others = ((0.60, 0.70),) * FIRST_TRIALS
    assert not falls_behind((0.59,), others)
    # Better than the others on the first fold, but behind after the second.
    assert falls_behind((0.59, 0.75), others)
    # Those that were given up before say nothing of later folds.
    assert not falls_behind((0.59, 0.75), (*others[1:], (0.60,)))
    assert not falls_behind((9.0,), ())


def test_pruned_trials_are_counted(
    trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = trained.samples.take(trained.split.train)
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    asked: list[tuple[int, int]] = []

    def behind(own: tuple[float, ...], others: tuple[tuple[float, ...], ...]) -> bool:
        asked.append((len(others), len(own) - 1))
        return len(others) > 0

    monkeypatch.setattr(trial_module, "falls_behind", behind)
    folds = walk_forward_folds(times, folds=3)
    found = search_settings(samples, folds, SETTINGS, trials=3, journal=tmp_path / "journal")
    assert (found.trials, found.pruned, found.settings.trials) == (3, 2, 3)
    # The last fold prunes nobody: the trial is done.
    assert asked == [(0, 0), (0, 1), (1, 0), (2, 0)]


def test_trials_beside_one_another_find_the_same_every_time(trained: TrainedModel, tmp_path: Path) -> None:
    samples = trained.samples.take(trained.split.train)
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    folds = walk_forward_folds(times, folds=2)
    alone = search_settings(samples, folds, SETTINGS, trials=1, journal=tmp_path / "alone" / "journal")
    found = [
        search_settings(
            samples,
            folds,
            SETTINGS,
            trials=5,
            journal=tmp_path / str(number) / "journal",
            beside=FoldFanOut(jobs=2, ray=None),
        )
        for number in range(2)
    ]
    assert found[0] == found[1]
    assert found[0].trials == 5
    # The first trial is that of the settings given, wherever it runs.
    assert found[0].log_loss <= alone.log_loss
    assert [path.name for path in (tmp_path / "0").iterdir()] == ["journal"], "the rows are taken away again"


def test_a_trial_that_fails_in_a_worker_ends_the_search_by_name(
    trained: TrainedModel, tmp_path: Path
) -> None:
    samples = trained.samples.take(trained.split.train)
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    folds = walk_forward_folds(times, folds=2)
    upwards = replace(samples, target=np.ones_like(samples.target))
    with pytest.raises(TrainingError, match=r"a trial of the search: fold .*"):
        search_settings(
            upwards,
            folds,
            SETTINGS,
            trials=2,
            journal=tmp_path / "journal",
            beside=FoldFanOut(jobs=2, ray=None),
        )


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
