"""The operations of ONNX in PyTorch that a speech encoder is made of (https://onnx.ai/onnx/operators/).

Each entry of OPERATIONS takes a `Node`, whose shapes and attributes are known, and gives a function of its inputs as tensors. Where an
operation changed from one version of the set to the next, both forms are read.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.models.onnx_torch.arrangement import ARRANGEMENTS
from core.models.onnx_torch.node import Apply, Node, UnknownOperation


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


def _clip(node: Node) -> Apply:
    low, high = ((node.get(name) if node.opset < 11 else node.constant(position)) for name, position in (("min", 1), ("max", 2)))
    bounds = [None if bound is None else float(np.asarray(bound)) for bound in (low, high)]
    return lambda x, *_more: x.clamp(*bounds)


def _cast(node: Node) -> Apply:
    if node.get("to") not in (1, 10, 11, 16):  # TensorProto's numbers of float32, float16, float64, bfloat16
        raise UnknownOperation("Cast of a computed value to whole numbers")
    return lambda x: x


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
    **ARRANGEMENTS,
}
"""By their names in ONNX; all that a graph may have where a value depends on its input."""
