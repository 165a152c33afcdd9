"""Walk-forward folds, purged by the time from which labels are known, and embargoed.

Rows of one decision time always stand on the same side of a boundary. Every generator ends in `purged_fold`,
so no fold can be made without the purge.

Source: Lopez de Prado (2018), Advances in Financial Machine Learning, chapters 7 and 12.
"""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from candlewire_training.arrays import I64, Bool
from candlewire_training.errors import SettingsError, TooFewBarsError

WAYS = ("anchored", "rolling", "bars", "calendar")
# Train, test and step of the preset `bars`, in decision times.
BARS_PRESET = (500, 100, 50)
# Last train year and test years of the preset `calendar`.
CALENDAR_PRESET = ((2022, 2023, 2023), (2023, 2024, 2025))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Row indices of one fold.

    Attributes:
        name: What the card calls it.
        train: Rows to fit on, oldest part.
        calibration: Rows after train that may calibrate; empty when none were asked for.
        test: Rows that judge.
        purged_rows: Rows of the train or calibration span left out by purge or embargo.
    """

    name: str
    train: I64
    calibration: I64
    test: I64
    purged_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTimes:
    """When decisions are made and when their labels are known, each of shape (rows,)."""

    decision_time_ns: I64
    known_from_ns: I64

    def __post_init__(self) -> None:
        if self.decision_time_ns.shape != self.known_from_ns.shape or self.decision_time_ns.ndim != 1:
            raise SettingsError(
                f"decision times {self.decision_time_ns.shape} and known-from times "
                f"{self.known_from_ns.shape} must be one each a row"
            )
        if (self.known_from_ns < self.decision_time_ns).any():
            raise SettingsError(
                "known_from_ns: a label is known before its decision; labels look ahead of the decision"
            )

    @property
    def distinct(self) -> I64:
        """Decision times, ascending, each once."""
        return np.unique(self.decision_time_ns)


def purged_fold(
    rows: RowTimes,
    *,
    name: str,
    train_span: Bool,
    test_span: Bool,
    embargo_bars: int,
    calibration_share: float = 0.0,
) -> Fold:
    """One fold of the spans asked for, less what the purge and the embargo take.

    A row before a stretch of test rows stays only when its label was known by the stretch's first decision.
    A row after it stays only when it lies `embargo_bars` decision times, or more, behind the time at which
    the last label of the stretch was known. Train rows before calibration are purged alike; the first
    `embargo_bars` decision times of test are left out, as are those of calibration.

    Args:
        rows: Times of all rows.
        name: What the card calls the fold.
        train_span: Rows that may train, shape (rows,).
        test_span: Rows that may test.
        embargo_bars: Decision times left out at each boundary.
        calibration_share: Share of the decision times of the train span, the newest, that calibrate.
    """
    times = rows.distinct
    position = np.searchsorted(times, rows.decision_time_ns)
    train = train_span & ~test_span
    test = test_span.copy()
    for first, last in _stretches(np.unique(position[test_span])):
        stretch = test_span & (position >= first) & (position <= last)
        settled = int(rows.known_from_ns[stretch].max())
        before = (position < first) & (rows.known_from_ns <= times[first])
        resumes = int(np.searchsorted(times, settled)) + embargo_bars
        train &= before | (position >= resumes)
        if first > 0 and train_span[position < first].any():
            test &= ~stretch | (position >= first + embargo_bars)
    calibration = np.zeros_like(train)
    if calibration_share > 0.0 and train.any():
        span = np.unique(position[train])
        boundary = int(span[min(int(span.size * (1.0 - calibration_share)), span.size - 1)])
        calibration = train & (position >= boundary + embargo_bars)
        train &= (position < boundary) & (rows.known_from_ns <= times[boundary])
    kept = int(train.sum() + calibration.sum())
    return Fold(
        name=name,
        train=np.flatnonzero(train),
        calibration=np.flatnonzero(calibration),
        test=np.flatnonzero(test),
        purged_rows=int((train_span & ~test_span).sum()) - kept,
    )


def walk_forward_folds(
    rows: RowTimes,
    *,
    way: str = "anchored",
    folds: int = 5,
    embargo_bars: int = 0,
    calibration_share: float = 0.0,
    first_train_share: float = 0.4,
    minimum_rows: int = 100,
) -> tuple[Fold, ...]:
    """Folds in order of time; each trains on the past of its test rows.

    Args:
        rows: Times of all rows.
        way: `anchored` trains on everything before, `rolling` on a window as long as the first; `bars` is
            the rolling window of BARS_PRESET and ignores `folds`; `calendar` is CALENDAR_PRESET.
        folds: Test stretches of equal length.
        embargo_bars: Decision times left out at each boundary.
        calibration_share: Share of the train decision times, the newest, that calibrate.
        first_train_share: Share of the decision times before the first test stretch.
        minimum_rows: Least rows in train; in test half of them, as test rows are judged together.

    Raises:
        SettingsError: The way is unknown, or a number is out of range.
        TooFewBarsError: A fold would have too few rows.
    """
    if way not in WAYS:
        raise SettingsError(f"walk-forward {way!r} is unknown; use one of {', '.join(WAYS)}")
    if not 1 <= folds <= 1_000:
        raise SettingsError(f"folds {folds} is out of range; use 1 to 1000")
    if embargo_bars < 0:
        raise SettingsError(f"embargo {embargo_bars} is out of range; use 0 or more")
    times = rows.distinct
    if way == "calendar":
        windows = _calendar_windows(times)
    elif way == "bars":
        windows = _bar_windows(times.size)
    else:
        start = int(times.size * first_train_share)
        edges = np.linspace(start, times.size, folds + 1).astype(int).tolist()
        windows = [
            (0 if way == "anchored" else max(0, first - start), first, last)
            for first, last in itertools.pairwise(edges)
        ]
    if not windows:
        span = " to ".join(str(np.datetime64(int(time), "ns"))[:10] for time in times[[0, -1]])
        years = "; it tests 2023, and 2024-25, on rows before the test part" if way == "calendar" else ""
        raise TooFewBarsError(
            f"too few bars: {times.size} decision times, {span}, give no fold of walk-forward {way}{years}; "
            "give longer history or another way"
        )
    position = np.searchsorted(times, rows.decision_time_ns)
    result = []
    for number, (oldest, first, last) in enumerate(windows, start=1):
        fold = purged_fold(
            rows,
            name=f"{way} {number}",
            train_span=(position >= oldest) & (position < first),
            test_span=(position >= first) & (position < last),
            embargo_bars=embargo_bars,
            calibration_share=calibration_share,
        )
        for part, indices, least in (
            ("train", fold.train, minimum_rows),
            ("test", fold.test, minimum_rows // 2),
        ):
            if indices.size < least:
                raise TooFewBarsError(
                    f"too few bars: fold {fold.name} would {part} on {indices.size} rows, at least "
                    f"{least} are needed; give longer history, more symbols or fewer folds"
                )
        result.append(fold)
    return tuple(result)


def folds_within(
    rows: RowTimes, spans: tuple[tuple[int, int], ...], *, embargo_bars: int = 0, minimum_rows: int = 100
) -> tuple[tuple[int, Fold], ...]:
    """Anchored folds whose test rows are decided within the spans given.

    Args:
        rows: Times of all rows.
        spans: First and last decision time of each fold's test rows, ns.
        embargo_bars: Decision times left out at each boundary.
        minimum_rows: See `walk_forward_folds`; a fold with fewer rows is left out.

    Returns:
        (number of the span, fold) of every fold with rows enough.

    Raises:
        TooFewBarsError: No fold has rows enough.
    """
    times = rows.decision_time_ns
    result = []
    for number, (first, last) in enumerate(spans):
        fold = purged_fold(
            rows,
            name=f"span {number + 1}",
            train_span=times < first,
            test_span=(times >= first) & (times <= last),
            embargo_bars=embargo_bars,
        )
        if fold.train.size >= minimum_rows and fold.test.size >= minimum_rows // 2:
            result.append((number, fold))
    if not result:
        raise TooFewBarsError(
            f"too few bars: none of {len(spans)} folds has {minimum_rows} rows to train and "
            f"{minimum_rows // 2} to test on; give longer history or fewer folds"
        )
    return tuple(result)


def combinatorial_folds(
    rows: RowTimes, *, groups: int = 6, test_groups: int = 2, embargo_bars: int = 0
) -> tuple[tuple[tuple[int, ...], Fold], ...]:
    """Combinatorial purged cross-validation: every choice of `test_groups` of `groups` stretches tests.

    Unlike a walk forward, folds also train on what came after: a diagnosis of luck, never a track record.

    Returns:
        (numbers of the test groups, fold) for each of the C(groups, test_groups) choices.
    """
    if not 2 <= test_groups < groups <= 20:
        raise SettingsError(
            f"combinatorial groups {groups} and test groups {test_groups} do not fit; use 2 <= test groups "
            "< groups <= 20"
        )
    times = rows.distinct
    if times.size < 10 * groups:
        raise TooFewBarsError(
            f"too few bars: {times.size} decision times in {groups} groups; give 10 a group or more"
        )
    position = np.searchsorted(times, rows.decision_time_ns)
    group = position * groups // times.size
    result = []
    for chosen in itertools.combinations(range(groups), test_groups):
        test = np.isin(group, chosen)
        fold = purged_fold(
            rows,
            name="groups " + "+".join(str(number + 1) for number in chosen),
            train_span=~test,
            test_span=test,
            embargo_bars=embargo_bars,
        )
        result.append((chosen, fold))
    return tuple(result)


def combinatorial_paths(groups: int, test_groups: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Paths through all groups: for each path, (fold number, group) for every group, in order of time."""
    choices = list(itertools.combinations(range(groups), test_groups))
    folds_of_group = [
        [number for number, chosen in enumerate(choices) if group in chosen] for group in range(groups)
    ]
    return tuple(
        tuple((folds_of_group[group][path], group) for group in range(groups))
        for path in range(len(folds_of_group[0]))
    )


def leaking_rows(rows: RowTimes, fold: Fold) -> I64:
    """Train and calibration rows whose label was still open while test decisions of later rows were made.

    Empty for every fold made here; for folds made elsewhere it names the rows to take out.
    """
    times = rows.distinct
    position = np.searchsorted(times, rows.decision_time_ns)
    fitted = np.concatenate((fold.train, fold.calibration))
    leaks = np.zeros(fitted.size, dtype=bool)
    for first, last in _stretches(np.unique(position[fold.test])):
        stretch = fold.test[(position[fold.test] >= first) & (position[fold.test] <= last)]
        opens, settled = times[first], rows.known_from_ns[stretch].max()
        leaks |= (rows.known_from_ns[fitted] > opens) & (rows.decision_time_ns[fitted] < settled)
    return np.sort(fitted[leaks])


def _stretches(positions: I64) -> list[tuple[int, int]]:
    """First and last position of each run of neighbours."""
    if positions.size == 0:
        return []
    breaks = np.flatnonzero(np.diff(positions) > 1)
    firsts = positions[np.concatenate(([0], breaks + 1))]
    lasts = positions[np.concatenate((breaks, [positions.size - 1]))]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _bar_windows(times: int) -> list[tuple[int, int, int]]:
    train, test, step = BARS_PRESET
    return [
        (start, start + train, start + train + test) for start in range(0, times - train - test + 1, step)
    ]


def _calendar_windows(times: I64) -> list[tuple[int, int, int]]:
    windows = [
        (0, _year_start(times, test_from), _year_start(times, test_to + 1))
        for _, test_from, test_to in CALENDAR_PRESET
    ]
    return [(oldest, first, last) for oldest, first, last in windows if 0 < first < last]


def _year_start(times: I64, year: int) -> int:
    start_ns = int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    return int(np.searchsorted(times, start_ns))


__all__ = [
    "BARS_PRESET",
    "CALENDAR_PRESET",
    "WAYS",
    "Fold",
    "RowTimes",
    "combinatorial_folds",
    "combinatorial_paths",
    "folds_within",
    "leaking_rows",
    "purged_fold",
    "walk_forward_folds",
]
