"""Features are chosen on train rows alone, and the bundle takes the chosen ones."""

from dataclasses import replace

import numpy as np
import pytest
from candlewire_training.bands.band_inputs import volatility_columns
from candlewire_training.data.bars import BarTable
from candlewire_training.data.samples import Samples
from candlewire_training.errors import SettingsError, TooFewBarsError
from candlewire_training.members.contract import MemberSettings
from candlewire_training.pipeline import TrainedModel, train_model
from candlewire_training.progress import StepProgress
from candlewire_training.selection.feature_choice import FeatureChoice, feature_choice, narrowed
from candlewire_training.settings import TrainingSettings
from candlewire_training.validation.folds import RowTimes, walk_forward_folds
from candlewire_training.validation.walk_forward import FitRules, out_of_fold

RANKER = MemberSettings(kind="xgboost", trees=40, learning_rate=0.1, multi_output=False)


def with_signal(samples: Samples, column: int) -> Samples:
    """The samples with a column that tells half of what will happen."""
    X = samples.X.copy()
    noise = np.random.default_rng(4).standard_normal(len(samples)) * samples.deviation
    X[:, column] = samples.forward_return + noise
    return replace(samples, X=X)


@pytest.mark.parametrize("by", ["permutation", "shap"])
@pytest.mark.parametrize("column", [3, 17])
def test_the_feature_that_tells_most_is_chosen_first(trained: TrainedModel, by: str, column: int) -> None:
    train = with_signal(trained.samples.take(trained.split.train), column)
    choice = FeatureChoice(most=1, by=by, always=(0, 9), ranker=RANKER)
    assert choice(train).tolist() == [0, 9, column] if column > 9 else [0, column, 9]
    scores = choice.scores(train)
    assert scores[column] > 3 * np.delete(scores, column).max()


def test_three_classes_are_ranked(trained: TrainedModel) -> None:
    train = with_signal(trained.samples.take(trained.split.train), 5)
    target = np.digitize(train.forward_return, np.quantile(train.forward_return, (1 / 3, 2 / 3)))
    three = replace(train, target=target.astype(np.int32), classes=("DOWN", "SIDEWAYS", "UP"))
    for by in ("permutation", "shap"):
        assert FeatureChoice(most=1, by=by, always=(), ranker=RANKER)(three).tolist() == [5]


@pytest.mark.parametrize("by", ["permutation", "shap"])
def test_test_rows_do_not_reach_the_choice(trained: TrainedModel, by: str) -> None:
    samples = trained.samples
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    (fold, *_) = walk_forward_folds(times, folds=2, embargo_bars=5)
    choice = FeatureChoice(most=3, by=by, always=(), ranker=RANKER)
    seen: list[list[int]] = []

    def watched(train: Samples) -> np.ndarray:
        seen.append(choice(train).tolist())
        return np.asarray(seen[-1])

    # A feature that tells the test rows' future and nothing of the train rows'.
    X = samples.X.copy()
    X[fold.test, 7] = samples.forward_return[fold.test] * 100.0
    members = (MemberSettings(kind="xgboost", trees=20),)
    before = out_of_fold(samples, (fold,), members, rules=FitRules(choose=watched))
    after = out_of_fold(replace(samples, X=X), (fold,), members, rules=FitRules(choose=watched))
    assert seen[0] == seen[1]
    if 7 not in seen[0]:
        assert np.array_equal(before.members, after.members)


def test_narrowed_samples_follow_their_spec(trained: TrainedModel) -> None:
    columns = np.array([1, 4, 6])
    spec, samples = narrowed(trained.spec, trained.samples, columns)
    assert tuple(spec.names) == samples.feature_names
    assert samples.feature_names == tuple(trained.samples.feature_names[each] for each in columns)
    assert np.array_equal(samples.X, trained.samples.X[:, columns])
    assert spec.hash != trained.spec.hash


def test_the_model_reads_what_was_chosen_and_what_the_band_needs(walk_bars: BarTable) -> None:
    settings = TrainingSettings(model="m", trees=20, folds=2, select_features=4, select_by="shap")
    trained = train_model(walk_bars, settings, StepProgress(quiet=True))
    names = trained.samples.feature_names
    band = volatility_columns(trained.spec.canonical_json)
    needed = {*band.variances.tolist(), *band.linear.tolist()}
    assert band.deviation is not None
    assert len(needed) <= len(names) <= len(needed) + 4
    assert trained.samples.X.shape[1] == len(names) == len(trained.spec.names)
    assert trained.model.score(trained.samples.X[:5]).up.shape == (5,)


def test_without_a_count_nothing_is_chosen(trained: TrainedModel) -> None:
    assert feature_choice(trained.spec, most=0, by="shap", member=RANKER) is None


def test_what_cannot_be_done_is_named(trained: TrainedModel) -> None:
    with pytest.raises(SettingsError, match="select-by 'luck' is unknown"):
        TrainingSettings(model="m", select_by="luck")
    with pytest.raises(SettingsError, match="select-features -1 is out of range"):
        TrainingSettings(model="m", select_features=-1)
    with pytest.raises(SettingsError, match="select-features 0 is out of range"):
        FeatureChoice(most=0, by="shap", always=(), ranker=RANKER)
    few = trained.samples.take(np.flatnonzero(trained.samples.up == 1))
    with pytest.raises(TooFewBarsError, match=r"select-features 2: .*DOWN"):
        FeatureChoice(most=2, by="shap", always=(), ranker=RANKER)(few)
