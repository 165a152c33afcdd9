"""A search is resumable, and none of its trials is forgotten."""

from pathlib import Path

import pytest
from candlewire_training.errors import SettingsError
from candlewire_training.pipeline import TrainedModel
from candlewire_training.search.study import search_settings
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


def test_a_search_without_folds_is_refused() -> None:
    with pytest.raises(SettingsError, match="give folds"):
        TrainingSettings(model="m", search=3)


def test_no_trials_are_refused(trained: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="search 0"):
        search_settings(trained.samples, (), SETTINGS, trials=0, journal=tmp_path / "j")
