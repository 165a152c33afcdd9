"""A small builder of ONNX graphs: names tensors, shares constants, fixes operator set versions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 21
ML_OPSET = 3
IR_VERSION = 10
ML_DOMAIN = "ai.onnx.ml"


class GraphBuilder:
    """Collects nodes and constants; every `add` returns the name of its result.

    Only operators whose result for a row does not depend on the batch may be used: no Log, Softplus, Einsum
        or
    LinearClassifier (see docs/training.md). The parity gate checks the bits of what was built.
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._initializers: list[onnx.TensorProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def add(
        self,
        operator: str,
        *inputs: str,
        name: str | None = None,
        domain: str = "",
        **attributes: Any,  # noqa: ANN401 - ONNX attributes are of any type
    ) -> str:
        """Adds one node.

        Args:
            operator: Operator type.
            inputs: Names of its inputs.
            name: Name of its result; one is made up when absent.
            domain: Operator domain.
            attributes: Operator attributes.
        """
        result = name or f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(
                operator, list(inputs), [result], name=f"node_{result}", domain=domain, **attributes
            )
        )
        return result

    def floats(self, values: npt.ArrayLike, shape: Sequence[int] | None = None) -> str:
        """A float32 constant."""
        return self._constant(np.asarray(values, dtype=np.float32), shape)

    def integers(self, values: npt.ArrayLike, shape: Sequence[int] | None = None) -> str:
        """An int64 constant."""
        return self._constant(np.asarray(values, dtype=np.int64), shape)

    def _constant(self, array: npt.NDArray[Any], shape: Sequence[int] | None) -> str:
        array = np.ascontiguousarray(array if shape is None else array.reshape(tuple(shape)))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[key] = name
            self._initializers.append(numpy_helper.from_array(array, name))
        return self._constants[key]

    def weighted_sums(self, values: str, weights: npt.ArrayLike) -> str:
        """Adds sums over columns, one for each row of `weights`: [N, columns] becomes [N, sums].

        A matrix product, because ONNX Runtime's ReduceSum adds up a row in an order that depends on where in
        memory the row begins. A single sum is computed twice: a product with one column may take a path of
        its own.

        Args:
            values: Tensor of shape [N, columns].
            weights: Shape (sums, columns).
        """
        matrix = np.atleast_2d(np.asarray(weights, dtype=np.float32))
        sums = matrix.shape[0]
        total = self.add(
            "MatMul", values, self.floats(matrix.T if sums > 1 else np.repeat(matrix.T, 2, axis=1))
        )
        return self.columns(total, 0, 1) if sums == 1 else total

    def columns(self, values: str, start: int, end: int) -> str:
        """Adds a slice of columns of a [N, columns] tensor."""
        return self.add("Slice", values, self.integers([start]), self.integers([end]), self.integers([1]))

    def output(self, tensor: str, name: str, shape: Sequence[int | str]) -> None:
        """Declares `tensor` as the graph output `name`, float32."""
        self._nodes.append(helper.make_node("Identity", [tensor], [name], name=f"node_{name}"))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def model(
        self, *, features: int, metadata: dict[str, str], input_name: str = "features"
    ) -> onnx.ModelProto:
        """The finished model, checked by ONNX.

        Args:
            features: Columns of the input.
            metadata: What goes into `metadata_props`.
            input_name: Name of the input.
        """
        graph = helper.make_graph(
            _without_identities(self._nodes),
            "candlewire",
            [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["N", features])],
            self._outputs,
            self._initializers,
        )
        operator_sets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML_DOMAIN, ML_OPSET)]
        model = helper.make_model(
            graph, opset_imports=operator_sets, ir_version=IR_VERSION, producer_name="candlewire-training"
        )
        helper.set_model_props(model, dict(sorted(metadata.items())))
        onnx.checker.check_model(model, full_check=True)
        return model


def _without_identities(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Renames each result that feeds one output only to that output: no copy is made."""
    identities = [node for node in nodes if node.op_type == "Identity"]
    sources = [node.input[0] for node in identities]
    renamed = {node.input[0]: node.output[0] for node in identities if sources.count(node.input[0]) == 1}
    kept: list[onnx.NodeProto] = []
    for node in nodes:
        if node.op_type == "Identity" and node.input[0] in renamed:
            continue
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for names in (copy.input, copy.output):
            names[:] = [renamed.get(name, name) for name in names]
        kept.append(copy)
    return kept


__all__ = ["IR_VERSION", "ML_DOMAIN", "ML_OPSET", "OPSET", "GraphBuilder"]
