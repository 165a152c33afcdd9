"""How a split of the rows into train, calibration and test is asked for."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from candlewire_training.data.bars import parse_date
from candlewire_training.errors import SettingsError

# Share of the train part, the newest, that calibrates where a split names none.
CALIBRATION_OF_TRAIN = 0.2
# Trains to 2022, calibrates on 2023 and judges 2024-25.
CALENDAR = (datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitChoice:
    """Shares of rows for calibration and test, or when the two begin.

    Attributes:
        calibration_share: Share of rows that calibrate.
        test_share: Share of rows, the newest, that judge.
        at: When calibration and test begin, in place of the shares.
    """

    calibration_share: float = 0.2
    test_share: float = 0.2
    at: tuple[datetime, datetime] | None = None


def parse_split(text: str) -> SplitChoice:
    """A split by name, in percent or by dates.

    Args:
        text: `70/30` (train/test: the newest fifth of the 70 calibrates) or `60/20/20`
            (train/calibration/test), in percent, oldest first; `2015-01-01/2016-01-01`, when calibration and
            test begin; `calendar`, which is 2023 and 2024.

    Raises:
        SettingsError: It is none of these.
    """
    if text == "calendar":
        return SplitChoice(at=CALENDAR)
    parts = text.split("/")
    if len(parts) == 2 and all("-" in part.strip()[1:] for part in parts):
        first, second = (parse_date(part.strip(), option="--split") for part in parts)
        if first >= second:
            raise SettingsError(f"split {text!r}: calibration must begin before test; swap the dates")
        return SplitChoice(at=(first, second))
    try:
        percent = [float(part) for part in parts]
    except ValueError:
        percent = []
    if len(percent) not in {2, 3} or not math.isclose(sum(percent), 100.0) or min(percent) <= 0.0:
        raise SettingsError(
            f"split {text!r} is no split; use TRAIN/TEST, such as 70/30, or TRAIN/CALIBRATION/TEST, such as "
            "60/20/20, in percent that sum to 100, two dates such as 2023-01-01/2024-01-01, or calendar"
        )
    calibration = percent[1] if len(percent) == 3 else CALIBRATION_OF_TRAIN * percent[0]
    return SplitChoice(calibration_share=calibration / 100.0, test_share=percent[-1] / 100.0)


def split_choice(split: str | None, calibration_share: float, test_share: float) -> SplitChoice:
    """The choice that the options make: `split`, or the two shares.

    Raises:
        SettingsError: Both ways are used, or the split is none.
    """
    shares = SplitChoice(calibration_share=calibration_share, test_share=test_share)
    if split is None:
        return shares
    if shares != SplitChoice():
        raise SettingsError("split names the shares; leave out calibration-share and test-share")
    return parse_split(split)


__all__ = ["CALENDAR", "SplitChoice", "parse_split", "split_choice"]
