"""Expected R-multiples on the card: what trades were expected to make, and what they made."""

from typing import TYPE_CHECKING

import numpy as np

from candlewire_training.arrays import F64, I64
from candlewire_training.card.card_data import ExpectedR
from candlewire_training.card.diagnostics import LEAST_GROUP_BLOCKS, LEAST_GROUP_ROWS
from candlewire_training.labels.r_multiples import RMultiples, fit_r_multiples
from candlewire_training.validation.block_bootstrap import block_estimate

if TYPE_CHECKING:
    from candlewire_training.pipeline import TrainedModel


def r_multiples_of(trained: "TrainedModel") -> RMultiples:
    """Mean R-multiple of each class on the train rows of a run."""
    train = trained.samples.take(trained.split.train)
    return fit_r_multiples(train.target, train.r_multiple, train.weight, classes=len(train.classes))


def r_multiple_facts(trained: "TrainedModel") -> tuple[tuple[str, str], ...]:
    """The line on the means by class; none when the label knows of no trade."""
    means = r_multiples_of(trained).by_class
    if not np.isfinite(means).all():
        return ()
    text = ", ".join(f"{name} {mean:+.3f}" for name, mean in zip(trained.samples.classes, means, strict=True))
    return (("Mean R-multiple by class", f"{text}, on train rows, before costs"),)


def by_expected_r(
    expected: F64, realised: F64, blocks: I64, *, seed: int, groups: int = 5
) -> tuple[ExpectedR, ...]:
    """Rows in groups of about equal size, from the least to the greatest expectation.

    Args:
        expected: Expected R-multiple of each row.
        realised: What each trade made; rows with NaN are left out.
        blocks: Block of each row.
        seed: Seed of the bootstrap.
        groups: How many.
    """
    traded = np.isfinite(realised) & np.isfinite(expected)
    expected, realised, blocks = expected[traded], realised[traded], blocks[traded]
    if expected.size == 0:
        return ()
    edges = np.unique(np.quantile(expected, np.linspace(0, 1, groups + 1))[1:-1])
    index = np.searchsorted(edges, expected, side="right")
    result = []
    for number in range(edges.size + 1):
        mask = index == number
        if mask.sum() >= LEAST_GROUP_ROWS and np.unique(blocks[mask]).size >= LEAST_GROUP_BLOCKS:
            result.append(
                ExpectedR(
                    rows=int(mask.sum()),
                    expected=float(expected[mask].mean()),
                    realised=block_estimate(realised[mask], blocks[mask], seed=seed),
                )
            )
    return tuple(result)


__all__ = ["by_expected_r", "r_multiple_facts", "r_multiples_of"]
