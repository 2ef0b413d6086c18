"""Runs an ONNX graph with PyTorch, for one shape of its input, and any number of inputs at once.

    graph = TorchGraph(onnx.load(path), (1, 6480), torch.device("cuda"), torch.float16)
    rows = graph(samples)                       # (n, 1, 6480) -> (n, ...)

What does not depend on the content of the input (shapes, weights turned round, tables of positions) is computed while the graph is read, by
the reference implementation of ONNX; only the rest becomes calls of PyTorch. The graph itself may be made for a batch of one: items are
mapped over it (torch.vmap). Products are computed in one precision, all else in float32, so that no sum of squares overflows. Nothing waits
for the device, so a call can be recorded as a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor

from core.models.onnx_torch.node import MISSING, Apply, Node, UnknownOperation
from core.models.onnx_torch.operations import OPERATIONS

MULTIPLIED = frozenset({"MatMul", "Gemm", "Conv"})
"""Operations whose constants are kept in the precision of products."""


class _Step(NamedTuple):
    """One call. given: names of computed values, constants as they are. over: names whose values nothing needs any more."""

    apply: Apply
    given: tuple[str | Tensor | None, ...]
    made: tuple[str, ...]
    over: tuple[str, ...]


class TorchGraph:
    """(n, *shape) float32 on `device` -> the first output, (n, *its shape) float32.

    model: a graph with one input. shape: of one input, with the graph's batch axis, which is 1. products: precision of matrix products and
    convolutions. Raises UnknownOperation for a graph that cannot be run so.
    """

    def __init__(self, model: onnx.ModelProto, shape: tuple[int, ...], device: torch.device, products: torch.dtype) -> None:
        self._device, self._products = device, products
        self._opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 1)
        if model.functions:
            from onnx import inliner

            model = inliner.inline_local_functions(model)
        self._constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        given = [each.name for each in model.graph.input if each.name not in self._constants]
        if len(given) != 1:
            raise UnknownOperation(f"a graph with {len(given)} inputs")
        self._input, self._output = given[0], model.graph.output[0].name
        self._steps: list[_Step] = []
        self._on_device: dict[tuple[str, torch.dtype], Tensor] = {}
        self._computed: dict[str, Tensor] = {self._input: torch.zeros(shape, device=device)}
        with torch.inference_mode():
            self._read(model.graph.node)
        if self._output not in self._computed:
            raise UnknownOperation("an output that does not depend on the input")
        self._forget_early()
        del self._constants, self._computed, self._on_device

    def __call__(self, items: Tensor) -> Tensor:
        out: Tensor = torch.vmap(self._one)(items)
        return out

    def _one(self, item: Tensor) -> Tensor:
        values: dict[str, Any] = {self._input: item}
        for step in self._steps:
            results = step.apply(*(values[each] if isinstance(each, str) else each for each in step.given))
            values.update(zip(step.made, results if isinstance(results, tuple) else (results,), strict=False))
            for name in step.over:
                del values[name]
        out: Tensor = values[self._output]
        return out

    # ---- reading the graph

    def _read(self, nodes: Iterable[onnx.NodeProto]) -> None:
        for node in nodes:
            if node.domain not in ("", "ai.onnx"):
                raise UnknownOperation(f"{node.domain}.{node.op_type}")
            if node.op_type == "If":
                self._read_branch(node)
            elif node.op_type in ("Shape", "Size") and node.input[0] in self._computed:
                self._constants[node.output[0]] = self._measured(node)
            elif all(name in self._constants for name in node.input if name):
                self._constants.update(zip(node.output, self._evaluated(node), strict=False))
            else:
                self._add(node)

    def _measured(self, node: onnx.NodeProto) -> NDArray[Any]:
        value, attributes = self._computed[node.input[0]], _attributes(node)
        if node.op_type == "Size":
            return np.array(value.numel(), np.int64)
        return np.array(value.shape, np.int64)[attributes.get("start", 0) : attributes.get("end")]

    def _evaluated(self, node: onnx.NodeProto) -> list[Any]:
        names = [name for name in dict.fromkeys(node.input) if name]
        values = {name: self._constants[name] for name in names}
        given = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values[name].dtype), None) for name in names]
        results = [helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in node.output if name]
        graph = helper.make_graph([node], "constant", given, results)
        return [np.asarray(result) for result in ReferenceEvaluator(graph, opsets={"": self._opset}).run(None, values)]

    def _read_branch(self, node: onnx.NodeProto) -> None:
        """The branch that is taken, where that is known."""
        if node.input[0] not in self._constants:
            raise UnknownOperation("If by a computed value")
        branch = _attributes(node)["then_branch" if bool(self._constants[node.input[0]]) else "else_branch"]
        self._constants.update({each.name: numpy_helper.to_array(each) for each in branch.initializer})
        self._read(branch.node)
        for inner, outer in zip(branch.output, node.output, strict=True):
            if inner.name in self._constants:
                self._constants[outer] = self._constants[inner.name]
            else:
                self._add(helper.make_node("Identity", [inner.name], [outer]))

    def _add(self, node: onnx.NodeProto) -> None:
        """A step whose result depends on the input. It is run once, so that the shapes behind it are known."""
        if node.op_type not in OPERATIONS:
            raise UnknownOperation(node.op_type)
        shapes = [
            MISSING if not name else tuple(self._computed[name].shape) if name in self._computed else self._constants[name].shape
            for name in node.input
        ]  # fmt: skip
        constants = {i: self._constants[name] for i, name in enumerate(node.input) if name in self._constants}
        described = Node(node.op_type, _attributes(node), shapes, constants, len(node.output), self._opset, self._products)
        apply = OPERATIONS[node.op_type](described)
        given = tuple(name if name in self._computed else self._constant(name, node.op_type) if name else None for name in node.input)
        results = apply(*(self._computed[each] if isinstance(each, str) else each for each in given))
        made = dict(zip(node.output, results if isinstance(results, tuple) else (results,), strict=False))
        self._computed.update(made)
        self._steps.append(_Step(apply, given, tuple(made), ()))

    def _constant(self, name: str, kind: str) -> Tensor:
        value = self._constants[name]
        dtype = torch.from_numpy(np.zeros(1, value.dtype)).dtype
        if dtype.is_floating_point:
            dtype = self._products if kind in MULTIPLIED else torch.float32
        if (name, dtype) not in self._on_device:
            self._on_device[name, dtype] = torch.from_numpy(np.array(value)).to(self._device, dtype)
        return self._on_device[name, dtype]

    def _forget_early(self) -> None:
        """Each value goes after its last use: a call holds few of them at a time."""
        needed = {self._output}
        steps: list[_Step] = []
        for step in reversed(self._steps):
            mentioned = {each for each in (*step.given, *step.made) if isinstance(each, str)}
            steps.append(step._replace(over=tuple(sorted(mentioned - needed))))
            needed |= mentioned
        self._steps = steps[::-1]


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    found = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}
