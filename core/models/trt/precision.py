"""Rewrites an ONNX graph in half precision, but for what half precision cannot hold."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

FLOAT32_OPS = frozenset({
    "GridSample", "InstanceNormalization", "ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL2", "Sqrt", "Reciprocal", "Pow", "Exp",
})  # fmt: skip
"""What stays in float32: where a voxel lies, and what sums or squares more than half precision can hold."""
FLOAT32_RESULTS = frozenset({"Cast", "Constant", "ConstantOfShape", "Range"})
"""Operations that name the type of their result; what they make is cast where it is used."""
FIRST_INPUT_ONLY = frozenset({"Resize"})
"""Their other inputs are float32 by definition."""
SUMS = frozenset({"ReduceMean", "ReduceSum"})
LARGEST_HALF = float(np.finfo(np.float16).max)


def in_half_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in float16 but for `FLOAT32_OPS`, squares that are summed, and operations on weights too large for float16.

    Arguments and results keep their types. The graph has no subgraphs.
    """
    typed = onnx.shape_inference.infer_shapes(model).graph
    # Types of values that inference does not know are those of what it does know: the networks compute in float32 alone.
    values = (*typed.input, *typed.value_info, *typed.output)
    others = {value.name for value in values if value.type.tensor_type.elem_type not in (0, TensorProto.FLOAT)}
    weights = {weight.name: weight for weight in model.graph.initializer}
    others |= {name for name, weight in weights.items() if weight.data_type != TensorProto.FLOAT}
    out = onnx.ModelProto()
    out.CopyFrom(model)
    del out.graph.node[:], out.graph.initializer[:], out.graph.value_info[:], out.graph.input[:]
    out.graph.input.extend(value for value in model.graph.input if value.name not in weights)  # older files list weights as arguments too
    rewrite = _Rewrite(weights, others, {value.name for value in model.graph.output})
    kept = _kept(list(model.graph.node), weights)
    for number, node in enumerate(model.graph.node):
        rewrite.add(node, number, number in kept)
    out.graph.node.extend(rewrite.nodes)
    out.graph.initializer.extend(rewrite.weights.values())
    return out


def _kept(nodes: list[NodeProto], weights: dict[str, TensorProto]) -> set[int]:
    large = {name for name, weight in weights.items() if weight.data_type == TensorProto.FLOAT and _largest(weight) > LARGEST_HALF}
    summed = {node.input[0] for node in nodes if node.op_type in SUMS}
    return {
        number
        for number, node in enumerate(nodes)
        if node.op_type in FLOAT32_OPS or large.intersection(node.input) or (node.op_type == "Mul" and node.output[0] in summed)
    }


def _largest(weight: TensorProto) -> float:
    values = numpy_helper.to_array(weight)
    return float(np.abs(values).max()) if values.size else 0.0


class _Rewrite:
    """Writes the nodes of a graph again, each in its precision, with casts between."""

    def __init__(self, weights: dict[str, TensorProto], others: set[str], results: set[str]) -> None:
        """others: names of what is not float32; results: of what the graph returns."""
        self._given, self._others, self._results = weights, others, results
        self._halves: set[str] = set()  # values that are float16
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, TensorProto] = {}
        self._casts: set[str] = set()

    def add(self, node: NodeProto, number: int, kept: bool) -> None:
        written = NodeProto()
        written.CopyFrom(node)
        written.name = f"{node.op_type}.{number}"
        half = not (kept or node.op_type in FLOAT32_RESULTS)
        for place, name in enumerate(node.input):
            if node.op_type in FLOAT32_RESULTS and name in self._halves:
                continue  # a cast takes any type
            written.input[place] = self._as(name, half and not (place and node.op_type in FIRST_INPUT_ONLY))
        self.nodes.append(written)
        for place, name in enumerate(node.output):
            if not half or not name or name in self._others:
                continue
            self._halves.add(name)
            if name in self._results:  # the name belongs to what is returned, in float32
                written.output[place] = f"{name}.half"
                self._halves.discard(name)
                self.nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.back", to=TensorProto.FLOAT))

    def _as(self, name: str, half: bool) -> str:
        """The name under which a value is there in that precision."""
        if not name:
            return name  # an optional input that is left out
        if name in self._given:
            return self._weight(name, half and name not in self._others)
        if name in self._others:
            return name
        if half == (name in self._halves):
            return name
        cast = f"{name}.as_half" if half else f"{name}.as_float"
        if cast not in self._casts:
            self._casts.add(cast)
            kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
            self.nodes.append(helper.make_node("Cast", [name], [cast], f"{cast}.cast", to=kind))
        return cast

    def _weight(self, name: str, half: bool) -> str:
        stored = f"{name}.half" if half else name
        if stored not in self.weights:
            weight = self._given[name]
            if half:
                weight = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), stored)
            self.weights[stored] = weight
        return stored
