"""Boosting stops on the newest rows and is fitted again on all of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from candlewire_training.errors import TooFewBarsError
from candlewire_training.export.bundle import write_bundle
from candlewire_training.members.boosted_trees import BoostedTrees
from candlewire_training.members.contract import MemberSettings
from candlewire_training.members.early_stopping import fit_member, fit_rows, stopping_rows
from candlewire_training.pipeline import TrainedModel, train_model
from candlewire_training.progress import StepProgress

BOOSTED = ("xgboost", "lightgbm", "gradient_boosting")


def test_a_row_is_learnt_from_only_when_its_label_was_known(trained: TrainedModel) -> None:
    samples = trained.samples
    stopping = stopping_rows(samples, 0.2)
    assert stopping is not None
    assert stopping.validation is not None
    newer = len(stopping.validation.target)
    assert 0.15 < newer / len(samples) <= 0.21
    start = np.sort(samples.decision_time_ns)[-newer]
    assert len(stopping.target) == int((samples.known_from_ns <= start).sum())
    assert len(stopping.target) < len(samples) - newer, "labels that settle later are left out"
    assert stopping_rows(samples, 0.0) is None


@pytest.mark.parametrize("kind", BOOSTED)
def test_noise_stops_early_and_all_rows_are_fitted(kind: str, trained: TrainedModel) -> None:
    samples = trained.samples
    order = np.random.default_rng(5).permutation(len(samples))
    noise = replace(samples, target=samples.target[order])
    settings = MemberSettings(kind=kind, trees=200, depth=4, learning_rate=0.2)
    rows = fit_rows(noise)
    member = fit_member(settings, rows, stopping_rows(noise, 0.2))
    assert isinstance(member, BoostedTrees)
    assert member.rounds < 60
    alone = fit_member(replace(settings, trees=member.rounds), rows, None)
    assert np.array_equal(member.probabilities(samples.X), alone.probabilities(samples.X))


def test_a_forest_has_nothing_to_stop(trained: TrainedModel) -> None:
    samples = trained.samples
    settings = MemberSettings(kind="random_forest", trees=20)
    stopped = fit_member(settings, fit_rows(samples), stopping_rows(samples, 0.2))
    whole = fit_member(settings, fit_rows(samples), None)
    assert np.array_equal(stopped.probabilities(samples.X), whole.probabilities(samples.X))


def test_a_part_without_a_class_is_refused(trained: TrainedModel) -> None:
    samples = trained.samples
    late = samples.decision_time_ns >= np.quantile(samples.decision_time_ns, 0.7)
    one_sided = replace(samples, target=np.where(late, 1, samples.target).astype(np.int32))
    with pytest.raises(TooFewBarsError, match=r"early-stopping 0\.2.*use another share, or 0"):
        stopping_rows(one_sided, 0.2)


def test_the_bundle_tells_rounds_and_calibrator(trained: TrainedModel, tmp_path: Path) -> None:
    settings = replace(
        trained.settings,
        members=("xgboost", "lightgbm"),
        trees=80,
        learning_rate=0.2,
        folds=3,
        early_stopping=0.2,
        calibrator="platt",
    )
    quiet = StepProgress(quiet=True)
    found = train_model(trained.bars, settings, quiet)
    bundle = write_bundle(found, tmp_path / "store", quiet)
    training = bundle.manifest["training"]
    assert training["calibration"]["kind"] == "platt"
    assert set(training["calibration"]["candidates"]) == {"platt"}
    assert training["settings"]["early_stopping"] == 0.2
    assert all(member.rounds < 80 for member in found.model.members if isinstance(member, BoostedTrees))
    card = (bundle.folder / "card.md").read_text(encoding="utf-8")
    assert "rounds kept: " in card
    assert "Calibrator: platt" in card
