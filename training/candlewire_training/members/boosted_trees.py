"""What all boosted trees share: sums of leaves, one for each class, turned into probabilities."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np

from candlewire_training.arrays import F32, F64
from candlewire_training.errors import SettingsError
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.export.tree_ensemble import TreeEnsemble
from candlewire_training.members.contract import Member, MemberSettings


@dataclass(kw_only=True)
class BoostedTrees(ABC):
    """Boosted trees of any library, after their fit.

    Two classes have one raw score, the log-odds of the last; more have one for each class.
    """

    settings: MemberSettings
    classes_: tuple[str, ...] = field(default=(), init=False)
    features_: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        """Name in the graph."""
        return self.settings.label

    @property
    def steps(self) -> int:
        """Boosting rounds."""
        return self.settings.trees

    @abstractmethod
    def raw_scores(self, X: F32) -> F64:
        """The library's raw scores, shape (rows, 1) for two classes, (rows, classes) for more."""

    @property
    @abstractmethod
    def rounds(self) -> int:
        """Boosting rounds that the fit kept."""

    @abstractmethod
    def ensembles(self) -> tuple[TreeEnsemble, ...]:
        """The trees: one ensemble with all raw scores, or one for each."""

    def probabilities(self, X: F32) -> F64:
        """The library's raw scores through the logistic function or softmax, in float64."""
        raw = self.raw_scores(X)
        if raw.shape[1] == 1:
            last = 1.0 / (1.0 + np.exp(-raw))
            return np.concatenate((1.0 - last, last), axis=1)
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        result: F64 = powers / powers.sum(axis=1, keepdims=True)
        return result

    def margin(self, X: F32) -> F64:
        """Log-odds of the last of two classes, shape (rows,)."""
        self._check_binary()
        result: F64 = self.raw_scores(X)[:, 0]
        return result

    def export(self, graph: GraphBuilder, features: str) -> str:
        """One TreeEnsembleRegressor for each ensemble, then Sigmoid or Softmax."""
        raw = [ensemble.export(graph, features) for ensemble in self.ensembles()]
        if len(self.classes_) == 2:
            return export_two_classes(graph, graph.add("Sigmoid", raw[0]))
        return graph.add("Softmax", raw[0] if len(raw) == 1 else graph.add("Concat", *raw, axis=1), axis=1)

    def export_margin(self, graph: GraphBuilder, features: str) -> str:
        """The raw score, shape [N, 1]."""
        self._check_binary()
        (ensemble,) = self.ensembles()
        return ensemble.export(graph, features)

    def split_points(self) -> list[tuple[int, F32]]:
        """Thresholds of all trees."""
        return [point for ensemble in self.ensembles() for point in ensemble.split_points()]

    def _check_binary(self) -> None:
        if len(self.classes_) != 2:
            raise SettingsError(f"{self.name} has {len(self.classes_)} classes; only two have one margin")

    def _continued(self, start: Member | None) -> "BoostedTrees | None":
        """`start` as what this member may continue from."""
        if start is None:
            return None
        if not isinstance(start, type(self)):
            raise SettingsError(
                f"{self.name} cannot continue from {start.name}; start from one of kind {self.settings.kind}"
            )
        return start


def export_two_classes(graph: GraphBuilder, last: str) -> str:
    """Probabilities [N, 2] from that of the last class [N, 1]."""
    return graph.add("Concat", graph.add("Sub", graph.floats([1.0]), last), last, axis=1)


def shares(values: F64) -> F64:
    """Values scaled to sum to 1; all 0 when there is nothing to share."""
    total = float(values.sum())
    result: F64 = values / total if total > 0 else np.zeros_like(values, dtype=np.float64)
    return result


__all__ = ["BoostedTrees", "export_two_classes", "shares"]
