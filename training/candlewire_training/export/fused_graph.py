"""The one graph: members, stacking, calibration, band and dissimilarity, in plain ONNX operators."""

import numpy as np
import onnx

from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.members.boosted_trees import export_two_classes
from candlewire_training.members.contract import BinaryMarginMember
from candlewire_training.scoring_model import Direction, ScoringModel, has_margin

METADATA_KEY = "candlewire.manifest"
OUTPUTS = (
    "probabilities",
    "probability_low",
    "probability_high",
    "band_low",
    "band_mid",
    "band_high",
    "dissimilarity",
    "member_probabilities",
)


def build_fused_graph(model: ScoringModel, *, features: int, metadata: dict[str, str]) -> onnx.ModelProto:
    """The model as one graph with the inputs and outputs of docs/bundle.md.

    Args:
        model: The fitted model.
        features: Columns of the input.
        metadata: What goes into `metadata_props`; it must not depend on the clock beyond the version.
    """
    graph = GraphBuilder()
    rows = graph.integers([-1])
    classes, members = len(model.classes), len(model.members)
    probabilities, low, high, member_probabilities = _direction(graph, model.direction)
    graph.output(probabilities, "probabilities", ["N", classes])
    vectors = {"probability_low": low, "probability_high": high}
    vectors |= dict(
        zip(("band_low", "band_mid", "band_high"), model.band.export(graph, "features"), strict=True)
    )
    vectors["dissimilarity"] = model.dissimilarity.export(graph, "features")
    for name, tensor in vectors.items():
        graph.output(graph.add("Reshape", tensor, rows), name, ["N"])
    beside = member_probabilities[0] if members == 1 else graph.add("Concat", *member_probabilities, axis=1)
    shaped = graph.add("Reshape", beside, graph.integers([-1, members, classes]))
    graph.output(shaped, "member_probabilities", ["N", members, classes])
    return graph.model(features=features, metadata=metadata)


def _direction(graph: GraphBuilder, direction: Direction) -> tuple[str, str, str, list[str]]:
    """Probabilities [N, classes], the interval's low and high [N, 1], and each member's [N, classes]."""
    classes = len(direction.classes)
    one = graph.floats([1.0])
    first = direction.members[0]
    if (
        direction.calibrator is None
        and has_margin(direction.members, direction.ensemble, classes)
        and isinstance(first, BinaryMarginMember)
    ):
        # The trees run once; nothing stands between their sum and the calibration.
        margin = first.export_margin(graph, "features")
        last, low, high = direction.interval.export(graph, margin)
        member = export_two_classes(graph, graph.add("Sigmoid", margin))
        return export_two_classes(graph, last), low, high, [member]
    members = [member.export(graph, "features") for member in direction.members]
    pooled = direction.ensemble.export(graph, members, classes)
    if direction.calibrator is not None:
        probabilities = direction.calibrator.export(graph, pooled)
        stated = graph.columns(probabilities, classes - 1, classes)
        _, low, high = direction.interval.export(graph, stated)
        return probabilities, graph.add("Min", low, stated), graph.add("Max", high, stated), members
    last, low, high = direction.interval.export(graph, graph.columns(pooled, classes - 1, classes))
    if classes == 2:
        return export_two_classes(graph, last), low, high, members
    others = graph.columns(pooled, 0, classes - 1)
    total = graph.weighted_sums(others, np.ones((1, classes - 1)))
    left_over = graph.add("Mul", graph.add("Div", others, total), graph.add("Sub", one, last))
    return graph.add("Concat", left_over, last, axis=1), low, high, members


__all__ = ["METADATA_KEY", "OUTPUTS", "build_fused_graph"]
