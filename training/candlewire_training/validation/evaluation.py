"""What a fitted model is worth on rows it has never seen, beside its baselines, with intervals."""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F64
from candlewire_training.data.samples import Samples
from candlewire_training.scoring_model import Scores
from candlewire_training.validation.baselines import baseline_probabilities
from candlewire_training.validation.block_bootstrap import (
    Estimate,
    block_estimate,
    design_effect,
    time_blocks,
)
from candlewire_training.validation.proper_scores import brier, log_loss, winkler


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionResult:
    """Scores of one forecast of direction.

    `gain` is the log loss of the majority baseline minus this one's: above zero is better than knowing
    nothing.
    """

    log_loss: Estimate
    brier: Estimate
    hit_rate: Estimate
    gain: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class BandResult:
    """Scores of one band; `winkler_ratio` is by the control's."""

    coverage: Estimate
    width: float
    winkler: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """One bin of the calibration table."""

    low: float
    high: float
    rows: int
    forecast: float
    happened: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything measured on the test part."""

    rows: int
    decision_times: int
    design_effect: float
    base_rate: float
    direction: dict[str, DirectionResult]
    band: dict[str, BandResult]
    coverage_by_volatility: tuple[float, float, float]
    coverage_by_symbol: dict[str, tuple[int, float]]
    reliability: tuple[Reliability, ...]
    outliers: float
    decisions: dict[str, int]

    def has_skill(self) -> bool:
        """True when the model's log loss beats the majority's with its whole interval."""
        return self.direction["model"].gain.low > 0


def evaluate(
    scores: Scores,
    *,
    train: Samples,
    calibration: Samples,
    test: Samples,
    horizon: int,
    target_coverage: float,
    thresholds: tuple[float, float],
    seed: int,
) -> Evaluation:
    """Measures scores of the test part.

    Args:
        scores: Native scores of the test rows.
        train: Rows the baselines are fitted on.
        calibration: Rows the control band is conformalised on.
        test: The rows.
        horizon: Bars ahead.
        target_coverage: Coverage the band aims at.
        thresholds: P(up) at and above which the policy buys; at and below which it sells.
        seed: Seed of the bootstrap.
    """
    blocks = time_blocks(test.decision_time_ns, horizon=horizon)
    forecasts = {"model": scores.up, **baseline_probabilities(train, test, seed=seed)}
    majority = log_loss(forecasts["majority"], test.up)
    direction = {
        name: DirectionResult(
            log_loss=block_estimate(log_loss(up, test.up), blocks, seed=seed),
            brier=block_estimate(brier(up, test.up), blocks, seed=seed),
            hit_rate=block_estimate(((up >= 0.5) == (test.up == 1)).astype(np.float64), blocks, seed=seed),
            gain=block_estimate(majority - log_loss(up, test.up), blocks, seed=seed),
        )
        for name, up in forecasts.items()
    }
    control = _control_band(calibration, test, target_coverage)
    bands = {"model": (scores.band_low, scores.band_high), "20-bar deviation": control}
    covered = _covered(scores.band_low, scores.band_high, test.forward_return)
    buy, sell = thresholds
    return Evaluation(
        rows=len(test),
        decision_times=int(np.unique(test.decision_time_ns).size),
        design_effect=design_effect(test.up.astype(np.float64), blocks),
        base_rate=float(test.up.mean()),
        direction=direction,
        band={
            name: BandResult(
                coverage=block_estimate(_covered(low, high, test.forward_return), blocks, seed=seed),
                width=float(np.mean(high - low)),
                winkler=float(
                    winkler(low, high, test.forward_return, target_coverage=target_coverage).mean()
                ),
            )
            for name, (low, high) in bands.items()
        },
        coverage_by_volatility=_by_tercile(covered, test.deviation),
        coverage_by_symbol={
            symbol: (int(mask.sum()), float(covered[mask].mean()))
            for index, symbol in enumerate(test.symbols)
            if (mask := test.symbol_index == index).any()
        },
        reliability=_reliability(scores.up, test),
        outliers=float(np.mean(scores.dissimilarity > 1.0)),
        decisions={
            "BUY": int(np.sum(scores.up >= buy)),
            "SELL": int(np.sum(scores.up <= sell)),
            "HOLD": int(np.sum((scores.up < buy) & (scores.up > sell))),
        },
    )


def _control_band(calibration: Samples, test: Samples, target_coverage: float) -> tuple[F64, F64]:
    """The plain control: a constant multiple of the 20-bar standard deviation, conformalised alike."""
    floor = max(float(np.quantile(calibration.deviation, 0.01)), 1e-9)
    excess = np.abs(calibration.forward_return) / np.maximum(calibration.deviation, floor)
    half = np.quantile(excess, target_coverage) * np.maximum(test.deviation, floor)
    return -half, half


def _covered(low: F64, high: F64, realised: F64) -> F64:
    return ((realised >= low) & (realised <= high)).astype(np.float64)


def _by_tercile(covered: F64, volatility: F64) -> tuple[float, float, float]:
    low, high = np.quantile(volatility, (1 / 3, 2 / 3))
    masks = (volatility <= low, (volatility > low) & (volatility <= high), volatility > high)
    first, second, third = (float(covered[mask].mean()) if mask.any() else float("nan") for mask in masks)
    return first, second, third


def _reliability(up: F64, test: Samples, bins: int = 5) -> tuple[Reliability, ...]:
    edges = np.unique(np.quantile(up, np.linspace(0, 1, bins + 1)))
    if edges.size < 2:
        edges = np.array([up.min(), np.nextafter(up.max(), 2.0)])
    index = np.clip(np.searchsorted(edges, up, side="right") - 1, 0, edges.size - 2)
    return tuple(
        Reliability(
            low=float(edges[number]),
            high=float(edges[number + 1]),
            rows=int(mask.sum()),
            forecast=float(up[mask].mean()),
            happened=float(test.up[mask].mean()),
        )
        for number in range(edges.size - 1)
        if (mask := index == number).any()
    )


__all__ = ["BandResult", "DirectionResult", "Evaluation", "Reliability", "evaluate"]
