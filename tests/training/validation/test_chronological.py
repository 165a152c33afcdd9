"""The split is by time: nothing in an earlier part was unknown when a later part began."""

import numpy as np
import pytest
from candlewire_training.errors import SettingsError, TooFewBarsError
from candlewire_training.validation.chronological import chronological_split
from candlewire_training.validation.split_choice import CALENDAR, parse_split
from hypothesis import given
from hypothesis import strategies as st


@given(
    symbols=st.integers(1, 5),
    times=st.integers(200, 400),
    horizon=st.integers(1, 15),
    embargo=st.integers(0, 15),
    seed=st.integers(0, 99),
)
def test_purge_and_embargo(symbols: int, times: int, horizon: int, embargo: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    grid = np.sort(generator.choice(10_000, size=times, replace=False)).astype(np.int64)
    decision = np.repeat(grid[:-horizon], symbols)
    known = np.repeat(grid[horizon:], symbols)
    split = chronological_split(decision, known, embargo_bars=embargo, minimum_rows=1)
    for earlier, later, gap in (
        (split.train, split.calibration, embargo),
        (split.calibration, split.test, embargo),
    ):
        assert known[earlier].max() <= decision[later].min()
        assert (
            np.searchsorted(grid, decision[later].min()) - np.searchsorted(grid, known[earlier].max()) >= gap
        )
    parts = np.concatenate((split.train, split.calibration, split.test))
    assert np.unique(parts).size == parts.size
    assert split.purged_rows == decision.size - parts.size


def test_rows_of_one_time_stay_together() -> None:
    decision = np.repeat(np.arange(100, dtype=np.int64), 7)
    split = chronological_split(decision, decision + 1, minimum_rows=1)
    for first, second in ((split.train, split.calibration), (split.calibration, split.test)):
        assert not set(decision[first]) & set(decision[second])


def test_too_little_history_is_told() -> None:
    decision = np.arange(300, dtype=np.int64)
    with pytest.raises(TooFewBarsError, match="calibration part would have 59 rows, at least 100"):
        chronological_split(decision, decision + 1)
    with pytest.raises(TooFewBarsError, match="cannot be split in three"):
        chronological_split(decision, decision, embargo_bars=200)
    with pytest.raises(SettingsError, match="sum to less than 1"):
        chronological_split(decision, decision, calibration_share=0.5, test_share=0.5)


@pytest.mark.parametrize(
    ("text", "shares"),
    [("70/30", (0.14, 0.3)), ("60/20/20", (0.2, 0.2)), ("50/25/25", (0.25, 0.25)), ("80/20", (0.16, 0.2))],
)
def test_a_split_names_the_shares(text: str, shares: tuple[float, float]) -> None:
    choice = parse_split(text)
    assert (choice.calibration_share, choice.test_share) == pytest.approx(shares)
    assert choice.at is None


@pytest.mark.parametrize("text", ["", "70", "70/40", "70/0/30", "110/-10", "a/b", "40/20/20/20", "nan/nan"])
def test_what_is_no_split_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="such as 70/30"):
        parse_split(text)


def test_a_split_names_dates() -> None:
    assert parse_split("calendar").at == CALENDAR == parse_split("2023-01-01/2024-01-01").at
    with pytest.raises(SettingsError, match="swap the dates"):
        parse_split("2024-01-01/2023-01-01")
    with pytest.raises(SettingsError, match="is no date"):
        parse_split("2023-13-01/2024-01-01")


def test_dates_that_the_bars_do_not_reach_are_told() -> None:
    decision = 86_400 * 10**9 * np.arange(300, dtype=np.int64)
    with pytest.raises(TooFewBarsError, match="1970-01-01 to 1970-10-27, with calibration from 2023-01-01"):
        chronological_split(decision, decision, boundaries_ns=(1672531200 * 10**9, 1704067200 * 10**9))
