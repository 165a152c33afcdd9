"""Temperature and Platt scaling: softmax of a linear function of the logarithms of the probabilities.

Sources: Platt (1999), Probabilistic outputs for support vector machines; Guo et al. (2017), On calibration of
modern neural networks (temperature).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from candlewire_training.arrays import F64, I32
from candlewire_training.calibration.contract import SMALLEST_PROBABILITY
from candlewire_training.export.graph_builder import GraphBuilder

# A slope beyond this would turn rounding into differences of probability.
LARGEST_SLOPE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearLog:
    """softmax(slope * log p + bias).

    Attributes:
        kind: "temperature" (no bias) or "platt".
        slope: 1 / temperature.
        bias: One for each class; the first is 0.
    """

    kind: str
    slope: float
    bias: tuple[float, ...]

    def apply(self, probabilities: F64) -> F64:
        """Calibrated probabilities."""
        return _softmax(
            self.slope * np.log(np.maximum(probabilities, SMALLEST_PROBABILITY)) + np.asarray(self.bias)
        )

    def export(self, graph: GraphBuilder, probabilities: str) -> str:
        """Max, logarithm, slope, bias, Softmax."""
        positive = graph.add("Max", probabilities, graph.floats([SMALLEST_PROBABILITY]))
        # ONNX Runtime's Log has other bits at the end of a vector; the sum over one element has not.
        alone = graph.add("Unsqueeze", positive, graph.integers([2]))
        logarithm = graph.add("ReduceLogSum", alone, graph.integers([2]), keepdims=0)
        scaled = graph.add("Mul", logarithm, graph.floats([self.slope]))
        if any(self.bias):
            scaled = graph.add("Add", scaled, graph.floats(self.bias, (1, -1)))
        return graph.add("Softmax", scaled, axis=1)

    def record(self) -> dict[str, Any]:
        """Slope and bias."""
        return {"slope": self.slope, "bias": list(self.bias)}


def fit_temperature(probabilities: F64, target: I32, weight: F64) -> LinearLog:
    """One slope for all classes, by maximum likelihood."""
    return _fit("temperature", probabilities, target, weight, biased=False)


def fit_platt(probabilities: F64, target: I32, weight: F64) -> LinearLog:
    """A slope for all classes and a bias for each but the first, by maximum likelihood."""
    return _fit("platt", probabilities, target, weight, biased=True)


def _fit(kind: str, probabilities: F64, target: I32, weight: F64, *, biased: bool) -> LinearLog:
    logarithms = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    classes = probabilities.shape[1]
    happened = np.eye(classes)[target]
    share = weight / weight.sum()

    def unpack(parameters: F64) -> tuple[float, F64]:
        bias = np.zeros(classes)
        if biased:
            bias[1:] = parameters[1:]
        return float(parameters[0]), bias

    def loss(parameters: F64) -> tuple[float, F64]:
        slope, bias = unpack(parameters)
        said = _softmax(slope * logarithms + bias)
        value = -float(share @ np.log(np.maximum((said * happened).sum(axis=1), 1e-300)))
        error = (said - happened) * share[:, None]
        gradient = np.concatenate(([float((error * logarithms).sum())], error.sum(axis=0)[1:]))
        return value, gradient if biased else gradient[:1]

    start = np.concatenate(([1.0], np.zeros(classes - 1))) if biased else np.ones(1)
    bounds = [(0.0, LARGEST_SLOPE)] + [(-20.0, 20.0)] * (start.size - 1)
    slope, bias = unpack(np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x))
    return LinearLog(kind=kind, slope=slope, bias=tuple(bias.tolist()))


def _softmax(scores: F64) -> F64:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    result: F64 = powers / powers.sum(axis=1, keepdims=True)
    return result


__all__ = ["LinearLog", "fit_platt", "fit_temperature"]
