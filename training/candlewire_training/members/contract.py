"""What a member of the ensemble is. A new kind of model implements this and nothing else."""

from collections.abc import Callable
from typing import Protocol, Self

from candlewire_training.arrays import F32, F64, I32
from candlewire_training.export.graph_builder import GraphBuilder


class DirectionMember(Protocol):
    """One model of P(up): fitted natively, exported as graph nodes that agree with it."""

    @property
    def name(self) -> str:
        """Name in `member_probabilities`, for example "xgboost"."""

    def fit(self, X: F32, up: I32, *, advance: Callable[[], None] = lambda: None) -> Self:
        """Fits on rows of shape (rows, features); `advance` is called after each step of `steps`."""

    @property
    def steps(self) -> int:
        """Steps of a fit, for the progress bar."""

    def margin(self, X: F32) -> F64:
        """Log-odds of up, shape (rows,), by the library itself, not by the graph."""

    def export(self, graph: GraphBuilder, features: str) -> str:
        """Adds the nodes; the result is the margin, shape [N, 1]."""

    def split_points(self) -> list[tuple[int, F32]]:
        """(feature, thresholds) at which the member may jump; empty when it is continuous."""


__all__ = ["DirectionMember"]
