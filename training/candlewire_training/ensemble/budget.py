"""What each member costs, what it adds, and which of them a latency budget can afford.

Costs are measured: one-thread ONNX Runtime through Python, the overhead of a call that computes nothing taken
off, beside a 300-tree, depth-6 model of two classes in the same run. What a member adds is the rise of the
cross-fitted out-of-fold log loss when it is left out and the others are weighted again.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import onnxruntime as ort

from candlewire_training.arrays import F32, F64, I32, I64
from candlewire_training.calibration.choosing import class_log_loss
from candlewire_training.ensemble.contract import Ensemble
from candlewire_training.ensemble.stacking import cross_fitted_pool, fit_weights
from candlewire_training.errors import SettingsError
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.export.runtime import one_thread_session
from candlewire_training.members.contract import FitRows, Member, MemberSettings
from candlewire_training.members.registry import make_member
from candlewire_training.validation.block_bootstrap import Estimate, block_estimate

ONE_ROW_US = 40.0
BATCH_64_US_PER_ROW = 10.0
# The same budget on any machine: this many times the reference model.
REFERENCE_MULTIPLE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPrice:
    """Cost of one graph. Medians; the overhead of an empty call is taken off.

    Attributes:
        name: Member.
        one_row_us: Microseconds at batch 1.
        batch_64_us_per_row: Microseconds a row at batch 64.
        megabytes: Size of its nodes.
    """

    name: str
    one_row_us: float
    batch_64_us_per_row: float
    megabytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyBudget:
    """What the chosen members may cost together.

    Attributes:
        one_row_us: Microseconds at batch 1.
        batch_64_us_per_row: Microseconds a row at batch 64; infinite when only batch 1 counts.
    """

    one_row_us: float
    batch_64_us_per_row: float = np.inf

    def less(self, price: MemberPrice) -> "LatencyBudget":
        """What is left once something of this price is paid for."""
        return LatencyBudget(
            one_row_us=self.one_row_us - price.one_row_us,
            batch_64_us_per_row=self.batch_64_us_per_row - price.batch_64_us_per_row,
        )

    def times(self, share: float) -> "LatencyBudget":
        """A share of it."""
        return LatencyBudget(
            one_row_us=share * self.one_row_us, batch_64_us_per_row=share * self.batch_64_us_per_row
        )

    def holds(self, prices: Sequence[MemberPrice]) -> bool:
        """True when the members fit together."""
        return (
            sum(price.one_row_us for price in prices) <= self.one_row_us
            and sum(price.batch_64_us_per_row for price in prices) <= self.batch_64_us_per_row
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetChoice:
    """Which members stay, and what that costs in out-of-fold log loss.

    Attributes:
        kept: Index of each member that stays.
        weights: One for each member of the run, 0 for those that are left out.
        log_loss: Out-of-fold log loss of the choice, nats.
        full_log_loss: That of all members.
        lost: Choice minus full, with its block-bootstrap interval; above zero is quality lost.
    """

    kept: tuple[int, ...]
    weights: tuple[float, ...]
    log_loss: float
    full_log_loss: float
    lost: Estimate


def profile_budgets(profile: str, reference: MemberPrice) -> tuple[LatencyBudget, ...]:
    """Budgets of which one must hold: none for "full", the fixed one or the reference's multiple for "fast".

    Raises:
        SettingsError: There is no such profile.
    """
    if profile == "full":
        return (LatencyBudget(one_row_us=np.inf),)
    if profile != "fast":
        raise SettingsError(f"profile {profile!r} is unknown; use fast or full, or --budget-us")
    return (
        LatencyBudget(one_row_us=ONE_ROW_US, batch_64_us_per_row=BATCH_64_US_PER_ROW),
        LatencyBudget(
            one_row_us=REFERENCE_MULTIPLE * reference.one_row_us,
            batch_64_us_per_row=REFERENCE_MULTIPLE * reference.batch_64_us_per_row,
        ),
    )


def price_members(members: Sequence[Member], X: F32) -> tuple[tuple[MemberPrice, ...], MemberPrice]:
    """Price of each fitted member, and of the reference model, measured in turns.

    Args:
        members: Fitted members.
        X: Rows to time on, shape (rows, features).
    """
    prices = prices_of((*members, reference_member(X)), X)
    return prices[:-1], prices[-1]


def prices_of(
    members: Sequence[Member], X: F32, *, graphs: Sequence[tuple[str, bytes]] = ()
) -> tuple[MemberPrice, ...]:
    """Price of each fitted member alone and then of each named graph, measured in turns.

    Args:
        members: Fitted members.
        X: Rows to time on, shape (rows, features).
        graphs: Names and serialised graphs of input `features`.
    """
    named = [(member.name, _graph(member, X.shape[1])) for member in members] + list(graphs)
    timed = [_graph(None, X.shape[1])] + [graph for _, graph in named]
    rows = np.ascontiguousarray(np.tile(X, (-(-64 // X.shape[0]), 1))[: max(64, min(X.shape[0], 1_024))])
    sessions = [one_thread_session(graph) for graph in timed]
    one = _medians_us(sessions, rows, batch=1, calls=200)
    many = _medians_us(sessions, rows, batch=64, calls=30)
    empty_one, empty_many = one[0], many[0]
    return tuple(
        MemberPrice(
            name=name,
            one_row_us=max(one[number] - empty_one, 0.0),
            batch_64_us_per_row=max(many[number] - empty_many, 0.0) / 64,
            megabytes=len(graph) / 1e6,
        )
        for number, (name, graph) in enumerate(named, start=1)
    )


def reference_member(X: F32) -> Member:
    """300 trees of depth 6 over two classes of no meaning, as full as such trees grow."""
    settings = MemberSettings(
        name="reference", trees=300, depth=6, learning_rate=0.05, leaf_share=0.0, l2=1.0, row_share=1.0
    )
    generator = np.random.default_rng(1)
    rows = X[generator.integers(0, X.shape[0], 4_000)]
    target = np.arange(rows.shape[0], dtype=np.int32) % 2
    fit = FitRows(X=rows, target=target, weight=np.ones(rows.shape[0]), classes=("DOWN", "UP"))
    return make_member(settings).fit(fit)


def _graph(member: Member | None, features: int) -> bytes:
    graph = GraphBuilder()
    result = (
        graph.add("Neg", graph.columns("features", 0, 1))
        if member is None
        else member.export(graph, "features")
    )
    graph.output(result, "result", ["N", "C"])
    return graph.model(features=features, metadata={}).SerializeToString()


def _medians_us(sessions: list[ort.InferenceSession], X: F32, *, batch: int, calls: int) -> list[float]:
    """Median of each session; the sessions take turns, so that a busy machine is equally unfair to all."""
    times = np.empty((calls, len(sessions)))
    for call in range(-3, calls):
        start = (call * batch) % max(X.shape[0] - batch + 1, 1)
        rows = X[start : start + batch]
        for number, session in enumerate(sessions):
            began = time.perf_counter_ns()
            session.run(None, {"features": rows})
            if call >= 0:
                times[call, number] = time.perf_counter_ns() - began
    result: list[float] = (np.median(times, axis=0) / 1e3).tolist()
    return result


def leave_one_out_gains(
    oof: F64, target: I32, weight: F64, blocks: I64, *, seed: int
) -> tuple[Estimate, ...]:
    """What each member adds: log loss without it minus with it, nats, with its block-bootstrap interval.

    Args:
        oof: Out-of-fold probabilities, shape (rows, members, classes).
        target: Class of each row.
        weight: Weight of each row.
        blocks: Time block of each row.
        seed: Seed of the bootstrap.
    """
    with_all = class_log_loss(cross_fitted_pool(oof, target, weight, blocks), target)
    gains = []
    for member in range(oof.shape[1]):
        others = np.delete(oof, member, axis=1)
        if others.shape[1] == 0:
            # Without its only member the ensemble knows the shares of the classes.
            share = np.bincount(target, weights=weight, minlength=oof.shape[2]) / weight.sum()
            without = class_log_loss(np.broadcast_to(share, (target.size, share.size)), target)
        else:
            without = class_log_loss(cross_fitted_pool(others, target, weight, blocks), target)
        gains.append(block_estimate(without - with_all, blocks, seed=seed))
    return tuple(gains)


def choose_within_budget(
    oof: F64,
    target: I32,
    weight: F64,
    blocks: I64,
    prices: Sequence[MemberPrice],
    budgets: Sequence[LatencyBudget],
    *,
    seed: int,
    rule: Callable[[tuple[int, ...]], Ensemble] | None = None,
) -> BudgetChoice:
    """The affordable set of members with the best cross-fitted out-of-fold log loss.

    Every set is tried; ensembles have few members.

    Args:
        oof: Out-of-fold probabilities, shape (rows, members, classes).
        target: Class of each row.
        weight: Weight of each row.
        blocks: Time block of each row.
        prices: One for each member.
        budgets: At least one of them must hold.
        seed: Seed of the bootstrap.
        rule: The ensemble of the members of these indices, where weights are not learnt; None stacks.

    Raises:
        SettingsError: Not even the cheapest member fits.
    """
    members = range(oof.shape[1])

    def losses_of(kept: tuple[int, ...]) -> F64:
        chosen = oof[:, list(kept)]
        pooled = (
            cross_fitted_pool(chosen, target, weight, blocks) if rule is None else rule(kept).pool(chosen)
        )
        return class_log_loss(pooled, target)

    full = losses_of(tuple(members))
    best: tuple[float, tuple[int, ...], F64] | None = None
    for count in range(1, oof.shape[1] + 1):
        for kept in combinations(members, count):
            if not any(budget.holds([prices[member] for member in kept]) for budget in budgets):
                continue
            losses = losses_of(kept)
            mean = float(np.average(losses, weights=weight))
            if best is None or mean < best[0]:
                best = (mean, kept, losses)
    if best is None:
        cheapest = min(prices, key=lambda price: price.one_row_us)
        raise SettingsError(
            f"latency budget of {max(budget.one_row_us for budget in budgets):.3g} us holds no member; the "
            f"cheapest, {cheapest.name}, takes {cheapest.one_row_us:.3g} us a row and "
            f"{cheapest.batch_64_us_per_row:.3g} us a row at batch 64; raise --budget-us, use fewer or "
            "shallower trees, or --profile full"
        )
    mean, kept, losses = best
    weights = np.zeros(oof.shape[1])
    weights[list(kept)] = (
        fit_weights(oof[:, list(kept)], target, weight) if rule is None else rule(kept).weights
    )
    return BudgetChoice(
        kept=tuple(np.flatnonzero(weights).tolist()),
        weights=tuple(weights.tolist()),
        log_loss=mean,
        full_log_loss=float(np.average(full, weights=weight)),
        lost=block_estimate(losses - full, blocks, seed=seed),
    )


__all__ = [
    "BudgetChoice",
    "LatencyBudget",
    "MemberPrice",
    "choose_within_budget",
    "leave_one_out_gains",
    "price_members",
    "prices_of",
    "profile_budgets",
    "reference_member",
]
