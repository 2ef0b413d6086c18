"""An ONNX graph of HuBERT's shape, as PyTorch's exporters before version 2 wrote it, with made-up weights.

Norms and GELU come in their parts, shapes are computed within the graph, and the batch is one: what is known of the published file is its
input and output only, and such a graph is the hardest that it may be.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
CONVS = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))
"""Kernel and stride of each convolution: 50 rows a second."""
WIDTH = 1024
OPSET = 14


class Size(NamedTuple):
    """channels: of the convolutions. inner: of a layer's two linear maps."""

    channels: int = 512
    layers: int = 24
    inner: int = 4096
    heads: int = 16


SMALL = Size(32, 2, 128, 4)


class _Graph:
    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Array] = {}
        self._rng = np.random.default_rng(seed)

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Name of the first result of a node."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def value(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"value_{len(self.weights)}"
        self.weights[name] = np.asarray(array, dtype)
        return name

    def weight(self, *shape: int, fan_in: int) -> str:
        return self.value(self._rng.standard_normal(shape, np.float32) * np.float32(fan_in**-0.5))

    def constant(self, number: float) -> str:
        """A node, as exporters write scalars."""
        return self("Constant", value=numpy_helper.from_array(np.array(number, np.float32)))

    def norm(self, x: str, width: int) -> str:
        centred = self("Sub", x, self("ReduceMean", x, axes=[-1]))
        variance = self("ReduceMean", self("Pow", centred, self.constant(2)), axes=[-1])
        scaled = self("Div", centred, self("Sqrt", self("Add", variance, self.constant(1e-5))))
        return self("Add", self("Mul", scaled, self.value(1 + 0.1 * self._rng.standard_normal(width))), self.weight(width, fan_in=100))

    def gelu(self, x: str) -> str:
        erf = self("Erf", self("Div", x, self.constant(2**0.5)))
        return self("Mul", self("Mul", x, self("Add", erf, self.constant(1))), self.constant(0.5))

    def linear(self, x: str, width: int, out: int) -> str:
        return self("Add", self.weight(out, fan_in=width), self("MatMul", x, self.weight(width, out, fan_in=width)))

    def side(self, x: str, axis: int) -> str:
        """(1,) int64: a side of x, as the graph computes it."""
        index = self.value(axis, np.int64)
        return self("Unsqueeze", self("Gather", self("Shape", x), index, axis=0), self.value([0], np.int64))

    def heads_of(self, x: str, n: int) -> str:
        """(1, rows, width) -> (heads, rows, width / heads), by sides that the graph computes."""
        shape = self("Concat", self.side(x, 0), self.side(x, 1), *(self.value([k], np.int64) for k in (n, WIDTH // n)), axis=0)
        split = self("Transpose", self("Reshape", x, shape), perm=[0, 2, 1, 3])
        return self("Reshape", split, self("Concat", self.value([n, -1, WIDTH // n], np.int64), axis=0))


def hubert_graph(size: Size = SMALL, seed: int = 7, samples: int | str = "samples") -> onnx.ModelProto:
    """(1, samples) -> (rows, 1024)."""
    g = _Graph(seed)
    x, channels = g("Unsqueeze", "input_values", g.value([1], np.int64)), 1
    for kernel, stride in CONVS:
        weight, bias = g.weight(size.channels, channels, kernel, fan_in=channels * kernel), g.weight(size.channels, fan_in=100)
        x, channels = g("Conv", x, weight, bias, strides=[stride], kernel_shape=[kernel]), size.channels
        x = g("Transpose", g.norm(g("Transpose", x, perm=[0, 2, 1]), channels), perm=[0, 2, 1])
        x = g.gelu(x)
    x = g.linear(g.norm(g("Transpose", x, perm=[0, 2, 1]), channels), channels, WIDTH)
    x = g("Add", x, _position(g, x))
    for _ in range(size.layers):
        x = g("Add", x, _attention(g, g.norm(x, WIDTH), size.heads))
        inner = g.gelu(g.linear(g.norm(x, WIDTH), WIDTH, size.inner))
        x = g("Add", x, g.linear(inner, size.inner, WIDTH))
    out = g("Squeeze", g.norm(x, WIDTH), g.value([0], np.int64))
    g.nodes.append(helper.make_node("Identity", [out], ["encoding_out"]))
    graph = helper.make_graph(
        g.nodes,
        "hubert",
        [helper.make_tensor_value_info("input_values", TensorProto.FLOAT, [1, samples])],
        [helper.make_tensor_value_info("encoding_out", TensorProto.FLOAT, ["rows", WIDTH])],
        [numpy_helper.from_array(array, name) for name, array in g.weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def _position(g: _Graph, x: str) -> str:
    """A convolution over 128 rows in 16 groups, whose weight is normalised within the graph."""
    direction = g.weight(WIDTH, WIDTH // 16, 128, fan_in=1)
    length = g("Sqrt", g("ReduceSum", g("Mul", direction, direction), g.value([0, 1], np.int64)))
    weight = g("Mul", g("Div", direction, length), g.value(np.full((1, 1, 128), 0.3)))
    conv = g("Conv", g("Transpose", x, perm=[0, 2, 1]), weight, g.weight(WIDTH, fan_in=100), pads=[64, 64], group=16, kernel_shape=[128])
    ends = [g.value([number], np.int64) for number in (0, -1, 2, 1)]
    return g("Transpose", g.gelu(g("Slice", conv, *ends)), perm=[0, 2, 1])


def _attention(g: _Graph, x: str, heads: int) -> str:
    q = g("Mul", g.linear(x, WIDTH, WIDTH), g.constant((WIDTH // heads) ** -0.5))
    q, k, v = (g.heads_of(each, heads) for each in (q, g.linear(x, WIDTH, WIDTH), g.linear(x, WIDTH, WIDTH)))
    weights = g("Softmax", g("MatMul", q, g("Transpose", k, perm=[0, 2, 1])), axis=-1)
    seen = g("Reshape", g("MatMul", weights, v), g.value([1, heads, -1, WIDTH // heads], np.int64))
    shape = g("Concat", g.side(x, 0), g.side(x, 1), g.value([WIDTH], np.int64), axis=0)
    return g.linear(g("Reshape", g("Transpose", seen, perm=[0, 2, 1, 3]), shape), WIDTH, WIDTH)
