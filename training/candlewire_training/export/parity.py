"""The parity gate: a graph that does not say what the fitted pipeline says is never written."""

from dataclasses import dataclass

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
BATCH_SIZES = (1, 7, 64, 1024)
# Rows compared bit by bit between batch sizes; a batch of one is the costly case.
BATCH_ROWS = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """What the gate saw.

    Attributes:
        rows: Rows compared.
        largest_probability_difference: Over all probabilities and the interval.
        largest_relative_difference: Over bands and dissimilarity.
        decisions: For each threshold on P(up): rows at or above it, rows below, near ties, flips.
        batch_sizes: Batch sizes whose outputs were the same bits.
    """

    rows: int
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
    native, exported = model.score(X), runtime.run_in_batches(X, rows=max(BATCH_SIZES))
    for name in OUTPUTS:
        if not np.isfinite(exported[name]).all():
            row = int(np.flatnonzero(~np.isfinite(exported[name]).reshape(X.shape[0], -1).all(axis=1))[0])
            raise ParityError(
                f"parity: output {name} of the graph is not finite at row {row}; nothing was written"
            )
    probability = _probability_difference(native, exported)
    relative = _relative_difference(native, exported)
    decisions = _decisions(native.up, exported["probabilities"][:, -1], decision_thresholds)
    _check_batches(runtime, X[-BATCH_ROWS:])
    return ParityReport(
        rows=X.shape[0],
        largest_probability_difference=probability,
        largest_relative_difference=relative,
        decisions=decisions,
        batch_sizes=BATCH_SIZES,
    )


def _probability_difference(native: Scores, exported: dict[str, F32]) -> float:
    largest = 0.0
    for name in ("probabilities", "probability_low", "probability_high", "member_probabilities"):
        difference = np.abs(getattr(native, name) - exported[name])
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


def _decisions(native: F64, exported: F32, thresholds: tuple[float, ...]) -> dict[str, dict[str, int]]:
    named = {f"{threshold:g}": threshold for threshold in thresholds}
    named |= {f"between values near {threshold:.4f}": threshold for threshold in _between_values(native)}
    counts: dict[str, dict[str, int]] = {}
    for name, threshold in named.items():
        native_above, exported_above = native >= threshold, exported.astype(np.float64) >= threshold
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
