"""The return band: quantiles of the forward return in units of the volatility scale, conformalised.

band = scale * (mid -+ multiplier * half-width). The half-widths are constants, plus shallow quantile trees
when these earn a better Winkler score on later rows than they were fitted on. The multiplier is a conformal
quantile over the calibration part, in the form that the server's online controller continues.
Sources: Romano, Patterson and Candès (2019), Conformalized Quantile Regression; Sesia and Candès (2020), A
comparison of some conformal quantile regression methods (the multiplicative form).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xgboost as xgb

from candlewire_training.arrays import F32, F64, I32, I64
from candlewire_training.bands.volatility_scale import VolatilityScale, fit_volatility_scale
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.export.tree_ensemble import xgboost_trees
from candlewire_training.members.xgboost_direction import RoundProgress
from candlewire_training.validation.block_bootstrap import design_effect
from candlewire_training.validation.proper_scores import winkler

# Half-widths below this, in units of the scale, are taken as this: the band never closes.
LEAST_HALF_WIDTH = 0.05
# Quantile trees must better the Winkler score by this share to be worth their microseconds.
ADMISSION_GAIN = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileTrees:
    """Trees that move one quantile, in units of the scale."""

    booster: xgb.Booster
    threads: int

    def apply(self, X: F32) -> F64:
        """Shift of the quantile, shape (rows,)."""
        return np.asarray(self.booster.predict(xgb.DMatrix(X, nthread=self.threads)), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnBand:
    """The fitted band.

    Attributes:
        scale: Volatility scale.
        quantiles: Constant low, mid and high quantiles, in units of the scale.
        trees: Trees for low and high, or None when they did not earn their place.
        multiplier: Conformal multiplier of the half-widths.
        target_coverage: Coverage aimed at in the long run.
        trees_winkler_ratio: Winkler score with trees by that without, on held-back train rows; None when not
            tried.
    """

    scale: VolatilityScale
    quantiles: tuple[float, float, float]
    trees: tuple[QuantileTrees, QuantileTrees] | None
    multiplier: float
    target_coverage: float
    trees_winkler_ratio: float | None = None

    def apply(self, X: F32) -> tuple[F64, F64, F64]:
        """Low, mid and high of the forward log return, each of shape (rows,)."""
        scale = self.scale.apply(X)
        below, above = self._half_widths(X)
        mid = self.quantiles[1]
        return (
            scale * (mid - self.multiplier * below),
            scale * mid,
            scale * (mid + self.multiplier * above),
        )

    def _half_widths(self, X: F32) -> tuple[F64, F64]:
        low, mid, high = self.quantiles
        below = np.full(X.shape[0], mid - low)
        above = np.full(X.shape[0], high - mid)
        if self.trees is not None:
            below = below - self.trees[0].apply(X)
            above = above + self.trees[1].apply(X)
        return np.maximum(below, LEAST_HALF_WIDTH), np.maximum(above, LEAST_HALF_WIDTH)

    def export(self, graph: GraphBuilder, features: str) -> tuple[str, str, str]:
        """Adds the band; results have shape [N, 1]."""
        scale = self.scale.export(graph, features)
        low, mid, high = self.quantiles
        centre = graph.add("Mul", scale, graph.floats([mid]))
        if self.trees is None:
            below = self.multiplier * max(mid - low, LEAST_HALF_WIDTH)
            above = self.multiplier * max(high - mid, LEAST_HALF_WIDTH)
            return (
                graph.add("Mul", scale, graph.floats([mid - below])),
                centre,
                graph.add("Mul", scale, graph.floats([mid + above])),
            )
        least, multiplier = graph.floats([LEAST_HALF_WIDTH]), graph.floats([self.multiplier])
        low_shift, high_shift = (
            xgboost_trees(trees.booster, base=0.0).export(graph, features) for trees in self.trees
        )
        below_raw = graph.add("Sub", graph.floats([mid - low]), low_shift)
        above_raw = graph.add("Add", graph.floats([high - mid]), high_shift)
        widths = [
            graph.add("Mul", scale, graph.add("Mul", graph.add("Max", raw, least), multiplier))
            for raw in (below_raw, above_raw)
        ]
        return graph.add("Sub", centre, widths[0]), centre, graph.add("Add", centre, widths[1])

    def split_points(self) -> list[tuple[int, F32]]:
        """Thresholds of the quantile trees."""
        if self.trees is None:
            return []
        return [
            point for trees in self.trees for point in xgboost_trees(trees.booster, base=0.0).split_points()
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class BandSettings:
    """How the band is fitted."""

    target_coverage: float = 0.9
    horizon: int = 5
    tree_rounds: int = 40
    tree_depth: int = 2
    seed: int = 7
    threads: int = 1


def fit_return_band(
    X: F32,
    forward_return: F64,
    forward_variance: F64,
    *,
    settings: BandSettings,
    volatility: I32,
    holdout: tuple[I64, I64] | None,
    advance: Callable[[], None] = lambda: None,
) -> ReturnBand:
    """Fits scale and quantiles on train rows; the multiplier stays 1 until `conformalise`.

    Args:
        X: Features of train rows, shape (rows, features).
        forward_return: Log return over the horizon.
        forward_variance: Mean variance a bar over the horizon.
        settings: How to fit.
        volatility: Columns that measure volatility.
        holdout: Earlier and later train rows (purged) on which quantile trees must earn their place; None
            leaves the trees out.
        advance: Called after each boosting round.
    """

    def fit(rows: I64 | slice, *, with_trees: bool) -> ReturnBand:
        return _fit_quantiles(
            X[rows],
            forward_return[rows],
            forward_variance[rows],
            settings=settings,
            volatility=volatility,
            with_trees=with_trees,
            advance=advance,
        )

    everything = slice(None)
    if holdout is None:
        return fit(everything, with_trees=False)
    earlier, later = holdout
    with_trees, without = (
        _winkler_of(fit(earlier, with_trees=trees), X[later], forward_return[later])
        for trees in (True, False)
    )
    ratio = with_trees / without
    chosen = fit(everything, with_trees=ratio < 1.0 - ADMISSION_GAIN)
    return replace(chosen, trees_winkler_ratio=ratio)


def _winkler_of(band: ReturnBand, X: F32, realised: F64) -> float:
    low, _, high = band.apply(X)
    return float(winkler(low, high, realised, target_coverage=band.target_coverage).mean())


def _fit_quantiles(
    X: F32,
    forward_return: F64,
    forward_variance: F64,
    *,
    settings: BandSettings,
    volatility: I32,
    with_trees: bool,
    advance: Callable[[], None],
) -> ReturnBand:
    scale = fit_volatility_scale(X, forward_variance, columns=volatility, horizon=settings.horizon)
    standard = forward_return / scale.apply(X)
    tail = (1.0 - settings.target_coverage) / 2.0
    low, mid, high = (float(q) for q in np.quantile(standard, (tail, 0.5, 1.0 - tail)))
    trees = None
    if with_trees:
        trees = (
            _fit_trees(X, standard - low, tail, settings, advance),
            _fit_trees(X, standard - high, 1.0 - tail, settings, advance),
        )
    return ReturnBand(
        scale=scale,
        quantiles=(low, mid, high),
        trees=trees,
        multiplier=1.0,
        target_coverage=settings.target_coverage,
    )


def _fit_trees(
    X: F32, shifted: F64, alpha: float, settings: BandSettings, advance: Callable[[], None]
) -> QuantileTrees:
    parameters = {
        "objective": "reg:quantileerror",
        "quantile_alpha": alpha,
        "base_score": 0.0,
        "max_depth": settings.tree_depth,
        "eta": 0.1,
        "subsample": 0.5,
        "colsample_bytree": 0.5,
        "min_child_weight": max(1.0, X.shape[0] / 50),
        "max_bin": 64,
        "tree_method": "hist",
        "seed": settings.seed,
        "nthread": settings.threads,
    }
    data = xgb.DMatrix(X, label=shifted, nthread=settings.threads)
    booster = xgb.train(
        parameters,
        data,
        num_boost_round=settings.tree_rounds,
        callbacks=[RoundProgress(advance)],
        verbose_eval=False,
    )
    return QuantileTrees(booster=booster, threads=settings.threads)


def conformalise(band: ReturnBand, X: F32, forward_return: F64, blocks: I64) -> ReturnBand:
    """The band with its conformal multiplier, from rows that neither scale nor quantiles have seen.

    The finite-sample correction counts independent rows: rows divided by the design effect of the misses.
    """
    low, mid, high = band.apply(X)
    excess = np.maximum((forward_return - mid) / (high - mid), (mid - forward_return) / (mid - low))
    misses = (excess > np.quantile(excess, band.target_coverage)).astype(np.float64)
    effective = excess.size / design_effect(misses, blocks)
    level = min(np.ceil((effective + 1.0) * band.target_coverage) / effective, 1.0)
    # The nearest rank above, as split conformal asks.
    multiplier = float(np.quantile(excess, level, method="higher"))
    return replace(band, multiplier=max(band.multiplier * multiplier, 1e-3))


__all__ = ["BandSettings", "QuantileTrees", "ReturnBand", "conformalise", "fit_return_band"]
