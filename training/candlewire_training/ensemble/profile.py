"""A fitted model within its latency budget: the whole graph is priced, and members leave it until it fits.

What that costs in the out-of-fold proper score is kept beside it: a profile never silently loses quality.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from candlewire_training.arrays import F32, F64, I32, I64
from candlewire_training.ensemble.budget import (
    LatencyBudget,
    MemberPrice,
    choose_within_budget,
    prices_of,
    profile_budgets,
    reference_member,
)
from candlewire_training.ensemble.contract import Ensemble
from candlewire_training.errors import SettingsError
from candlewire_training.export.fused_graph import build_fused_graph
from candlewire_training.members.contract import Member
from candlewire_training.scoring_model import Direction, ScoringModel
from candlewire_training.validation.block_bootstrap import Estimate

# Rows that graphs are timed on, evenly spaced.
TIMED_ROWS = 1_024
WHOLE = "whole graph"
NEXT_SHARE = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFoldRows:
    """Out-of-fold predictions that a choice among members is judged by.

    Attributes:
        members: Probabilities, shape (rows, members, classes), in the order of the fitted members.
        target: Class of each row.
        weight: Weight of each row.
        blocks: Time block of each row.
        known_from_ns: When each row's label is known.
    """

    members: F64
    target: I32
    weight: F64
    blocks: I64
    known_from_ns: I64

    def __len__(self) -> int:
        """Count of rows."""
        return int(self.target.size)

    def before(self, time_ns: int) -> "OutOfFoldRows":
        """The rows whose label is known at `time_ns`."""
        known = self.known_from_ns <= time_ns
        return OutOfFoldRows(**{name: getattr(self, name)[known] for name in self.__dataclass_fields__})


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPool:
    """Fitted members, and how any of them become a direction.

    Attributes:
        members: Every fitted member.
        ensemble: Their weights.
        direct: The calibrated direction of the members under the weights given.
        rule: See `choose_within_budget`.
    """

    members: tuple[Member, ...]
    ensemble: Ensemble
    direct: Callable[[Ensemble], Direction]
    rule: Callable[[tuple[int, ...]], Ensemble] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileReport:
    """What a profile asked, and what it cost.

    Attributes:
        profile: "fast", "full" or a budget such as "60 us".
        budgets: One of these holds.
        prices: Of every member that was fitted, each alone.
        reference: Of a 300-tree, depth-6 model of two classes, measured in the same run.
        whole: Of the graph that is written.
        dropped: Members that the budget left out.
        log_loss: Out-of-fold log loss of what is kept, nats; None without out-of-fold predictions.
        full_log_loss: That of all members.
        lost: The first minus the second, with its block-bootstrap interval; above zero is quality lost.
    """

    profile: str
    budgets: tuple[LatencyBudget, ...]
    prices: tuple[MemberPrice, ...]
    reference: MemberPrice
    whole: MemberPrice
    dropped: tuple[str, ...]
    log_loss: float | None
    full_log_loss: float | None
    lost: Estimate | None


def within_profile(
    model: ScoringModel,
    pool: FittedPool,
    X: F32,
    *,
    profile: str,
    budget_us: float | None,
    oof: OutOfFoldRows | None,
    seed: int,
) -> tuple[ScoringModel, ProfileReport]:
    """The model, less what its budget cannot afford.

    The graph is priced whole: calibration, band and dissimilarity count too. Members leave as
    `choose_within_budget` says, and the graph is priced again until it fits.

    Args:
        model: The fitted model with all members.
        pool: The members, those of zero weight included, and how they are pooled.
        X: Rows to time on, shape (rows, features).
        profile: "fast" or "full".
        budget_us: Microseconds at batch 1, in place of the profile's budget; None takes that.
        oof: What a choice is judged by; None with a single member or without folds.
        seed: Seed of the bootstrap.

    Raises:
        SettingsError: The profile is unknown, or nothing fits the budget.
    """
    rows = X[np.unique(np.linspace(0, X.shape[0] - 1, min(X.shape[0], TIMED_ROWS)).astype(np.int64))]
    reference = reference_member(rows)
    *prices, standard, whole = prices_of(
        (*pool.members, reference), rows, graphs=[(WHOLE, _graph(model, rows))]
    )
    budgets = (
        profile_budgets(profile, standard) if budget_us is None else (LatencyBudget(one_row_us=budget_us),)
    )
    weights, choice, share = np.asarray(pool.ensemble.weights, dtype=np.float64), None, 1.0
    while not any(budget.holds([whole]) for budget in budgets):
        kept = np.flatnonzero(weights)
        left = [budget.less(_rest(whole, [prices[member] for member in kept])) for budget in budgets]
        if kept.size == 1 or oof is None or max(budget.one_row_us for budget in left) <= 0.0:
            raise SettingsError(_too_dear(whole, budgets, lone=kept.size == 1 or oof is not None))
        choice = choose_within_budget(
            oof.members,
            oof.target,
            oof.weight,
            oof.blocks,
            prices,
            [budget.times(share) for budget in left],
            seed=seed,
            rule=pool.rule,
        )
        weights = np.asarray(choice.weights)
        # What fits by the sum of its parts and not as a whole gets less at the next attempt.
        share *= NEXT_SHARE
        model = replace(model, direction=pool.direct(replace(pool.ensemble, weights=choice.weights)))
        (whole,) = prices_of((), rows, graphs=[(WHOLE, _graph(model, rows))])
    left_out = np.flatnonzero((weights == 0) & (np.asarray(pool.ensemble.weights) > 0))
    return model, ProfileReport(
        profile=profile if budget_us is None else f"{budget_us:g} us",
        budgets=budgets,
        prices=tuple(prices),
        reference=standard,
        whole=whole,
        dropped=tuple(pool.members[member].name for member in left_out.tolist()),
        log_loss=None if choice is None else choice.log_loss,
        full_log_loss=None if choice is None else choice.full_log_loss,
        lost=None if choice is None else choice.lost,
    )


def _rest(whole: MemberPrice, members: list[MemberPrice]) -> MemberPrice:
    """What the graph costs beside its members: calibration, band, dissimilarity."""
    return replace(
        whole,
        one_row_us=max(0.0, whole.one_row_us - sum(price.one_row_us for price in members)),
        batch_64_us_per_row=max(
            0.0, whole.batch_64_us_per_row - sum(price.batch_64_us_per_row for price in members)
        ),
    )


def _graph(model: ScoringModel, rows: F32) -> bytes:
    return build_fused_graph(model, features=rows.shape[1], metadata={}).SerializeToString()


def _too_dear(whole: MemberPrice, budgets: tuple[LatencyBudget, ...], *, lone: bool) -> str:
    budget = max(budgets, key=lambda each: each.one_row_us)
    remedy = (
        "use fewer or shallower trees, raise --budget-us, or take --profile full"
        if lone
        else "walk forward with --folds that test before the calibration part, so that members can be chosen "
        "by their score, use fewer or shallower trees, raise --budget-us, or take --profile full"
    )
    return (
        f"latency budget of {budget.one_row_us:.3g} us a row and {budget.batch_64_us_per_row:.3g} us a row "
        f"at batch 64 does not hold the graph, which takes {whole.one_row_us:.3g} us and "
        f"{whole.batch_64_us_per_row:.3g} us; {remedy}"
    )


__all__ = ["FittedPool", "OutOfFoldRows", "ProfileReport", "within_profile"]
