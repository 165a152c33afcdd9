"""Chronological train, calibration and test parts, purged and embargoed by time."""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import I64
from candlewire_training.errors import SettingsError, TooFewBarsError

# Least rows of a part: four years of daily bars of one symbol are enough. What few rows cannot tell shows in
# wider intervals, as each row counts for 1 / (design effect), and on the card.
MINIMUM_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ChronologicalSplit:
    """Row indices of the three parts, oldest part first.

    Attributes:
        train, calibration, test: Row indices.
        boundaries_ns: First decision times of calibration and test.
        purged_rows: Rows left out because their label was not known before the next part began, or because
            they lie within the embargo.
    """

    train: I64
    calibration: I64
    test: I64
    boundaries_ns: tuple[int, int]
    purged_rows: int


def chronological_split(
    decision_time_ns: I64,
    known_from_ns: I64,
    *,
    calibration_share: float = 0.2,
    test_share: float = 0.2,
    embargo_bars: int = 0,
    minimum_rows: int = MINIMUM_ROWS,
    boundaries_ns: tuple[int, int] | None = None,
) -> ChronologicalSplit:
    """Splits by time, never by row.

    A row belongs to a part only when its label was known before the part's end: the label of a train row must
    be settled by the first decision of calibration. The first `embargo_bars` decision times of calibration
    and of test are left out as well.

    Args:
        decision_time_ns: When each row's decision is made, shape (rows,).
        known_from_ns: When each row's label is known, shape (rows,).
        calibration_share: Share of rows in calibration.
        test_share: Share of rows in test, the newest.
        embargo_bars: Decision times left out after each boundary.
        minimum_rows: Least rows in each part.
        boundaries_ns: Where calibration and test begin, in place of the shares.

    Raises:
        SettingsError: The shares leave nothing to train on.
        TooFewBarsError: A part would have fewer than `minimum_rows` rows.
    """
    if not (calibration_share > 0 and test_share > 0 and calibration_share + test_share < 1):
        raise SettingsError(
            f"calibration share {calibration_share} and test share {test_share} must be above 0 and sum to "
            "less than 1"
        )
    times, counts = np.unique(decision_time_ns, return_counts=True)
    rows_before = np.cumsum(counts) - counts
    total = decision_time_ns.size
    if boundaries_ns is None:
        shares = (1 - calibration_share - test_share, 1 - test_share)
        starts = [int(np.searchsorted(rows_before, total * share)) for share in shares]
    else:
        starts = [int(np.searchsorted(times, boundary)) for boundary in boundaries_ns]
    if not 0 < starts[0] + embargo_bars < starts[1] or starts[1] + embargo_bars >= times.size:
        raise TooFewBarsError(
            f"too few bars: {times.size} decision times{_span(times, boundaries_ns)} cannot be split in "
            f"three with an embargo of {embargo_bars} bars; give longer history"
        )
    first_calibration, first_test = (int(times[start]) for start in starts)
    embargoed_calibration, embargoed_test = (int(times[start + embargo_bars]) for start in starts)
    train = known_from_ns <= first_calibration
    calibration = (decision_time_ns >= embargoed_calibration) & (known_from_ns <= first_test)
    test = decision_time_ns >= embargoed_test
    parts = {"train": train, "calibration": calibration, "test": test}
    for name, mask in parts.items():
        if mask.sum() < minimum_rows:
            raise TooFewBarsError(
                f"too few bars: the {name} part would have {mask.sum()} rows, at least {minimum_rows} are "
                "needed; give longer history or more symbols"
            )
    kept = int(train.sum() + calibration.sum() + test.sum())
    return ChronologicalSplit(
        train=np.flatnonzero(train),
        calibration=np.flatnonzero(calibration),
        test=np.flatnonzero(test),
        boundaries_ns=(first_calibration, first_test),
        purged_rows=total - kept,
    )


def _span(times: I64, boundaries_ns: tuple[int, int] | None) -> str:
    if boundaries_ns is None or times.size == 0:
        return ""
    first, last, calibration, test = (
        str(np.datetime64(int(time), "ns"))[:10] for time in (times[0], times[-1], *boundaries_ns)
    )
    return f" from {first} to {last}, with calibration from {calibration} and test from {test},"


__all__ = ["MINIMUM_ROWS", "ChronologicalSplit", "chronological_split"]
