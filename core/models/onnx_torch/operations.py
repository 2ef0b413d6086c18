"""The operations of ONNX in PyTorch that a speech encoder is made of (https://onnx.ai/onnx/operators/).

Each entry of OPERATIONS takes a `Node`, whose shapes and attributes are known, and gives a function of its inputs as tensors. Where an
operation changed from one version of the set to the next, both forms are read.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Apply = Callable[..., Any]
"""Tensors, None for an input that is left out -> a tensor, or a tuple of them."""


class UnknownOperation(Exception):
    """A graph has something that is not known here; the message says what."""


@dataclass(frozen=True)
class Node:
    """One node. shapes: of its inputs. constants: its inputs that do not depend on the graph's input, by position.

    opset: version of the set of operations. products: precision in which matrices are multiplied and signals convolved.
    """

    kind: str
    attributes: Mapping[str, Any]
    shapes: Sequence[tuple[int, ...]]
    constants: Mapping[int, NDArray[Any]]
    n_outputs: int
    opset: int
    products: torch.dtype

    def get(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def constant(self, position: int) -> NDArray[Any] | None:
        """The input at a position; None where it is left out. Raises UnknownOperation where it is computed."""
        if position in self.constants:
            return self.constants[position]
        if position < len(self.shapes) and self.shapes[position] != MISSING:
            raise UnknownOperation(f"{self.kind} with a computed input {position + 1}")
        return None

    def numbers(self, name: str, position: int) -> list[int] | None:
        """Whole numbers that are an attribute in older sets, and an input in newer ones."""
        given = self.get(name)
        if given is None:
            given = self.constant(position)
        return None if given is None else [int(number) for number in np.atleast_1d(given)]


MISSING: tuple[int, ...] = (-1,)
"""Shape of an input that is left out."""


def _plain(function: Callable[..., Tensor]) -> Callable[[Node], Apply]:
    return lambda node: function


def _in_order(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Node], Apply]:
    return lambda node: lambda *parts: functools.reduce(function, parts)


def _product(node: Node) -> Apply:
    def multiplied(a: Tensor, b: Tensor) -> Tensor:
        return (a.to(node.products) @ b.to(node.products)).float()

    return multiplied


def _gemm(node: Node) -> Apply:
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)

    def applied(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        a, b = (x.t() if node.get(name, 0) else x for x, name in ((a, "transA"), (b, "transB")))
        out: Tensor = alpha * (a.to(node.products) @ b.to(node.products)).float()
        return out if c is None else out + beta * c

    return applied


def _conv(node: Node) -> Apply:
    n_axes = len(node.shapes[0]) - 2
    if node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or not 1 <= n_axes <= 3:
        raise UnknownOperation(f"Conv with auto_pad {node.get('auto_pad')} over {n_axes} axes")
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[n_axes - 1]
    pads = node.get("pads", [0] * 2 * n_axes)
    before, after = pads[:n_axes], pads[n_axes:]
    around = [amount for pair in zip(reversed(before), reversed(after), strict=True) for amount in pair]
    same = list(before) == list(after)
    more = {
        "stride": tuple(node.get("strides", [1] * n_axes)), "dilation": tuple(node.get("dilations", [1] * n_axes)),
        "groups": node.get("group", 1), "padding": tuple(before) if same else 0,
    }  # fmt: skip

    def applied(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        x, weight = x.to(node.products), weight.to(node.products)
        x = x if same else functional.pad(x, around)
        out: Tensor = convolve(x, weight, None if bias is None else bias.to(node.products), **more)
        return out.float()

    return applied


def _axes(node: Node, position: int = 1) -> tuple[int, ...]:
    """Of a reduction; all of them where none is named."""
    axes = node.numbers("axes", position)
    return tuple(range(len(node.shapes[0]))) if not axes else tuple(axes)


def _reduction(function: Callable[..., Tensor]) -> Callable[[Node], Apply]:
    def of(node: Node) -> Apply:
        if node.get("noop_with_empty_axes", 0):
            raise UnknownOperation(f"{node.kind} with noop_with_empty_axes")
        axes, keep = _axes(node), bool(node.get("keepdims", 1))
        return lambda x, _axes=None: function(x, axes, keepdim=keep)

    return of


def _softmax(node: Node) -> Apply:
    if node.opset >= 13:
        return lambda x: x.softmax(node.get("axis", -1))
    axis = node.get("axis", 1) % len(node.shapes[0])
    rows = math.prod(node.shapes[0][:axis])
    return lambda x: x.reshape(rows, -1).softmax(-1).reshape(node.shapes[0])


def _layer_norm(node: Node) -> Apply:
    shape = node.shapes[0][node.get("axis", -1) % len(node.shapes[0]) :]

    def applied(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
        return functional.layer_norm(x, shape, None, None, node.get("epsilon", 1e-5)) * scale + (0 if bias is None else bias)

    return applied


def _instance_norm(node: Node) -> Apply:
    axes, per_channel = tuple(range(2, len(node.shapes[0]))), (-1, *[1] * (len(node.shapes[0]) - 2))

    def applied(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        centred = x - x.mean(axes, keepdim=True)
        spread = torch.rsqrt(centred.square().mean(axes, keepdim=True) + node.get("epsilon", 1e-5))
        return centred * spread * scale.reshape(per_channel) + bias.reshape(per_channel)

    return applied


def _batch_norm(node: Node) -> Apply:
    per_channel = (-1, *[1] * (len(node.shapes[0]) - 2))

    def applied(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        scale = scale * torch.rsqrt(variance + node.get("epsilon", 1e-5))
        return x * scale.reshape(per_channel) + (bias - mean * scale).reshape(per_channel)

    return applied


def _reshape(node: Node) -> Apply:
    wanted, own = [int(side) for side in _given(node.constant(1))], node.shapes[0]
    if not node.get("allowzero", 0):
        wanted = [own[i] if side == 0 else side for i, side in enumerate(wanted)]
    return lambda x, _shape=None: x.reshape(wanted)


def _flatten(node: Node) -> Apply:
    rows = math.prod(node.shapes[0][: node.get("axis", 1)])
    return lambda x: x.reshape(rows, -1)


def _squeeze(node: Node) -> Apply:
    axes = node.numbers("axes", 1)
    own = node.shapes[0]
    left_out = {axis % len(own) for axis in axes} if axes is not None else {i for i, side in enumerate(own) if side == 1}
    shape = [side for i, side in enumerate(own) if i not in left_out]
    return lambda x, _axes=None: x.reshape(shape)


def _unsqueeze(node: Node) -> Apply:
    axes = node.numbers("axes", 1) or []
    n = len(node.shapes[0]) + len(axes)
    new, own = {axis % n for axis in axes}, iter(node.shapes[0])
    shape = [1 if i in new else next(own) for i in range(n)]
    return lambda x, _axes=None: x.reshape(shape)


def _slice(node: Node) -> Apply:
    own = node.shapes[0]
    starts, ends = (node.numbers(name, position) or [] for name, position in (("starts", 1), ("ends", 2)))
    axes = node.numbers("axes", 3) or list(range(len(starts)))
    steps = node.numbers("steps", 4) or [1] * len(starts)
    if min(steps, default=1) < 1:
        raise UnknownOperation("Slice backwards")
    parts = [slice(None)] * len(own)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        parts[axis] = slice(start, end, step)
    return lambda x, *_more: x[tuple(parts)]


def _split(node: Node) -> Apply:
    axis = node.get("axis", 0)
    side = node.shapes[0][axis]
    each = -(-side // node.n_outputs)
    sizes = node.numbers("split", 1) or [min(each, side - i * each) for i in range(node.n_outputs)]
    return lambda x, _sizes=None: torch.split(x, sizes, axis)


def _gather(node: Node) -> Apply:
    indices, axis = _given(node.constant(1)), node.get("axis", 0) % len(node.shapes[0])
    side = node.shapes[0][axis]
    shape = (*node.shapes[0][:axis], *indices.shape, *node.shapes[0][axis + 1 :])
    wanted = torch.from_numpy(np.asarray(indices, np.int64).reshape(-1) % side)
    there: dict[torch.device, Tensor] = {}

    def applied(x: Tensor, _indices: Any = None) -> Tensor:
        if x.device not in there:
            there[x.device] = wanted.to(x.device)
        return x.index_select(axis, there[x.device]).reshape(shape)

    return applied


def _expand(node: Node) -> Apply:
    wanted = [int(side) for side in _given(node.constant(1))]
    shape = np.broadcast_shapes(node.shapes[0], wanted)
    return lambda x, _shape=None: x.expand(shape)


def _pad(node: Node) -> Apply:
    if node.get("mode", "constant") != "constant":
        raise UnknownOperation(f"Pad by {node.get('mode')}")
    pads, n = node.numbers("pads", 1) or [], len(node.shapes[0])
    if (axes := node.numbers("axes", 3)) is not None:
        every = [0] * 2 * n
        for i, axis in enumerate(axes):
            every[axis % n], every[n + axis % n] = pads[i], pads[len(axes) + i]
        pads = every
    value = node.get("value", 0.0) if node.opset < 11 else float(np.asarray(_given(node.constant(2), 0.0)))
    around = [amount for i in reversed(range(n)) for amount in (pads[i], pads[n + i])]
    return lambda x, *_more: functional.pad(x, around, value=value)


def _clip(node: Node) -> Apply:
    low, high = ((node.get(name) if node.opset < 11 else node.constant(position)) for name, position in (("min", 1), ("max", 2)))
    bounds = [None if bound is None else float(np.asarray(bound)) for bound in (low, high)]
    return lambda x, *_more: x.clamp(*bounds)


def _cast(node: Node) -> Apply:
    if node.get("to") not in (1, 10, 11, 16):  # TensorProto's numbers of float32, float16, float64, bfloat16
        raise UnknownOperation("Cast of a computed value to whole numbers")
    return lambda x: x


def _given(constant: NDArray[Any] | None, default: Any = None) -> Any:
    if constant is None and default is None:
        raise UnknownOperation("an input that is left out")
    return default if constant is None else constant


OPERATIONS: Mapping[str, Callable[[Node], Apply]] = {
    "Add": _plain(torch.add),
    "Sub": _plain(torch.sub),
    "Mul": _plain(torch.mul),
    "Div": _plain(torch.div),
    "Pow": _plain(torch.pow),
    "Neg": _plain(torch.neg),
    "Abs": _plain(torch.abs),
    "Sqrt": _plain(torch.sqrt),
    "Reciprocal": _plain(torch.reciprocal),
    "Exp": _plain(torch.exp),
    "Erf": _plain(torch.erf),
    "Tanh": _plain(torch.tanh),
    "Sigmoid": _plain(torch.sigmoid),
    "Relu": _plain(torch.relu),
    "Gelu": lambda node: lambda x: functional.gelu(x, approximate=node.get("approximate", "none")),
    "Min": _in_order(torch.minimum),
    "Max": _in_order(torch.maximum),
    "Clip": _clip,
    "Where": _plain(torch.where),
    "Cast": _cast,
    "Identity": _plain(lambda x: x),
    "Dropout": _plain(lambda x, *_more: x),
    "Softmax": _softmax,
    "ReduceMean": _reduction(torch.mean),
    "ReduceSum": _reduction(torch.sum),
    "ReduceMax": _reduction(torch.amax),
    "ReduceL2": _reduction(lambda x, axes, keepdim: x.square().sum(axes, keepdim=keepdim).sqrt()),
    "LayerNormalization": _layer_norm,
    "InstanceNormalization": _instance_norm,
    "BatchNormalization": _batch_norm,
    "MatMul": _product,
    "Gemm": _gemm,
    "Conv": _conv,
    "Transpose": lambda node: lambda x: x.permute(node.get("perm") or list(reversed(range(len(node.shapes[0]))))),
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": lambda node: lambda *parts: torch.cat(parts, node.get("axis", 0)),
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "Expand": _expand,
    "Tile": lambda node: lambda x, _repeats: x.repeat([int(times) for times in _given(node.constant(1))]),
    "Pad": _pad,
}
