"""Every check, in the order of the reports."""

from candlewire_training.data.checks.levels import LEVEL_CHECKS
from candlewire_training.data.checks.single_bars import SINGLE_BAR_CHECKS
from candlewire_training.data.checks.times import TIME_CHECKS

CHECKS = (*SINGLE_BAR_CHECKS[:4], *TIME_CHECKS, *LEVEL_CHECKS, *SINGLE_BAR_CHECKS[4:])

__all__ = ["CHECKS"]
