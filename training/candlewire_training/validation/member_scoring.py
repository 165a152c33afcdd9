"""Probabilities of fitted members over many rows: by their own libraries, or by the server's tree kernel.

The kernel scores what will be served: the exported trees, with the bits of ONNX Runtime on one thread. What
comes after the trees (a sigmoid, a softmax) runs in ONNX Runtime itself.
"""

import logging
from collections.abc import Callable

import candlewire_features as cf
import numpy as np
import onnx
from onnx import TensorProto, helper

from candlewire_training.arrays import F32, F64
from candlewire_training.errors import SettingsError
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.export.runtime import one_thread_session
from candlewire_training.members.contract import Member
from candlewire_training.settings import SCORINGS

PROBABILITIES = "probabilities"
FEATURES = "features"

_log = logging.getLogger(__name__)


class MemberScoring:
    """How members are scored in a run, and which of them the kernel does not hold."""

    def __init__(self, way: str = "native", *, threads: int = 1) -> None:
        """Sets the way.

        Args:
            way: One of SCORINGS.
            threads: Threads of the kernel; no score depends on them.

        Raises:
            SettingsError: The way is unknown.
        """
        if way not in SCORINGS:
            raise SettingsError(f"scoring {way!r} is unknown; use one of {', '.join(SCORINGS)}")
        self._way, self._threads = way, threads
        self._natively: dict[str, str] = {}

    def of(self, member: Member, *, features: int, classes: int) -> Callable[[F32], F64]:
        """The function that gives a fitted member's probabilities, shape (rows, classes).

        Args:
            member: The member.
            features: Columns of its rows.
            classes: Its classes.
        """
        if self._way == "native":
            return member.probabilities
        model = exported_member(member, features=features, classes=classes)
        scorer = cf.TreeScorer(model.SerializeToString())
        if scorer.is_complete:
            return KernelMember(model, scorer, threads=self._threads).probabilities
        if member.name not in self._natively:
            self._natively[member.name] = "; ".join(scorer.report) or "it has no trees"
            _log.warning(
                "scoring kernel: %s is scored by its own library: %s",
                member.name,
                self._natively[member.name],
            )
        return member.probabilities

    def describe(self) -> str:
        """What scored the members, for the model card."""
        if self._way == "native":
            return "their own libraries"
        return "the tree kernel, with the bits of the graph; those without trees by their own library"


class KernelMember:
    """One exported member: its trees on the kernel, the rest of its graph in ONNX Runtime on one thread."""

    def __init__(self, model: onnx.ModelProto, scorer: cf.TreeScorer, *, threads: int = 1) -> None:
        self._scorer, self._threads = scorer, threads
        rest = _without_trees(model, set(scorer.outputs))
        self._inputs = [] if rest is None else [value.name for value in rest.graph.input]
        self._session = None if rest is None else one_thread_session(rest.SerializeToString())

    def probabilities(self, X: F32) -> F64:
        """Probabilities, shape (rows, classes), with the bits of the exported graph."""
        X = np.ascontiguousarray(X, dtype=np.float32)
        values = self._scorer.score(X, threads=self._threads) | {FEATURES: X}
        if self._session is not None:
            (values[PROBABILITIES],) = self._session.run(
                [PROBABILITIES], {name: values[name] for name in self._inputs}
            )
        result: F64 = values[PROBABILITIES].astype(np.float64)
        return result


def exported_member(member: Member, *, features: int, classes: int) -> onnx.ModelProto:
    """The graph of one member alone: `features` in, `probabilities` out."""
    graph = GraphBuilder()
    graph.output(member.export(graph, FEATURES), PROBABILITIES, ["N", classes])
    return graph.model(features=features, metadata={})


def _without_trees(model: onnx.ModelProto, known: set[str]) -> onnx.ModelProto | None:
    """The nodes after the trees, whose results become inputs; None when nothing comes after them."""
    nodes = [node for node in model.graph.node if not known & set(node.output)]
    if not nodes:
        return None
    read = {name for node in nodes for name in node.input}
    inputs = [value for value in model.graph.input if value.name in read]
    inputs += [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", None]) for name in sorted(known & read)
    ]
    constants = [constant for constant in model.graph.initializer if constant.name in read]
    graph = helper.make_graph(nodes, "after_the_trees", inputs, list(model.graph.output), constants)
    return helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)


__all__ = ["KernelMember", "MemberScoring", "exported_member"]
