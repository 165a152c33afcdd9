"""What a member of the ensemble is. A new kind of model implements this and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np

from candlewire_training.arrays import F32, F64, I32
from candlewire_training.errors import SettingsError, TooFewBarsError
from candlewire_training.export.graph_builder import GraphBuilder

# The order of the kinds is that of the documents; `registry.make_member` knows their factories.
KINDS = ("xgboost", "lightgbm", "random_forest", "gradient_boosting", "extra_trees", "logistic")


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRows:
    """Rows that a member is fitted on.

    Attributes:
        X: Features, shape (rows, features), float32 as the server will feed them.
        target: Class of each row, index into `classes`, shape (rows,).
        weight: Weight of each row (class, uniqueness), above zero.
        classes: Names, the most bearish first, the most bullish last.
        validation: Later rows on which boosting stops early; None fits all rounds.
    """

    X: F32
    target: I32
    weight: F64
    classes: tuple[str, ...]
    validation: "FitRows | None" = None

    def __post_init__(self) -> None:
        rows = self.X.shape[0]
        if self.target.shape != (rows,) or self.weight.shape != (rows,):
            raise SettingsError(
                f"rows: X has {rows}, target {self.target.shape} and weight {self.weight.shape}; "
                "give one of each a row"
            )
        if len(self.classes) < 2:
            raise SettingsError(f"classes {self.classes} are too few; name at least two")
        counts = np.bincount(self.target, minlength=len(self.classes)) if rows else np.zeros(1)
        if counts.size > len(self.classes):
            raise SettingsError(f"target holds class {counts.size - 1} of {len(self.classes)}; count from 0")
        if (counts == 0).any() and rows:
            missing = self.classes[int(np.argmin(counts))]
            raise TooFewBarsError(f"the rows to learn from hold no {missing}; give longer history")
        if rows == 0:
            raise TooFewBarsError("there are no rows to learn from; give longer history")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSettings:
    """How one member is fitted. A kind ignores what it has no use for.

    Attributes:
        kind: One of KINDS.
        name: Name in `member_probabilities`; empty takes the kind.
        trees: Boosting rounds, or trees of a forest.
        depth: Levels of each tree; the latency of the graph grows with it.
        learning_rate: Shrinkage of each boosting round.
        patience: Rounds without a better validation score after which boosting stops.
        row_share: Share of the rows that each boosting round sees.
        feature_share: Share of the features that each tree (boosting) or split (forest) may use; None takes
            half of them for boosting, and for a forest the root of their number (Breiman, 2001).
        leaf_share: Least share of the rows in a leaf: a leaf of a hundredth of the rows can still be a real
            effect, a smaller one hardly.
        l2: Penalty on leaf values (boosting) or coefficients (logistic).
        multi_output: XGBoost with three or more classes: one tree a round with a value for each class, in
            place of a tree for each class; several times cheaper to serve.
        seed: Seed of everything random.
        threads: Threads of the fit; the result does not depend on it.
    """

    kind: str = "xgboost"
    name: str = ""
    trees: int = 300
    depth: int = 3
    learning_rate: float = 0.02
    patience: int = 15
    row_share: float = 0.5
    feature_share: float | None = None
    leaf_share: float = 0.01
    l2: float = 10.0
    multi_output: bool = True
    seed: int = 7
    threads: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingsError(f"member kind {self.kind!r} is unknown; use one of {', '.join(KINDS)}")
        ranges = {
            "trees": (self.trees, 1, 10_000),
            "depth": (self.depth, 1, 16),
            "learning-rate": (self.learning_rate, 1e-5, 1.0),
            "patience": (self.patience, 1, 10_000),
            "row-share": (self.row_share, 0.01, 1.0),
            "feature-share": (self.boosted_feature_share, 0.01, 1.0),
            "leaf-share": (self.leaf_share, 0.0, 0.5),
            "l2": (self.l2, 0.0, 1e9),
            "seed": (self.seed, 0, 2**31 - 1),
            "threads": (self.threads, 1, 256),
        }
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise SettingsError(f"{self.kind} {name} {value} is out of range; use {low:g} to {high:g}")

    @property
    def boosted_feature_share(self) -> float:
        """Share of the features that each boosted tree may use."""
        return 0.5 if self.feature_share is None else self.feature_share

    @property
    def label(self) -> str:
        """Name in the graph."""
        return self.name or self.kind


class Member(Protocol):
    """One model of the classes: fitted natively, exported as graph nodes that agree with it."""

    @property
    def name(self) -> str:
        """Name in `member_probabilities`, for example "xgboost"."""

    @property
    def steps(self) -> int:
        """Steps of a fit, for the progress bar."""

    def fit(
        self, rows: FitRows, *, start: "Member | None" = None, advance: Callable[[], None] = lambda: None
    ) -> Self:
        """Fits on `rows`; `advance` is called after each step of `steps`.

        Args:
            rows: What to learn from.
            start: Fitted member of the same kind to continue from: transfer from pooled to one symbol.
            advance: Called after each step.

        Raises:
            SettingsError: The kind cannot continue from another model.
        """

    def probabilities(self, X: F32) -> F64:
        """Probabilities, shape (rows, classes), by the library itself, not by the graph."""

    def export(self, graph: GraphBuilder, features: str) -> str:
        """Adds the nodes; the result is the probabilities, shape [N, classes]."""

    def split_points(self) -> list[tuple[int, F32]]:
        """(feature, thresholds) at which the member may jump; empty when it is continuous."""

    def importances(self) -> F64:
        """Share of each feature in what the member learnt, shape (features,), summing to 1 (or all 0)."""


@runtime_checkable
class BinaryMarginMember(Protocol):
    """A member of two classes that can give its log-odds: the cheapest way into the calibration."""

    def margin(self, X: F32) -> F64:
        """Log-odds of the last class, shape (rows,)."""

    def export_margin(self, graph: GraphBuilder, features: str) -> str:
        """Adds the nodes; the result is the margin, shape [N, 1]."""


__all__ = ["KINDS", "BinaryMarginMember", "FitRows", "Member", "MemberSettings"]
