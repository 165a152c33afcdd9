"""What is fitted sees its own rows alone: scalers those of their fold, weights those before calibration."""

from dataclasses import replace

import numpy as np
import pytest
from candlewire_training.ensemble.profile import OutOfFoldRows
from candlewire_training.members.contract import Member, MemberSettings
from candlewire_training.members.logistic_member import LogisticMember
from candlewire_training.pipeline import TrainedModel
from candlewire_training.validation import walk_forward
from candlewire_training.validation.folds import Fold, RowTimes, walk_forward_folds
from candlewire_training.validation.walk_forward import OutOfFold, judge, out_of_fold

MEMBERS = (MemberSettings(kind="logistic"), MemberSettings(kind="xgboost", trees=25))


@pytest.fixture(scope="module")
def folds(trained: TrainedModel) -> tuple[Fold, ...]:
    samples = trained.samples
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    return walk_forward_folds(times, folds=3, embargo_bars=5)


@pytest.fixture(scope="module")
def oof(trained: TrainedModel, folds: tuple[Fold, ...]) -> OutOfFold:
    return out_of_fold(trained.samples, folds, MEMBERS)


def test_each_fold_is_normalised_by_its_own_train_rows(
    trained: TrainedModel, folds: tuple[Fold, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[Member] = []
    fit_member = walk_forward.fit_member

    def kept(*arguments: object, **named: object) -> Member:
        member: Member = fit_member(*arguments, **named)  # type: ignore[arg-type]
        fitted.append(member)
        return member

    monkeypatch.setattr(walk_forward, "fit_member", kept)
    out_of_fold(trained.samples, folds, MEMBERS[:1])
    assert len(fitted) == len(folds)
    for member, fold in zip(fitted, folds, strict=True):
        assert isinstance(member, LogisticMember)
        train = trained.samples.X[fold.train].astype(np.float64)
        assert np.array_equal(member.mean_, train.mean(axis=0).astype(np.float32))
        assert np.array_equal(member.spread_, train.std(axis=0).astype(np.float32))
        assert not np.array_equal(member.mean_, trained.samples.X.mean(axis=0, dtype=np.float64))


def test_rows_that_a_fold_does_not_train_on_move_none_of_its_predictions(
    trained: TrainedModel, folds: tuple[Fold, ...], oof: OutOfFold
) -> None:
    # Rows from the middle of the first test stretch on become a thousand times as large.
    middle = np.quantile(trained.samples.decision_time_ns[folds[0].test], 0.5)
    later = trained.samples.decision_time_ns > middle
    X = trained.samples.X.copy()
    X[later] *= 1_000.0
    changed = out_of_fold(replace(trained.samples, X=X), folds, MEMBERS)
    same = (oof.fold == 0) & ~later[oof.rows]
    assert same.sum() > 50
    assert np.array_equal(oof.members[same], changed.members[same])
    for name, up in oof.baselines.items():
        assert np.array_equal(up[same], changed.baselines[name][same]), name
    # The later folds train on such rows: what they say of their own does change.
    assert not np.array_equal(oof.members[oof.fold == 2], changed.members[oof.fold == 2])


def test_weights_see_no_label_that_calibration_is_judged_by(
    trained: TrainedModel, folds: tuple[Fold, ...], oof: OutOfFold
) -> None:
    samples = trained.samples
    begins = int(samples.decision_time_ns[folds[2].test].min())
    late = samples.known_from_ns > begins
    flipped = replace(samples, target=np.where(late, 1 - samples.target, samples.target))

    def weights(of: object, settled_by_ns: int | None) -> tuple[float, ...]:
        assert isinstance(of, type(samples))
        return judge(of, folds, oof, horizon=5, settled_by_ns=settled_by_ns).weights

    assert weights(samples, begins) == weights(flipped, begins)
    # Without the bound they do see them: the test can fail.
    assert weights(samples, None) != weights(flipped, None)
    # With nothing settled by then, no member is preferred.
    assert weights(samples, int(samples.decision_time_ns.min())) == (0.5, 0.5)


def test_rows_before_a_time_are_those_whose_label_was_known() -> None:
    rows = OutOfFoldRows(
        members=np.full((4, 1, 2), 0.5),
        target=np.array([0, 1, 0, 1], dtype=np.int32),
        weight=np.ones(4),
        blocks=np.arange(4),
        known_from_ns=np.array([10, 20, 21, 30]),
    )
    assert len(rows.before(20)) == 2
    assert rows.before(20).known_from_ns.tolist() == [10, 20]
