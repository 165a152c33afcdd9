"""The parity gate: a graph that does not say what the fitted pipeline says is never written."""

from dataclasses import dataclass, fields

import numpy as np

from candlewire_training.arrays import F32, F64
from candlewire_training.errors import ParityError
from candlewire_training.export.fused_graph import OUTPUTS
from candlewire_training.export.runtime import OneThreadRuntime
from candlewire_training.scoring_model import Scores, ScoringModel

PROBABILITY_TOLERANCE = 1e-5
# Bands and dissimilarity are compared relative to their size, with a floor of this many log-return units.
RELATIVE_TOLERANCE = 1e-4
ABSOLUTE_FLOOR = 1e-6
# A row whose native probability lies this close to a threshold is a near tie: float32 cannot tell its side.
NEAR_TIE = 1e-6
# Largest share of rows that may hang on the last bits of a member under hard voting.
MOST_VOTE_TIES = 0.05
# Rows scored natively at a time, so that memory stays bounded.
NATIVE_ROWS = 16_384
BATCH_SIZES = (1, 7, 64, 1024)
# Rows compared bit by bit between batch sizes; a batch of one is the costly case.
BATCH_ROWS = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """What the gate saw.

    Attributes:
        rows: Rows compared.
        vote_ties: Rows whose hard vote hangs on the last bits of a member's probabilities: they are counted
            and not compared.
        largest_probability_difference: Over all probabilities and the interval.
        largest_relative_difference: Over bands and dissimilarity.
        decisions: For each threshold on P(up): rows at or above it, rows below, near ties, flips.
        batch_sizes: Batch sizes whose outputs were the same bits.
    """

    rows: int
    vote_ties: int
    largest_probability_difference: float
    largest_relative_difference: float
    decisions: dict[str, dict[str, int]]
    batch_sizes: tuple[int, ...]


def check_parity(
    model: ScoringModel, graph: bytes, X: F32, *, decision_thresholds: tuple[float, ...]
) -> ParityReport:
    """Compares the graph with the native pipeline on rows X.

    Besides the policy's thresholds, which an honest model of direction may never reach, decisions are counted
    at thresholds near the deciles of the native P(up) too, so that the check is never an empty one.

    Args:
        model: The native pipeline.
        graph: The serialised graph.
        X: Rows, shape (rows, features), finite.
        decision_thresholds: Thresholds on P(up) at which a decision changes.

    Raises:
        ParityError: Any probability differs by more than PROBABILITY_TOLERANCE, any decision flips that is no
            near tie, or a row's bits depend on its batch.
    """
    runtime = OneThreadRuntime(graph)
    native, exported = _score_in_parts(model, X), runtime.run_in_batches(X, rows=max(BATCH_SIZES))
    for name in OUTPUTS:
        if not np.isfinite(exported[name]).all():
            row = int(np.flatnonzero(~np.isfinite(exported[name]).reshape(X.shape[0], -1).all(axis=1))[0])
            raise ParityError(
                f"parity: output {name} of the graph is not finite at row {row}; nothing was written"
            )
    vote_ties = int(native.near_ties.sum())
    if vote_ties > MOST_VOTE_TIES * X.shape[0]:
        raise ParityError(
            f"parity: a member's vote hangs on its last bits in {vote_ties} of {X.shape[0]} rows; "
            "use the rule pool; nothing was written"
        )
    probability = _probability_difference(native, exported)
    relative = _relative_difference(native, exported)
    decisions = _all_decisions(native, exported["probabilities"].astype(np.float64), decision_thresholds)
    _check_batches(runtime, X[-BATCH_ROWS:])
    return ParityReport(
        rows=X.shape[0],
        vote_ties=vote_ties,
        largest_probability_difference=probability,
        largest_relative_difference=relative,
        decisions=decisions,
        batch_sizes=BATCH_SIZES,
    )


def _probability_difference(native: Scores, exported: dict[str, F32]) -> float:
    largest = 0.0
    for name in ("probabilities", "probability_low", "probability_high", "member_probabilities"):
        difference = np.abs(getattr(native, name) - exported[name])
        if name != "member_probabilities":
            difference[native.near_ties] = 0.0
        worst = float(difference.max())
        if worst > PROBABILITY_TOLERANCE:
            row = int(np.argmax(difference.reshape(difference.shape[0], -1).max(axis=1)))
            count = int(
                (difference.reshape(difference.shape[0], -1).max(axis=1) > PROBABILITY_TOLERANCE).sum()
            )
            raise ParityError(
                f"parity: {name} differs by {worst:.3g} at row {row} (allowed {PROBABILITY_TOLERANCE:g}; "
                f"{count} of {difference.shape[0]} rows); nothing was written"
            )
        largest = max(largest, worst)
    return largest


def _relative_difference(native: Scores, exported: dict[str, F32]) -> float:
    largest = 0.0
    half_width = native.band_high - native.band_low
    sizes = {
        "band_low": half_width,
        "band_mid": half_width,
        "band_high": half_width,
        "dissimilarity": 1.0 + native.dissimilarity,
    }
    for name, size in sizes.items():
        difference = np.abs(getattr(native, name) - exported[name]) / (size + ABSOLUTE_FLOOR)
        worst = float(difference.max())
        if worst > RELATIVE_TOLERANCE:
            raise ParityError(
                f"parity: {name} differs by {worst:.3g} of its size at row {int(difference.argmax())} "
                f"(allowed {RELATIVE_TOLERANCE:g}); nothing was written"
            )
        largest = max(largest, worst)
    return largest


def _score_in_parts(model: ScoringModel, X: F32) -> Scores:
    parts = [model.score(X[start : start + NATIVE_ROWS]) for start in range(0, X.shape[0], NATIVE_ROWS)]
    return Scores(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Scores)
        }
    )


def _all_decisions(native: Scores, exported: F64, thresholds: tuple[float, ...]) -> dict[str, dict[str, int]]:
    """Decisions on P(last class); with three or more classes on P(first) and the most probable class too."""
    compared = ~native.near_ties
    last, exported_last = native.up[compared], exported[compared, -1]
    counts = _decisions(last, exported_last, thresholds)
    if exported.shape[1] == 2:
        return counts
    first, exported_first = native.probabilities[compared, 0], exported[compared, 0]
    others = _decisions(first, exported_first, tuple(1.0 - threshold for threshold in thresholds))
    counts |= {f"first class {name}": count for name, count in others.items()}
    counts["most probable class"] = _most_probable(native.probabilities[compared], exported[compared])
    return counts


def _most_probable(native: F64, exported: F64) -> dict[str, int]:
    ordered = np.sort(native, axis=1)
    near = ordered[:, -1] - ordered[:, -2] <= 2 * NEAR_TIE
    last = native.shape[1] - 1
    chosen, exported_chosen = native.argmax(axis=1), exported.argmax(axis=1)
    flips = int(np.sum((chosen != exported_chosen) & ~near))
    if flips:
        raise ParityError(f"parity: the most probable class flips in {flips} rows; nothing was written")
    return {
        "above": int((chosen == last).sum()),
        "below": int((chosen != last).sum()),
        "near_ties": int(near.sum()),
        "flips": flips,
    }


def _decisions(native: F64, exported: F64, thresholds: tuple[float, ...]) -> dict[str, dict[str, int]]:
    named = {f"{threshold:g}": threshold for threshold in thresholds}
    named |= {f"between values near {threshold:.4f}": threshold for threshold in _between_values(native)}
    counts: dict[str, dict[str, int]] = {}
    for name, threshold in named.items():
        native_above, exported_above = native >= threshold, exported >= threshold
        near = np.abs(native - threshold) <= NEAR_TIE
        flips = int(np.sum((native_above != exported_above) & ~near))
        if flips:
            raise ParityError(f"parity: {flips} decisions flip at P(up) {name}; nothing was written")
        counts[name] = {
            "above": int(native_above.sum()),
            "below": int((~native_above).sum()),
            "near_ties": int(near.sum()),
            "flips": flips,
        }
    return counts


def _between_values(values: F64) -> list[float]:
    """Thresholds near the deciles, each midway in a gap between values that are clearly apart."""
    distinct = np.unique(values)
    wide = np.flatnonzero(np.diff(distinct) > 10 * NEAR_TIE)
    if wide.size == 0:
        return []
    middles = (distinct[wide] + distinct[wide + 1]) / 2.0
    nearest = np.searchsorted(middles, np.quantile(values, np.arange(1, 10) / 10.0))
    return [float(middle) for middle in np.unique(middles[np.minimum(nearest, middles.size - 1)])]


def _check_batches(runtime: OneThreadRuntime, X: F32) -> None:
    whole = runtime.run(X)
    for size in BATCH_SIZES:
        parts = runtime.run_in_batches(X, rows=size)
        for name in OUTPUTS:
            if whole[name].tobytes() != parts[name].tobytes():
                raise ParityError(
                    f"parity: output {name} has other bits in batches of {size} than in one of {X.shape[0]}; "
                    "nothing was written"
                )


__all__ = ["BATCH_SIZES", "NEAR_TIE", "PROBABILITY_TOLERANCE", "ParityReport", "check_parity"]
