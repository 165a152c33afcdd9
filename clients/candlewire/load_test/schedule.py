"""When requests are due."""

from __future__ import annotations

import random
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING

from candlewire.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Arrivals(StrEnum):
    """How requests arrive."""

    CONSTANT = "constant"
    POISSON = "poisson"


def due_times_s(rate: float, duration_s: float, arrivals: Arrivals, *, seed: int) -> Iterator[float]:
    """Due times from 0 to `duration_s`, `rate` per second on average.

    Args:
        rate: Requests per second.
        duration_s: Length of the load.
        arrivals: Constant gaps, or exponential ones: a Poisson process, as independent callers make.
        seed: Of the exponential gaps.

    Raises:
        InvalidInputError: Rate or duration is not above zero.
    """
    for name, value in (("rate", rate), ("duration", duration_s)):
        if not value > 0:
            raise InvalidInputError(f"{name} is {value}; it must be above zero")
    if arrivals is Arrivals.CONSTANT:
        for number in count():
            if number / rate >= duration_s:
                return
            yield number / rate
    gaps = random.Random(seed)  # noqa: S311 - draws a load, guards nothing
    due_s = gaps.expovariate(rate)
    while due_s < duration_s:
        yield due_s
        due_s += gaps.expovariate(rate)
