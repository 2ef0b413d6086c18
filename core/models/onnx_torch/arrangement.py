"""The operations of ONNX in PyTorch that compute nothing: they cut, join, turn round and repeat."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.models.onnx_torch.node import Apply, Node, UnknownOperation, given_constant


def _reshape(node: Node) -> Apply:
    wanted, own = [int(side) for side in given_constant(node.constant(1))], node.shapes[0]
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
    indices, axis = given_constant(node.constant(1)), node.get("axis", 0) % len(node.shapes[0])
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
    wanted = [int(side) for side in given_constant(node.constant(1))]
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
    value = node.get("value", 0.0) if node.opset < 11 else float(np.asarray(given_constant(node.constant(2), 0.0)))
    around = [amount for i in reversed(range(n)) for amount in (pads[i], pads[n + i])]
    return lambda x, *_more: functional.pad(x, around, value=value)


ARRANGEMENTS: Mapping[str, Callable[[Node], Apply]] = {
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
    "Tile": lambda node: lambda x, _repeats: x.repeat([int(times) for times in given_constant(node.constant(1))]),
    "Pad": _pad,
}
