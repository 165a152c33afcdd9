"""Which band goes into the graph: every kind is tried in walk-forward on train rows, the best score wins.

- `log_har`: constant quantiles, mirrored about zero, in units of the volatility scale.
- `log_har_skewed`: the same, each tail for itself, around the median.
- `log_har_trees`: shallow quantile trees in units of the scale.
- `quantile_regression`: quantile trees of the return itself; the plain control of conformalised quantile
  regression.
- `deviation`: constant quantiles in units of the 20-bar standard deviation; the plainest control.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import xgboost as xgb

from candlewire_training.arrays import F32, F64, I64
from candlewire_training.bands.band_inputs import VolatilityColumns
from candlewire_training.bands.return_band import Candidate, QuantileTrees, ReturnBand, conformalise
from candlewire_training.bands.volatility_scale import (
    constant_scale,
    deviation_scale,
    fit_volatility_scale,
)
from candlewire_training.errors import SettingsError
from candlewire_training.members.xgboost_member import RoundProgress
from candlewire_training.validation.block_bootstrap import block_estimate, time_blocks
from candlewire_training.validation.proper_scores import winkler

KINDS = ("log_har", "log_har_skewed", "log_har_trees", "quantile_regression", "deviation")
WITH_TREES = frozenset({"log_har_trees", "quantile_regression"})
# Trees must better the Winkler score of the plain scale by this share, surely, to be worth their time.
TREES_GAIN = 0.005
# A shape or a simpler scale need only be better beyond rounding, as surely.
PLAIN_GAIN = 0.001
MINIMUM_FOLD_ROWS = 500
# Prices that never moved still get a band that is open.
LEAST_HALF_WIDTH = 1e-6
# Quantile trees on more rows than this are no better for the time they take.
MOST_TREE_ROWS = 60_000
# Most of a round of quantile trees is its leaves' quantiles, which XGBoost finds on one thread.
TREE_THREADS = 1


class BandRows(Protocol):
    """Labelled rows, ordered by decision time; arrays of shape (rows,) but for X (rows, features)."""

    @property
    def X(self) -> F32:  # noqa: N802 - the field's name
        """Features."""

    @property
    def forward_return(self) -> F64:
        """Log return over the horizon."""

    @property
    def forward_variance(self) -> F64:
        """Mean variance a bar over the horizon."""

    @property
    def decision_time_ns(self) -> I64:
        """Close of the row's bar."""

    @property
    def known_from_ns(self) -> I64:
        """When the outcome was known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandSettings:
    """How the band is fitted.

    Attributes:
        target_coverage: Coverage aimed at in the long run.
        horizon: Bars ahead.
        tree_rounds: Rounds of each quantile's trees.
        tree_depth: Their levels.
        folds: Walk-forward folds on which a band must earn its place; 0 takes `log_har` unseen.
        kind: One of `KINDS` to take without asking; None asks.
        seed: Seed of the trees.
        threads: Threads of a fit.
    """

    target_coverage: float = 0.9
    horizon: int = 5
    tree_rounds: int = 40
    tree_depth: int = 2
    folds: int = 3
    kind: str | None = None
    seed: int = 7
    threads: int = 1

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise SettingsError(f"band {self.kind!r} is unknown; use one of {', '.join(KINDS)}")

    @property
    def steps(self) -> int:
        """Most steps of a fit, for the progress bar."""
        asked = 0 if self.kind else self.folds * len(WITH_TREES)
        return 2 * self.tree_rounds * (asked + 1)


def fit_return_band(
    rows: BandRows,
    *,
    settings: BandSettings,
    volatility: VolatilityColumns,
    advance: Callable[[], None] = lambda: None,
) -> ReturnBand:
    """Fits the band that earns its place; its multiplier stays 1 until `conformalise`.

    Args:
        rows: Train rows, ordered by decision time.
        settings: How to fit.
        volatility: Columns that foretell volatility.
        advance: Called after each boosting round.
    """
    everything = np.arange(rows.forward_return.size)
    candidates = _walk_forward(rows, settings, volatility, advance) if settings.kind is None else {}
    kind = settings.kind or admitted(candidates)
    band = _fit(kind, rows, everything, settings, volatility, advance)
    if band is None:
        raise SettingsError(f"band {kind!r} needs the features of band_scale; leave the choice open")
    return replace(band, candidates=tuple(candidates.items()))


def admitted(candidates: dict[str, Candidate]) -> str:
    """The kind with the best Winkler score, the plain scale unless another is better by enough.

    By enough: the whole block-bootstrap interval of its gain lies above the least gain of its kind, as what
    looks better may be chance. And in every fold, as a mean over few folds is mostly one wild stretch.
    """
    if not candidates:
        return "log_har"
    plain = candidates["log_har"]

    def earned(kind: str) -> bool:
        gain = TREES_GAIN if kind in WITH_TREES else PLAIN_GAIN
        always = all(mine < its for mine, its in zip(candidates[kind].by_fold, plain.by_fold, strict=True))
        return always and candidates[kind].gain.low > gain * plain.winkler

    contenders = [kind for kind in candidates if kind == "log_har" or earned(kind)]
    return min(contenders, key=lambda kind: candidates[kind].winkler)


def _walk_forward(
    rows: BandRows, settings: BandSettings, volatility: VolatilityColumns, advance: Callable[[], None]
) -> dict[str, Candidate]:
    """Scores of every kind over folds: fitted, conformalised on the next rows, judged on those after."""
    scores: dict[str, list[F64]] = {kind: [] for kind in KINDS}
    covered: dict[str, list[F64]] = {kind: [] for kind in KINDS}
    judged_blocks: list[I64] = []
    for fit, conformal, judged in _folds(rows, settings.folds):
        blocks = time_blocks(rows.decision_time_ns[conformal], horizon=settings.horizon)
        realised = rows.forward_return[judged]
        first = int(judged_blocks[-1].max()) + 1 if judged_blocks else 0
        judged_blocks.append(first + time_blocks(rows.decision_time_ns[judged], horizon=settings.horizon))
        for kind in KINDS:
            band = _fit(kind, rows, fit, settings, volatility, advance)
            if band is None:
                continue
            band = conformalise(band, rows.X[conformal], rows.forward_return[conformal], blocks)
            low, _, high = band.apply(rows.X[judged])
            scores[kind].append(winkler(low, high, realised, target_coverage=settings.target_coverage))
            covered[kind].append(((low <= realised) & (realised <= high)).astype(np.float64))
    if not judged_blocks:
        return {}
    blocks, plain = np.concatenate(judged_blocks), np.concatenate(scores["log_har"])
    return {
        kind: Candidate(
            winkler=float(np.concatenate(scores[kind]).mean()),
            coverage=float(np.concatenate(covered[kind]).mean()),
            by_fold=tuple(float(fold.mean()) for fold in scores[kind]),
            gain=block_estimate(plain - np.concatenate(scores[kind]), blocks, seed=settings.seed),
        )
        for kind in KINDS
        if scores[kind]
    }


def _folds(rows: BandRows, folds: int) -> list[tuple[I64, I64, I64]]:
    """Anchored folds over the newer half of the rows, purged; of the rows before, the newest conformalise."""
    times, known = rows.decision_time_ns, rows.known_from_ns
    edges = np.quantile(times, np.linspace(0.5, 1.0, folds + 1), method="nearest")
    result = []
    for start, end in pairwise(int(edge) for edge in edges):
        boundary = int(np.quantile(times[times <= start], 0.7, method="nearest"))
        parts = (
            np.flatnonzero(known <= boundary),
            np.flatnonzero((times >= boundary) & (known <= start)),
            np.flatnonzero((times >= start) & (times <= end)),
        )
        if min(part.size for part in parts) >= MINIMUM_FOLD_ROWS:
            result.append(parts)
    return result


def _fit(
    kind: str,
    rows: BandRows,
    chosen: I64,
    settings: BandSettings,
    volatility: VolatilityColumns,
    advance: Callable[[], None],
) -> ReturnBand | None:
    X, realised = rows.X[chosen], rows.forward_return[chosen]
    if kind == "deviation":
        scale = deviation_scale(X, columns=volatility, horizon=settings.horizon)
    elif kind == "quantile_regression":
        scale = constant_scale()
    else:
        scale = fit_volatility_scale(
            X, rows.forward_variance[chosen], columns=volatility, horizon=settings.horizon
        )
    if scale is None:
        return None
    standard = realised / scale.apply(X)
    tail = (1.0 - settings.target_coverage) / 2.0
    if kind in {"log_har", "deviation"}:
        half = float(np.quantile(np.abs(standard), settings.target_coverage))
        low, mid, high = -max(half, LEAST_HALF_WIDTH), 0.0, max(half, LEAST_HALF_WIDTH)
    else:
        low, mid, high = (float(q) for q in np.quantile(standard, (tail, 0.5, 1.0 - tail)))
        low, high = min(low, mid - LEAST_HALF_WIDTH), max(high, mid + LEAST_HALF_WIDTH)
    trees = None
    if kind in WITH_TREES:
        thinned = slice(None, None, max(1, -(-standard.size // MOST_TREE_ROWS)))
        # Without a scale to lean on, the trees have more to say.
        depth = settings.tree_depth + (2 if kind == "quantile_regression" else 0)
        with ThreadPoolExecutor(max_workers=min(settings.threads, 2)) as pool:
            below, above = (
                pool.submit(_fit_trees, X[thinned], shifted[thinned], alpha, settings, depth, advance)
                for shifted, alpha in ((standard - low, tail), (standard - high, 1.0 - tail))
            )
            trees = (below.result(), above.result())
    return ReturnBand(
        kind=kind,
        scale=scale,
        quantiles=(low, mid, high),
        trees=trees,
        multiplier=1.0,
        target_coverage=settings.target_coverage,
    )


def _fit_trees(
    X: F32, shifted: F64, alpha: float, settings: BandSettings, depth: int, advance: Callable[[], None]
) -> QuantileTrees:
    parameters = {
        "objective": "reg:quantileerror",
        "quantile_alpha": alpha,
        "base_score": 0.0,
        "max_depth": depth,
        "eta": 0.1,
        "subsample": 0.5,
        "colsample_bytree": 0.5,
        "min_child_weight": max(1.0, X.shape[0] / 50),
        "max_bin": 64,
        "tree_method": "hist",
        "seed": settings.seed,
        "nthread": TREE_THREADS,
    }
    data = xgb.DMatrix(X, label=shifted, nthread=TREE_THREADS)
    booster = xgb.train(
        parameters,
        data,
        num_boost_round=settings.tree_rounds,
        callbacks=[RoundProgress(advance)],
        verbose_eval=False,
    )
    return QuantileTrees(booster=booster, threads=settings.threads)


__all__ = ["KINDS", "BandRows", "BandSettings", "admitted", "fit_return_band"]
