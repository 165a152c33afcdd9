"""Every check, in the order of the reports."""

from candlewire_training.data.checks.contract import FAIL
from candlewire_training.data.checks.levels import LEVEL_CHECKS
from candlewire_training.data.checks.single_bars import SINGLE_BAR_CHECKS
from candlewire_training.data.checks.times import TIME_CHECKS
from candlewire_training.data.checks.volumes import VOLUME_CHECKS

CHECKS = (*SINGLE_BAR_CHECKS[:4], *TIME_CHECKS, *LEVEL_CHECKS, *VOLUME_CHECKS, *SINGLE_BAR_CHECKS[4:])

# What makes bars unusable for anything that follows.
UNUSABLE = tuple(check for check in CHECKS if check.on_import == FAIL or check.defect == "repeated-bar")

__all__ = ["CHECKS", "UNUSABLE"]
