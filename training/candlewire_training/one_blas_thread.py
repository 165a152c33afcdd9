"""Linear algebra on one thread: sums over several come out otherwise on a machine of another size."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
R = TypeVar("R")


def one_blas_thread(function: Callable[P, R]) -> Callable[P, R]:
    """The function with BLAS held to one thread while it runs, so that its bits do not hang on the cores.

    Trees are fitted by libraries of their own, whose threads do not change their bits; these go on as before.
    """

    @wraps(function)
    def limited(*arguments: P.args, **named: P.kwargs) -> R:
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*arguments, **named)

    return limited


__all__ = ["one_blas_thread"]
