"""Members fitted side by side, a thread each: threads within a fit wait for one another after every level.

Libraries hold Python's lock only between their calls. A member's trees do not depend on its threads, so the
result is that of one after the other.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from candlewire_training.members.contract import Member, MemberSettings

Fitted = TypeVar("Fitted")
# The slowest first, so that none is left to work alone at the end.
SLOWEST_FIRST = ("random_forest", "extra_trees", "gradient_boosting", "lightgbm", "xgboost", "logistic")


def side_by_side(
    work: Callable[[MemberSettings, Member | None], Fitted],
    members: Sequence[MemberSettings],
    begun: Sequence[Member | None],
) -> list[Fitted]:
    """Results of `work` for each member, in their order.

    Args:
        work: Fits a member of these settings, from the member given when there is one.
        members: What to fit; `threads` of the first are shared out.
        begun: What each goes on from.
    """
    threads = members[0].threads
    if len(members) == 1 or threads == 1:
        return [work(settings, start) for settings, start in zip(members, begun, strict=True)]
    order = sorted(range(len(members)), key=lambda number: SLOWEST_FIRST.index(members[number].kind))
    pool = ThreadPoolExecutor(max_workers=min(threads, len(members)))
    try:
        share = max(1, threads // len(members))
        running = {
            number: pool.submit(work, replace(members[number], threads=share), begun[number])
            for number in order
        }
        return [running[number].result() for number in range(len(members))]
    finally:
        # After Ctrl-C what has not begun does not begin.
        pool.shutdown(cancel_futures=True)


__all__ = ["side_by_side"]
