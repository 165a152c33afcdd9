"""Expected R-multiple: what a trade makes on average for each unit it risks, by its class probabilities."""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F64, I32


@dataclass(frozen=True, slots=True, kw_only=True)
class RMultiples:
    """Mean R-multiple of each class, learnt on train rows.

    Attributes:
        by_class: Shape (classes,); NaN where no train row of a class has a trade.
    """

    by_class: tuple[float, ...]

    def expected(self, probabilities: F64) -> F64:
        """Expected R-multiple of rows whose class probabilities have shape (rows, classes)."""
        result: F64 = probabilities @ np.asarray(self.by_class, dtype=np.float64)
        return result


def fit_r_multiples(target: I32, r_multiple: F64, weight: F64, *, classes: int) -> RMultiples:
    """Weighted means over train rows.

    Args:
        target: Class index, shape (rows,).
        r_multiple: What each trade made; rows with NaN are left out.
        weight: Weight of each row.
        classes: Classes there are.
    """
    traded = np.isfinite(r_multiple)
    sums, weights = (
        np.bincount(target[traded], weights=values[traded], minlength=classes)
        for values in (r_multiple * weight, weight)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return RMultiples(by_class=tuple((sums / weights).tolist()))


__all__ = ["RMultiples", "fit_r_multiples"]
