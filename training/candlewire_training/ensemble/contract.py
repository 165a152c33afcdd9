"""How members become one forecast: a linear pool of their probabilities, or a vote."""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F64, Bool
from candlewire_training.errors import SettingsError
from candlewire_training.export.graph_builder import GraphBuilder

RULES = ("pool", "vote")
# Two classes this close in one member's eyes: float32 cannot tell which one it votes for.
VOTE_TIE = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Weights of the members, and what they are put on.

    Attributes:
        weights: One for each member, 0 or above, summing to 1.
        rule: "pool" weighs probabilities (soft voting when the weights are equal); "vote" weighs each
            member's most probable class (hard voting).
    """

    weights: tuple[float, ...]
    rule: str = "pool"

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise SettingsError(f"ensemble rule {self.rule!r} is unknown; use one of {', '.join(RULES)}")
        weights = np.asarray(self.weights, dtype=np.float64)
        if weights.size == 0 or not np.isfinite(weights).all() or (weights < 0).any():
            raise SettingsError(f"ensemble weights {self.weights} must be 0 or above; give one a member")
        if abs(float(weights.sum()) - 1.0) > 1e-9:
            raise SettingsError(f"ensemble weights {self.weights} sum to {weights.sum():g}; make it 1")

    @property
    def single(self) -> bool:
        """True when one member's probabilities are the ensemble's."""
        return len(self.weights) == 1 and self.rule == "pool"

    def pool(self, members: F64) -> F64:
        """Probabilities (rows, classes) from the members', shape (rows, members, classes)."""
        said = _votes(members) if self.rule == "vote" else members
        result: F64 = np.einsum("rmc,m->rc", said, np.asarray(self.weights, dtype=np.float64))
        return result

    def export(self, graph: GraphBuilder, members: list[str], classes: int) -> str:
        """Adds the pool over tensors [N, classes]; the result has the same shape."""
        if self.single:
            return members[0]
        if self.rule == "vote":
            members = [_export_vote(graph, member, classes) for member in members]
        beside = members[0] if len(members) == 1 else graph.add("Concat", *members, axis=1)
        # One matrix product sums over the members; see `GraphBuilder.weighted_sums`.
        each = np.eye(classes, dtype=np.float64)
        return graph.weighted_sums(beside, np.concatenate([weight * each for weight in self.weights], axis=1))

    def near_ties(self, members: F64) -> Bool:
        """Rows on which a member's vote hangs on the last bits, shape (rows,)."""
        if self.rule != "vote":
            return np.zeros(members.shape[0], dtype=bool)
        ordered = np.sort(members, axis=2)
        gap = ordered[:, :, -1] - ordered[:, :, -2]
        return np.asarray(gap.min(axis=1) <= VOTE_TIE, dtype=bool)


def _votes(members: F64) -> F64:
    votes = np.zeros_like(members)
    np.put_along_axis(votes, members.argmax(axis=2)[:, :, None], 1.0, axis=2)
    return votes


def _export_vote(graph: GraphBuilder, member: str, classes: int) -> str:
    chosen = graph.add("ArgMax", member, axis=1, keepdims=1, select_last_index=0)
    same = graph.add("Equal", chosen, graph.integers(np.arange(classes), (1, classes)))
    return graph.add("Cast", same, to=1)


def equal_weights(members: int) -> tuple[float, ...]:
    """Every member alike."""
    return tuple(np.full(members, 1.0 / members).tolist())


__all__ = ["RULES", "VOTE_TIE", "Ensemble", "equal_weights"]
