"""Whether models of one symbol are better started from those of all: by the out-of-fold score alone."""

from dataclasses import dataclass

from candlewire_training.calibration.choosing import class_log_loss
from candlewire_training.data.samples import Samples
from candlewire_training.validation.block_bootstrap import Estimate, block_estimate, time_blocks
from candlewire_training.validation.walk_forward import OutOfFold


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferReport:
    """What starting from the pooled members brings.

    Attributes:
        admitted: Whether the model starts from them.
        gain: Out-of-fold log loss alone minus that of the start, nats, with its block-bootstrap interval;
            above zero the start is better.
        rows: Out-of-fold rows.
        folds: Folds they come from.
    """

    admitted: bool
    gain: Estimate
    rows: int
    folds: int


def compare_transfer(
    samples: Samples, alone: OutOfFold, started: OutOfFold, *, horizon: int, seed: int
) -> TransferReport:
    """Compares out-of-fold predictions of the same rows.

    Args:
        samples: Rows before the test part.
        alone: Of members that started from nothing.
        started: Of members that started from the pooled ones.
        horizon: Bars ahead that the label looks.
        seed: Seed of the bootstrap.
    """
    rows = samples.take(alone.rows)
    gain = block_estimate(
        class_log_loss(alone.pooled, rows.target) - class_log_loss(started.pooled, rows.target),
        time_blocks(rows.decision_time_ns, horizon=horizon),
        seed=seed,
    )
    return TransferReport(
        admitted=gain.value > 0.0, gain=gain, rows=len(rows), folds=int(alone.fold.max()) + 1
    )


__all__ = ["TransferReport", "compare_transfer"]
