"""No fold learns from what its test rows could not know."""

from dataclasses import replace

import numpy as np
import pytest
from candlewire_training.arrays import I64
from candlewire_training.errors import SettingsError, TooFewBarsError
from candlewire_training.validation.folds import (
    Fold,
    RowTimes,
    combinatorial_folds,
    combinatorial_paths,
    leaking_rows,
    walk_forward_folds,
)
from hypothesis import given, settings
from hypothesis import strategies as st

DAY_NS = 86_400 * 10**9


def rows_of(times: int, symbols: int, horizon: int, *, seed: int = 0, start_ns: int = 0) -> RowTimes:
    """Rows of several symbols with label times of up to `horizon` bars, as a barrier gives them."""
    generator = np.random.default_rng(seed)
    decision = np.repeat(start_ns + DAY_NS * np.arange(times, dtype=np.int64), symbols)
    ahead = generator.integers(1, horizon + 1, decision.size)
    return RowTimes(decision_time_ns=decision, known_from_ns=decision + DAY_NS * ahead)


def assert_clean(rows: RowTimes, fold: Fold, *, embargo: int) -> None:
    first = rows.decision_time_ns[fold.test].min()
    assert rows.known_from_ns[fold.train].max() <= first
    assert not np.intersect1d(fold.train, fold.test).size
    last_train = rows.decision_time_ns[fold.train].max()
    assert first - last_train >= DAY_NS * (embargo + 1)
    if fold.calibration.size:
        opens = rows.decision_time_ns[fold.calibration].min()
        assert rows.known_from_ns[fold.train].max() <= opens
        assert opens - last_train >= DAY_NS * (embargo + 1)
        assert rows.known_from_ns[fold.calibration].max() <= first
    assert leaking_rows(rows, fold).size == 0


@settings(max_examples=40, deadline=None)
@given(
    times=st.integers(300, 700),
    symbols=st.integers(1, 4),
    horizon=st.integers(1, 20),
    embargo=st.integers(0, 10),
    folds=st.integers(1, 5),
    way=st.sampled_from(["anchored", "rolling"]),
    calibration=st.sampled_from([0.0, 0.25]),
)
def test_no_label_of_train_is_open_when_test_begins(
    times: int, symbols: int, horizon: int, embargo: int, folds: int, way: str, calibration: float
) -> None:
    rows = rows_of(times, symbols, horizon, seed=times)
    made = walk_forward_folds(
        rows, way=way, folds=folds, embargo_bars=embargo, calibration_share=calibration, minimum_rows=1
    )
    assert len(made) == folds
    for fold in made:
        assert_clean(rows, fold, embargo=embargo)
    tested = np.concatenate([fold.test for fold in made])
    assert np.unique(tested).size == tested.size


def test_anchored_grows_and_rolling_keeps_its_length() -> None:
    rows = rows_of(1_000, 1, 1)
    anchored = walk_forward_folds(rows, way="anchored", folds=4)
    rolling = walk_forward_folds(rows, way="rolling", folds=4)
    assert [fold.train[0] for fold in anchored] == [0, 0, 0, 0]
    assert np.all(np.diff([fold.train.size for fold in anchored]) > 0)
    assert [fold.train[0] for fold in rolling] == [0, 150, 300, 450]
    assert len({fold.train.size for fold in rolling}) == 1


def test_the_preset_of_bars_walks_500_100_50() -> None:
    rows = rows_of(800, 1, 1)
    folds = walk_forward_folds(rows, way="bars", minimum_rows=1)
    assert [(int(f.train[0]), int(f.test[0]), f.test.size) for f in folds[:2]] == [
        (0, 500, 100),
        (50, 550, 100),
    ]
    assert len(folds) == 5


def test_the_calendar_preset_tests_2023_and_2024_to_2025() -> None:
    start = int(np.datetime64("2020-01-01", "ns").astype(np.int64))
    rows = rows_of(365 * 6 + 30, 1, 5, start_ns=start)
    first, second = walk_forward_folds(rows, way="calendar")

    def years(indices: I64) -> set[int]:
        days = rows.decision_time_ns[indices].astype("datetime64[ns]").astype("datetime64[Y]")
        return set((days.astype(int) + 1970).tolist())

    assert (years(first.train), years(first.test)) == ({2020, 2021, 2022}, {2023})
    assert (years(second.train), years(second.test)) == ({2020, 2021, 2022, 2023}, {2024, 2025})


def test_a_duplicate_across_the_purge_is_caught() -> None:
    rows = rows_of(600, 1, 5)
    fold = walk_forward_folds(rows, folds=2)[0]
    assert leaking_rows(rows, fold).size == 0
    # A copy of a row that settles inside test, planted among the train rows.
    planted = int(fold.test[0]) - 1
    known = rows.known_from_ns.copy()
    known[planted] = rows.decision_time_ns[fold.test[3]]
    late = replace(rows, known_from_ns=known)
    forged = replace(fold, train=np.union1d(fold.train, [planted]))
    assert leaking_rows(late, forged).tolist() == [planted]
    assert planted not in walk_forward_folds(late, folds=2)[0].train


@settings(max_examples=25, deadline=None)
@given(
    groups=st.integers(3, 7), tests=st.integers(2, 3), horizon=st.integers(1, 15), embargo=st.integers(0, 5)
)
def test_combinatorial_folds_are_purged_on_both_sides(
    groups: int, tests: int, horizon: int, embargo: int
) -> None:
    if tests >= groups:
        return
    rows = rows_of(60 * groups, 2, horizon, seed=groups)
    made = combinatorial_folds(rows, groups=groups, test_groups=tests, embargo_bars=embargo)
    for _, fold in made:
        assert not np.intersect1d(fold.train, fold.test).size
        assert leaking_rows(rows, fold).size == 0
    paths = combinatorial_paths(groups, tests)
    used = [pair for path in paths for pair in path]
    assert len(set(used)) == len(used) == len(made) * tests
    for path in paths:
        assert [group for _, group in path] == list(range(groups))
        assert all(group in made[number][0] for number, group in path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"way": "sideways"}, "walk-forward 'sideways'"),
        ({"folds": 0}, "folds 0"),
        ({"embargo_bars": -1}, "embargo -1"),
    ],
)
def test_bad_settings_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        walk_forward_folds(rows_of(600, 1, 5), **options)  # type: ignore[arg-type]


def test_short_history_is_refused() -> None:
    with pytest.raises(TooFewBarsError, match="fold anchored 1"):
        walk_forward_folds(rows_of(60, 1, 5), folds=5)
    with pytest.raises(TooFewBarsError, match="no fold"):
        walk_forward_folds(rows_of(60, 1, 5), way="bars")


def test_a_label_before_its_decision_is_refused() -> None:
    with pytest.raises(SettingsError, match="known_from_ns"):
        RowTimes(decision_time_ns=np.arange(5), known_from_ns=np.arange(5) - 1)
