"""Calls of a network that can be compiled ahead of time (torch.export, then AOTInductor), with the network itself behind them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

log = logging.getLogger(__name__)


class Form(NamedTuple):
    """How a tensor lies in memory. Compiled code takes all of this for granted, and most of it unchecked."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: str

    @staticmethod
    def of(tensor: Tensor) -> Form:
        return Form(tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device.type)


Layout = tuple[Form, ...]
"""Of the tensors of a call, one by one."""


class Slot(nn.Module):
    """Where compiled code is put. It has no weights: `spaces.aoti_apply` empties those of the module that it is given."""

    def forward(self, *tensors: Tensor) -> Tensor:
        raise RuntimeError("nothing was compiled")


class CompilableCall:
    """One method of a network, from tensors (in tuples, lists and NamedTuples) to one tensor. Called as the method is.

    Compiled code, once `use` was called, takes the tensors one by one, and only calls whose tensors lie as those that it was compiled for;
    others, and all after it failed once, run the method itself. name: in messages.
    """

    def __init__(self, name: str, network: nn.Module, method: str = "forward") -> None:
        self.name, self.network, self.method = name, network, method
        self.eager: Callable[..., Tensor] = getattr(network, method)
        self.slot = Slot()
        self.layout: Layout | None = None
        """Of what the code in the slot takes; None: it is empty, or failed."""

    def __call__(self, *arguments: Any) -> Tensor:
        if self.layout is not None:
            tensors = pytree.tree_leaves(arguments)
            if tuple(map(Form.of, tensors)) == self.layout:
                try:
                    out: Tensor = self.slot(*tensors)
                    return out
                except torch.OutOfMemoryError:
                    raise
                except Exception as error:  # of a loader, a driver or generated code
                    self.layout = None
                    log.warning("ditto's %s runs uncompiled from now on: %s", self.name, said(error))
        return self.eager(*arguments)

    def use(self, layout: Layout) -> None:
        """The slot has code for tensors that lie so."""
        self.layout = layout

    def program(self, arguments: Sequence[Any]) -> torch.export.ExportedProgram:
        """The method as a graph, for arguments of these shapes. Raises what torch.export raises."""
        tensors, shape = pytree.tree_flatten(tuple(arguments))
        with torch.no_grad():
            return torch.export.export(_Method(self.network, self.eager, shape), tuple(map(stand_in, tensors)))


class _Method(nn.Module):
    """A method as the forward of a module, of tensors one by one. network: has the weights, which export looks for in modules."""

    def __init__(self, network: nn.Module, method: Callable[..., Tensor], arguments: pytree.TreeSpec) -> None:
        super().__init__()
        self.network, self._method, self._arguments = network, method, arguments

    def forward(self, *tensors: Tensor) -> Tensor:
        return self._method(*pytree.tree_unflatten(list(tensors), self._arguments))


def stand_in(tensor: Tensor) -> Tensor:
    """Zeros that lie as the tensor does, elements that share memory included; never of inference mode, which export does not take."""
    if tensor.numel() == 0:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
    reach = 1 + sum((length - 1) * step for length, step in zip(tensor.shape, tensor.stride(), strict=True))
    return torch.zeros(reach, dtype=tensor.dtype, device=tensor.device).as_strided(tensor.shape, tensor.stride())


def apart(call: CompilableCall, compiled: Callable[..., Tensor], arguments: Sequence[Any]) -> float:
    """How far compiled code is from the method, as a part of the size of the result (both root mean square); infinite without numbers."""
    with torch.no_grad():
        want = call.eager(*arguments).double()
        error = (compiled(*pytree.tree_leaves(tuple(arguments))).double() - want).square().mean() / want.square().mean().clamp_min(1e-12)
    value = float(error.sqrt())
    return value if value == value else float("inf")


def layout_of(arguments: Sequence[Any]) -> Layout:
    return tuple(map(Form.of, pytree.tree_leaves(tuple(arguments))))


def said(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no more is known'])[0][:300]}"
