"""The one graph: members, stacking, calibration, band and dissimilarity, in plain ONNX operators."""

import onnx

from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.scoring_model import CLASSES, ScoringModel

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
    one, rows = graph.floats([1.0]), graph.integers([-1])
    margins = [member.export(graph, "features") for member in model.members]
    stacked = (
        margins[0]
        if len(margins) == 1 and model.weights == (1.0,)
        else _stacked(graph, margins, model.weights)
    )
    up, low, high = model.calibration.export(graph, stacked)
    down = graph.add("Sub", one, up)
    graph.output(graph.add("Concat", down, up, axis=1), "probabilities", ["N", len(CLASSES)])
    vectors = {"probability_low": low, "probability_high": high}
    vectors |= dict(
        zip(("band_low", "band_mid", "band_high"), model.band.export(graph, "features"), strict=True)
    )
    vectors["dissimilarity"] = model.dissimilarity.export(graph, "features")
    for name, tensor in vectors.items():
        graph.output(graph.add("Reshape", tensor, rows), name, ["N"])
    member_up = graph.add(
        "Sigmoid", margins[0] if len(margins) == 1 else graph.add("Concat", *margins, axis=1)
    )
    last = graph.integers([2])
    member_up = graph.add("Unsqueeze", member_up, last)
    members = graph.add("Concat", graph.add("Sub", one, member_up), member_up, axis=2)
    graph.output(members, "member_probabilities", ["N", len(model.members), len(CLASSES)])
    return graph.model(features=features, metadata=metadata)


def _stacked(graph: GraphBuilder, margins: list[str], weights: tuple[float, ...]) -> str:
    weighted = [
        graph.add("Mul", margin, graph.floats([weight]))
        for margin, weight in zip(margins, weights, strict=True)
    ]
    return weighted[0] if len(weighted) == 1 else graph.add("Sum", *weighted)


__all__ = ["METADATA_KEY", "OUTPUTS", "build_fused_graph"]
