"""What a calibrator is: pooled probabilities in, honest probabilities out."""

from typing import Any, Protocol

from candlewire_training.arrays import F64
from candlewire_training.export.graph_builder import GraphBuilder

# Probabilities below this are taken as this before a logarithm.
SMALLEST_PROBABILITY = 1e-6


class Calibrator(Protocol):
    """A fitted map of probabilities over the classes."""

    @property
    def kind(self) -> str:
        """Its name, for example "temperature"."""

    def apply(self, probabilities: F64) -> F64:
        """Calibrated probabilities from pooled ones, both of shape (rows, classes); rows sum to 1."""

    def export(self, graph: GraphBuilder, probabilities: str) -> str:
        """Adds the map to a tensor [N, classes]; the result has the same shape."""

    def record(self) -> dict[str, Any]:
        """What the manifest says of it."""


__all__ = ["SMALLEST_PROBABILITY", "Calibrator"]
