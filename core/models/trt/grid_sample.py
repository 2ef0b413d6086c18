"""Rewrites GridSample in five dimensions into gathers, for runtimes that sample pictures only."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import NodeProto, TensorProto, helper, numpy_helper

from core.models.checkpoint import CheckpointError

VOLUME_RANK = 5


def without_volume_sampling(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every trilinear GridSample of a (n, c, d, h, w) volume replaced by gathers; results agree to rounding.

    A GridSample whose rank is not known counts as one of volumes. Sizes may be dynamic. Raises CheckpointError for other modes of sampling
    or of padding than "linear" and "zeros".
    """
    out = onnx.ModelProto()
    out.CopyFrom(model)
    ranks = _ranks(model)
    nodes: list[NodeProto] = []
    for number, node in enumerate(model.graph.node):
        if node.op_type == "GridSample" and ranks.get(node.input[0], VOLUME_RANK) == VOLUME_RANK:
            written = _Nodes(f"{node.name or 'grid_sample'}_{number}")
            _sample(written, node)
            nodes += written.nodes
            out.graph.initializer.extend(written.constants)
        else:
            nodes.append(node)
    del out.graph.node[:]
    out.graph.node.extend(nodes)
    return out


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    if not any(node.op_type == "GridSample" for node in model.graph.node):
        return {}
    graph = onnx.shape_inference.infer_shapes(model).graph
    known = (*graph.input, *graph.value_info, *graph.output)
    return {value.name: len(value.type.tensor_type.shape.dim) for value in known if value.type.tensor_type.HasField("shape")}


class _Nodes:
    """Nodes written one after the other; their names start with `prefix`."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._names: dict[tuple[bytes, str, tuple[int, ...]], str] = {}

    def __call__(self, op: str, *inputs: str, result: str = "", **attributes: object) -> str:
        """Writes one node -> the name of its result: `result`, or one of its own."""
        name = result or f"{self.prefix}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], f"{self.prefix}.{op}.{len(self.nodes)}", **attributes))
        return name

    def constant(self, value: ArrayLike, dtype: type[np.generic]) -> str:
        array = np.asarray(value, dtype)
        key = array.tobytes(), array.dtype.str, array.shape
        if key not in self._names:
            self._names[key] = f"{self.prefix}.constant.{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(array, self._names[key]))
        return self._names[key]

    def sum(self, parts: Sequence[str]) -> str:
        total = parts[0]
        for part in parts[1:]:
            total = self("Add", total, part)
        return total


def _sample(add: _Nodes, node: NodeProto) -> None:
    volume, grid = node.input
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    mode, padding = attributes.get("mode", b"linear"), attributes.get("padding_mode", b"zeros")
    if mode not in (b"linear", b"bilinear") or padding != b"zeros":
        raise CheckpointError(f"{node.name or 'a GridSample'} samples {mode.decode()}ly with {padding.decode()} around it.")
    shape, where = add("Shape", volume), add("Shape", grid)

    def whole(*values: int) -> str:
        return add.constant(values, np.int64)

    def size(axis: int) -> str:
        return add("Slice", shape, whole(axis), whole(axis + 1))

    # One row per voxel of all volumes, so that one gather along one axis does it, which every runtime has.
    rows = add("Reshape", add("Transpose", volume, perm=[0, 2, 3, 4, 1]), add("Concat", whole(-1), size(1), axis=0))
    depth, height, width = (size(axis) for axis in (2, 3, 4))
    voxels = add("Mul", add("Mul", depth, height), width)
    count = add("Squeeze", size(0), whole(0))
    numbers = add("Range", add.constant(0, np.int64), count, add.constant(1, np.int64))
    first = add("Mul", add("Reshape", numbers, whole(-1, 1)), voxels)  # (n, 1): the row where each volume begins
    points = add("Reshape", grid, add("Concat", size(0), whole(-1, 3), axis=0))  # (n, points, 3), x before y before z
    axes = []
    for place, length in zip((2, 1, 0), (depth, height, width), strict=True):
        axes.append(_corners(add, points, place, length, bool(attributes.get("align_corners", 0))))
    strides = (add("Mul", height, width), width, whole(1))
    parts = []
    for corner in itertools.product((0, 1), repeat=3):
        chosen = [axis[side] for axis, side in zip(axes, corner, strict=True)]
        index = add.sum([first, *(add("Mul", at, stride) for (at, _), stride in zip(chosen, strides, strict=True))])
        weight = add("Mul", add("Mul", chosen[2][1], chosen[1][1]), chosen[0][1])
        taken = add("Gather", rows, index, axis=0)  # (n, points, c)
        parts.append(add("Mul", taken, add("Unsqueeze", weight, whole(-1))))
    out_sizes = add("Slice", where, whole(0), whole(4))
    sampled = add("Reshape", add.sum(parts), add("Concat", out_sizes, size(1), axis=0))
    add("Transpose", sampled, result=node.output[0], perm=[0, 4, 1, 2, 3])


def _corners(add: _Nodes, points: str, place: int, length: str, align: bool) -> list[tuple[str, str]]:
    """Along one axis: (index, weight) of the voxel below each point and of the one above, each (n, points). Outside the weight is 0."""
    coordinate = add("Gather", points, add.constant(place, np.int64), axis=2)
    n = add("Cast", length, to=TensorProto.FLOAT)
    one, half = add.constant(1, np.float32), add.constant(0.5, np.float32)
    if align:
        at = add("Mul", add("Mul", add("Add", coordinate, one), half), add("Sub", n, one))
    else:
        at = add("Mul", add("Sub", add("Mul", add("Add", coordinate, one), n), one), half)
    below = add("Floor", at)
    share = add("Sub", at, below)
    last = add("Sub", n, one)
    zero = add.constant(0, np.float32)
    out = []
    for corner, weight in ((below, add("Sub", one, share)), (add("Add", below, one), share)):
        inside = add("Min", add("Max", corner, zero), last)
        here = add("Cast", add("Equal", inside, corner), to=TensorProto.FLOAT)
        out.append((add("Cast", inside, to=TensorProto.INT64), add("Mul", weight, here)))
    return out
