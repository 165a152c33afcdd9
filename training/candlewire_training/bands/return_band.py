"""The return band: quantiles of the forward return in units of a volatility scale, conformalised.

band = scale * (mid -+ multiplier * half-width). The half-widths are constants or shallow quantile trees. The
multiplier is a conformal quantile over the calibration part, in the form that the server's online controller
continues.

Sources: Romano, Patterson and Candès (2019), Conformalized Quantile Regression; Sesia and Candès (2020), A
comparison of some conformal quantile regression methods (the multiplicative form).
"""

from dataclasses import dataclass, replace

import numpy as np
import xgboost as xgb

from candlewire_training.arrays import F32, F64, I64
from candlewire_training.bands.volatility_scale import VolatilityScale
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.export.tree_ensemble import xgboost_trees
from candlewire_training.validation.block_bootstrap import Estimate, design_effect

# Half-widths below this share of their median are taken as this: the band never closes.
LEAST_SHARE = 0.05
LEVELS = (0.8, 0.9, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileTrees:
    """Trees that move one quantile, in units of the scale."""

    booster: xgb.Booster
    threads: int

    def apply(self, X: F32) -> F64:
        """Shift of the quantile, shape (rows,)."""
        return np.asarray(self.booster.predict(xgb.DMatrix(X, nthread=self.threads)), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What one kind of band scored on later train rows than it was fitted on.

    Attributes:
        winkler: Mean Winkler score, conformalised before those rows.
        coverage: Share of them that it covered.
        by_fold: Mean Winkler score in each fold, oldest first.
        gain: Winkler score of `log_har` minus this one's on the same rows, with its block-bootstrap interval;
            above zero is better than the plain scale.
    """

    winkler: float
    coverage: float
    by_fold: tuple[float, ...]
    gain: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnBand:
    """The fitted band.

    Attributes:
        kind: Which of the candidates it is.
        scale: Volatility scale.
        quantiles: Constant low, mid and high quantiles, in units of the scale.
        trees: Trees for low and high, or None.
        multiplier: Conformal multiplier of the half-widths.
        target_coverage: Coverage aimed at in the long run.
        candidates: Every kind that was tried, in walk-forward on train rows; empty when nothing was.
        level_multipliers: Conformal multiplier at each of `LEVELS`; empty before `conformalise`.
    """

    kind: str
    scale: VolatilityScale
    quantiles: tuple[float, float, float]
    trees: tuple[QuantileTrees, QuantileTrees] | None
    multiplier: float
    target_coverage: float
    candidates: tuple[tuple[str, Candidate], ...] = ()
    level_multipliers: tuple[tuple[float, float], ...] = ()

    @property
    def trees_winkler_ratio(self) -> float | None:
        """Winkler score of the scale with trees by that without, on later train rows; None when not tried."""
        tried = dict(self.candidates)
        if not {"log_har", "log_har_trees"} <= set(tried):
            return None
        return tried["log_har_trees"].winkler / tried["log_har"].winkler

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

    def at_level(self, level: float) -> "ReturnBand":
        """The band at another of `LEVELS`: the same shape with that level's multiplier."""
        return replace(self, multiplier=dict(self.level_multipliers)[level], target_coverage=level)

    @property
    def _least(self) -> tuple[float, float]:
        low, mid, high = self.quantiles
        return LEAST_SHARE * (mid - low), LEAST_SHARE * (high - mid)

    def _half_widths(self, X: F32) -> tuple[F64, F64]:
        low, mid, high = self.quantiles
        below = np.full(X.shape[0], mid - low)
        above = np.full(X.shape[0], high - mid)
        if self.trees is not None:
            below = np.maximum(below - self.trees[0].apply(X), self._least[0])
            above = np.maximum(above + self.trees[1].apply(X), self._least[1])
        return below, above

    def export(self, graph: GraphBuilder, features: str) -> tuple[str, str, str]:
        """Adds the band; results have shape [N, 1]."""
        scale = self.scale.export(graph, features)
        low, mid, high = self.quantiles
        centre = graph.add("Mul", scale, graph.floats([mid]))
        if self.trees is None:
            below, above = self.multiplier * (mid - low), self.multiplier * (high - mid)
            return (
                graph.add("Mul", scale, graph.floats([mid - below])),
                centre,
                graph.add("Mul", scale, graph.floats([mid + above])),
            )
        multiplier = graph.floats([self.multiplier])
        low_shift, high_shift = (
            xgboost_trees(trees.booster, base=0.0).export(graph, features) for trees in self.trees
        )
        below_raw = graph.add("Sub", graph.floats([mid - low]), low_shift)
        above_raw = graph.add("Add", graph.floats([high - mid]), high_shift)
        widths = [
            graph.add(
                "Mul", scale, graph.add("Mul", graph.add("Max", raw, graph.floats([least])), multiplier)
            )
            for raw, least in zip((below_raw, above_raw), self._least, strict=True)
        ]
        return graph.add("Sub", centre, widths[0]), centre, graph.add("Add", centre, widths[1])

    def split_points(self) -> list[tuple[int, F32]]:
        """Thresholds of the quantile trees."""
        if self.trees is None:
            return []
        return [
            point for trees in self.trees for point in xgboost_trees(trees.booster, base=0.0).split_points()
        ]


def conformalise(band: ReturnBand, X: F32, forward_return: F64, blocks: I64) -> ReturnBand:
    """The band with its conformal multipliers, from rows that neither scale nor quantiles have seen.

    The finite-sample correction counts independent rows: rows divided by the design effect of the misses.
    """
    low, mid, high = band.apply(X)
    excess = np.maximum((forward_return - mid) / (high - mid), (mid - forward_return) / (mid - low))

    def multiplier(level: float) -> float:
        misses = (excess > np.quantile(excess, level)).astype(np.float64)
        effective = excess.size / design_effect(misses, blocks)
        corrected = min(np.ceil((effective + 1.0) * level) / effective, 1.0)
        # The nearest rank above, as split conformal asks.
        return max(band.multiplier * float(np.quantile(excess, corrected, method="higher")), 1e-3)

    levels = sorted({*LEVELS, band.target_coverage})
    found = {level: multiplier(level) for level in levels}
    return replace(
        band, multiplier=found[band.target_coverage], level_multipliers=tuple(sorted(found.items()))
    )


__all__ = ["LEVELS", "Candidate", "QuantileTrees", "ReturnBand", "conformalise"]
