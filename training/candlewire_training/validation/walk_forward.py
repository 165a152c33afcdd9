"""Members fitted fold by fold, and what they say of rows that none of them has seen."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F64, I32, I64
from candlewire_training.data.samples import Samples
from candlewire_training.ensemble.contract import equal_weights
from candlewire_training.ensemble.stacking import fit_weights, make_ensemble
from candlewire_training.errors import TooFewBarsError
from candlewire_training.members.contract import Member, MemberSettings
from candlewire_training.members.early_stopping import fit_member, fit_rows, stopping_rows
from candlewire_training.members.side_by_side import side_by_side
from candlewire_training.validation.baselines import baseline_probabilities
from candlewire_training.validation.block_bootstrap import Estimate, block_estimate, time_blocks
from candlewire_training.validation.fold_memory import FoldMemory, FoldPredictions
from candlewire_training.validation.folds import Fold
from candlewire_training.validation.member_scoring import MemberScoring
from candlewire_training.validation.proper_scores import log_loss
from candlewire_training.validation.selection_bias import (
    DeflatedSharpe,
    deflated_sharpe,
    probability_of_overfitting,
)

# Train rows that the overfit gap is measured on, evenly spaced.
GAP_ROWS = 20_000
# Groups of equal size over which accuracy should rise with confidence.
CONFIDENCE_GROUPS = 5
# Out-of-fold rows below which members weigh the same.
LEAST_WEIGHED_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRules:
    """What is decided inside each fold, from its train rows alone.

    Attributes:
        choose: Chooses feature columns; None takes all.
        early_stopping: Share of the train rows, the newest, on which boosting stops.
    """

    choose: Callable[[Samples], I64] | None = None
    early_stopping: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFold:
    """Predictions for test rows by models that were fitted on earlier rows alone.

    Attributes:
        rows: Row indices, fold after fold, shape (rows,).
        fold: Number of each row's fold.
        members: Probabilities, shape (rows, members, classes).
        pooled: Probabilities of the ensemble, its weights fitted on earlier folds, shape (rows, classes).
        baselines: P(last class) of each baseline, fitted on the fold's train rows.
        train_accuracy: Accuracy on train rows by fold, of the ensemble with the weights of that fold.
        scored_by: What gave the members' probabilities.
    """

    rows: I64
    fold: I32
    members: F64
    pooled: F64
    baselines: dict[str, F64]
    train_accuracy: tuple[float, ...]
    scored_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldResult:
    """Scores of one fold; log losses are of P(last class), nats a row."""

    name: str
    train_rows: int
    test_rows: int
    purged_rows: int
    first_test_ns: int
    last_test_ns: int
    log_loss: float
    baseline_log_loss: dict[str, float]
    train_accuracy: float
    test_accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """What a walk forward showed.

    Attributes:
        folds: Each fold.
        weights: Of the members, fitted on the out-of-fold rows that had settled in time, see `judge`.
        gain: Log loss of the majority baseline minus the ensemble's, over all out-of-fold rows.
        overfit_gap: Mean accuracy on train rows minus that on test rows.
        sharpe: Of going with the sign of P(last class) minus its share in train, all symbols alike, before
            costs, one return every horizon; deflated by the trials.
        member_overfitting: Probability that the member that looks best in one half of time is below the
            median in the other; None with one member.
        confidence_accuracy: Accuracy by confidence, the least confident fifth first.
        monotone: Whether accuracy never falls as confidence rises.
        trials: Settings tried, this one included.
        scored_by: What gave the members' probabilities.
    """

    folds: tuple[FoldResult, ...]
    weights: tuple[float, ...]
    gain: Estimate
    overfit_gap: float
    sharpe: DeflatedSharpe
    member_overfitting: float | None
    confidence_accuracy: tuple[float, ...]
    monotone: bool
    trials: int
    scored_by: str


def out_of_fold(  # noqa: PLR0913 - each is a choice of its own
    samples: Samples,
    folds: tuple[Fold, ...],
    members: tuple[MemberSettings, ...],
    *,
    ensemble: str = "stack",
    weights: tuple[float, ...] | None = None,
    rules: FitRules = FitRules(),
    starts: tuple[tuple[Member | None, ...], ...] = (),
    memory: FoldMemory | None = None,
    scoring: MemberScoring | None = None,
    advance: Callable[[], None] = lambda: None,
    seed: int = 7,
) -> OutOfFold:
    """Fits every member on every fold.

    Args:
        samples: All rows.
        folds: In order of time.
        members: What to fit.
        ensemble: How they are pooled, see `make_ensemble`.
        weights: Of `fixed`.
        rules: What is decided inside each fold, from its train rows alone.
        starts: For each fold, the members that its own go on from; none when empty.
        memory: Folds that are done, and where new ones are kept; None keeps none.
        scoring: What gives the fitted members' probabilities; None takes each member's own library.
        advance: Called after each fit.
        seed: Of the baselines.

    Raises:
        TooFewBarsError: A fold's train rows lack a class.
    """
    scoring = scoring or MemberScoring()
    parts: list[F64] = []
    pooled: list[F64] = []
    accuracy: list[float] = []
    baselines: dict[str, list[F64]] = {}
    for number, fold in enumerate(folds):
        said = None if memory is None else memory.recall(number)
        if said is None:
            begun = starts[number] if starts else (None,) * len(members)
            said = fitted_fold(
                samples, fold, members, begun, rules=rules, scoring=scoring, advance=advance, seed=seed
            )
            if memory is not None:
                memory.keep(number, said)
        else:
            for _ in members:
                advance()
        earlier = _earlier(samples, folds, parts) if parts else None
        pool = (
            make_ensemble("vote", len(members))
            if ensemble == "stack" and earlier is None
            else make_ensemble(
                ensemble,
                len(members),
                oof=earlier[0] if earlier else None,
                target=earlier[1] if earlier else None,
                weight=earlier[2] if earlier else None,
                weights=weights,
            )
        )
        parts.append(said.unseen)
        pooled.append(pool.pool(said.unseen))
        right = pool.pool(said.seen).argmax(axis=1) == samples.target[_seen(fold)]
        accuracy.append(float(right.mean()))
        for name, up in said.baselines.items():
            baselines.setdefault(name, []).append(up)
    return OutOfFold(
        rows=np.concatenate([fold.test for fold in folds]),
        fold=np.repeat(np.arange(len(folds), dtype=np.int32), [fold.test.size for fold in folds]),
        members=np.concatenate(parts),
        pooled=np.concatenate(pooled),
        baselines={name: np.concatenate(values) for name, values in baselines.items()},
        train_accuracy=tuple(accuracy),
        scored_by=scoring.describe(),
    )


def fitted_fold(
    samples: Samples,
    fold: Fold,
    members: tuple[MemberSettings, ...],
    begun: tuple[Member | None, ...],
    *,
    rules: FitRules,
    scoring: MemberScoring,
    advance: Callable[[], None],
    seed: int,
) -> FoldPredictions:
    """What members fitted on a fold's train rows say of its test rows.

    Args:
        samples: All rows.
        fold: The fold.
        members: What to fit.
        begun: What each goes on from.
        rules: What is decided inside the fold, from its train rows alone.
        scoring: What gives the fitted members' probabilities.
        advance: Called after each fit.
        seed: Of the baselines.

    Raises:
        TooFewBarsError: The train rows lack a class.
    """
    train, test = samples.take(fold.train), samples.take(fold.test)
    columns = None if rules.choose is None else rules.choose(train)
    X, unseen, seen = (
        part if columns is None else part[:, columns] for part in (train.X, test.X, samples.X[_seen(fold)])
    )
    try:
        rows, stopping = fit_rows(train, X), stopping_rows(train, rules.early_stopping, X)
    except TooFewBarsError as error:
        raise TooFewBarsError(f"fold {fold.name}: {error}") from error

    def predicted(settings: MemberSettings, start: Member | None) -> tuple[F64, F64]:
        member = fit_member(settings, rows, stopping, start=start)
        probabilities = scoring.of(member, features=X.shape[1], classes=len(train.classes))
        advance()
        return probabilities(unseen), probabilities(seen)

    said = side_by_side(predicted, members, begun)
    return FoldPredictions(
        unseen=np.stack([test_rows for test_rows, _ in said], axis=1),
        seen=np.stack([train_rows for _, train_rows in said], axis=1),
        baselines=baseline_probabilities(train, test, seed=seed),
    )


def _seen(fold: Fold) -> I64:
    """Train rows that the overfit gap is measured on."""
    return fold.train[:: max(1, fold.train.size // GAP_ROWS)]


def judge(
    samples: Samples,
    folds: tuple[Fold, ...],
    oof: OutOfFold,
    *,
    horizon: int,
    settled_by_ns: int | None = None,
    trials: int = 1,
    seed: int = 7,
) -> WalkForward:
    """Scores of out-of-fold predictions.

    Args:
        samples: All rows.
        folds: The folds of `oof`.
        oof: The predictions.
        horizon: Bars ahead that the label looks.
        settled_by_ns: Weights are fitted on rows whose label was known then: what is calibrated on later rows
            has not seen them. With too few such rows the members weigh the same. None takes all rows.
        trials: Settings tried, this one included.
        seed: Of the bootstrap.
    """
    rows = samples.take(oof.rows)
    blocks = time_blocks(rows.decision_time_ns, horizon=horizon)
    losses = log_loss(oof.pooled[:, -1], rows.up)
    baseline_losses = {name: log_loss(up, rows.up) for name, up in oof.baselines.items()}
    right = (oof.pooled.argmax(axis=1) == rows.target).astype(np.float64)
    results = []
    for number, fold in enumerate(folds):
        mask = oof.fold == number
        times = rows.decision_time_ns[mask]
        results.append(
            FoldResult(
                name=fold.name,
                train_rows=int(fold.train.size),
                test_rows=int(fold.test.size),
                purged_rows=fold.purged_rows,
                first_test_ns=int(times.min()),
                last_test_ns=int(times.max()),
                log_loss=float(losses[mask].mean()),
                baseline_log_loss={name: float(each[mask].mean()) for name, each in baseline_losses.items()},
                train_accuracy=oof.train_accuracy[number],
                test_accuracy=float(right[mask].mean()),
            )
        )
    shares = accuracy_by_confidence(oof.pooled, right)
    return WalkForward(
        folds=tuple(results),
        weights=_weights(oof, rows, settled_by_ns),
        gain=block_estimate(baseline_losses["majority"] - losses, blocks, seed=seed),
        overfit_gap=float(np.mean([each.train_accuracy - each.test_accuracy for each in results])),
        sharpe=deflated_sharpe(
            directional_returns(rows, oof.pooled[:, -1] - oof.baselines["majority"], horizon=horizon),
            trials=trials,
        ),
        member_overfitting=_member_overfitting(oof, rows, blocks),
        confidence_accuracy=shares,
        monotone=all(low <= high for low, high in itertools.pairwise(shares)),
        trials=trials,
        scored_by=oof.scored_by,
    )


def _weights(oof: OutOfFold, rows: Samples, settled_by_ns: int | None) -> tuple[float, ...]:
    if settled_by_ns is None:
        return tuple(fit_weights(oof.members, rows.target, rows.weight).tolist())
    settled = rows.known_from_ns <= settled_by_ns
    if settled.sum() < LEAST_WEIGHED_ROWS:
        return equal_weights(oof.members.shape[1])
    return tuple(fit_weights(oof.members[settled], rows.target[settled], rows.weight[settled]).tolist())


def accuracy_by_confidence(probabilities: F64, right: F64) -> tuple[float, ...]:
    """Share of right rows by confidence, in groups of equal size, the least confident first."""
    order = np.argsort(probabilities.max(axis=1), kind="stable")
    return tuple(float(part.mean()) for part in np.array_split(right[order], CONFIDENCE_GROUPS))


def directional_returns(rows: Samples, lean: F64, *, horizon: int) -> F64:
    """Mean over symbols of sign(lean) x forward return, at every `horizon`-th decision time: none overlap."""
    times, position = np.unique(rows.decision_time_ns, return_inverse=True)
    sums = np.bincount(position, weights=np.sign(lean) * rows.forward_return, minlength=times.size)
    returns: F64 = (sums / np.bincount(position, minlength=times.size))[::horizon]
    return returns


def _earlier(samples: Samples, folds: tuple[Fold, ...], parts: list[F64]) -> tuple[F64, I32, F64]:
    rows = np.concatenate([fold.test for fold in folds[: len(parts)]])
    # Weights of the next fold come from labels that were known before it begins.
    opens = samples.decision_time_ns[folds[len(parts)].test].min()
    known = samples.known_from_ns[rows] <= opens
    return np.concatenate(parts)[known], samples.target[rows[known]], samples.weight[rows[known]]


def _member_overfitting(oof: OutOfFold, rows: Samples, blocks: I64) -> float | None:
    if oof.members.shape[1] < 2:
        return None
    _, block = np.unique(blocks, return_inverse=True)
    counts = np.bincount(block)
    scores = np.stack(
        [
            -np.bincount(block, weights=log_loss(oof.members[:, member, -1], rows.up)) / counts
            for member in range(oof.members.shape[1])
        ],
        axis=1,
    )
    parts = min(10, scores.shape[0] // 2 * 2)
    return probability_of_overfitting(scores, parts=parts) if parts >= 2 else None


__all__ = [
    "LEAST_WEIGHED_ROWS",
    "FitRules",
    "FoldResult",
    "OutOfFold",
    "WalkForward",
    "accuracy_by_confidence",
    "directional_returns",
    "fitted_fold",
    "judge",
    "out_of_fold",
]
