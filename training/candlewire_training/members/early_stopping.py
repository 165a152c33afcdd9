"""How many boosting rounds: stopped on the newest rows, then fitted again on all of them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from candlewire_training.arrays import F32
from candlewire_training.data.samples import Samples
from candlewire_training.errors import TooFewBarsError
from candlewire_training.members.boosted_trees import BoostedTrees
from candlewire_training.members.contract import FitRows, Member, MemberSettings
from candlewire_training.members.registry import make_member


def fit_rows(samples: Samples, X: F32 | None = None) -> FitRows:
    """Samples as a member takes them; `X` stands for other features of the same rows."""
    return FitRows(
        X=samples.X if X is None else X,
        target=samples.target,
        weight=samples.fit_weight,
        classes=samples.classes,
    )


def stopping_rows(samples: Samples, share: float, X: F32 | None = None) -> FitRows | None:
    """The older rows to learn from, with the newest `share` of them as validation; None when `share` is 0.

    A row is learnt from only when its label was known before the first decision of the validation rows.

    Raises:
        TooFewBarsError: Either part lacks a class.
    """
    if share == 0:
        return None
    start = np.quantile(samples.decision_time_ns, 1.0 - share, method="higher")
    X = samples.X if X is None else X
    older, newer = samples.known_from_ns <= start, samples.decision_time_ns >= start
    try:
        validation = fit_rows(samples.take(newer), X[newer])
        return replace(fit_rows(samples.take(older), X[older]), validation=validation)
    except TooFewBarsError as error:
        raise TooFewBarsError(
            f"early-stopping {share:g}: the part to stop on, or the one before it, is too short ({error}); "
            "use another share, or 0 to fit all rounds"
        ) from error


def fit_member(
    settings: MemberSettings,
    rows: FitRows,
    stopping: FitRows | None,
    *,
    start: Member | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Member:
    """A fitted member; boosting ends at the round that was best on the validation rows of `stopping`.

    The rounds are counted on the older rows; the member that is kept has so many and has learnt from all.

    Args:
        settings: What to fit.
        rows: What to learn from.
        stopping: Of the same rows, see `stopping_rows`; None fits all rounds.
        start: Fitted member to go on from; all rounds are then added to it.
        advance: Called after each step of the fit that is kept.
    """
    member = make_member(settings)
    if stopping is None or start is not None or not isinstance(member, BoostedTrees):
        return member.fit(rows, start=start, advance=advance)
    member.fit(stopping)
    return make_member(replace(settings, trees=member.rounds)).fit(rows, advance=advance)


__all__ = ["fit_member", "fit_rows", "stopping_rows"]
