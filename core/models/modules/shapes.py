"""Typed wrappers of the few shape functions that torch leaves untyped."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def unflatten(x: Tensor, dim: int, sizes: tuple[int, ...]) -> Tensor:
    """Dimension `dim` becomes several; one size may be -1."""
    out: Tensor = x.unflatten(dim, sizes)  # type: ignore[no-untyped-call]
    return out


def broadcast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Views of one common shape."""
    out: tuple[Tensor, ...] = torch.broadcast_tensors(*tensors)  # type: ignore[no-untyped-call]
    return out


def affine(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """(weight, bias) of a layer that has both, detached."""
    weight, bias = layer.weight, layer.bias
    if not isinstance(weight, Tensor) or not isinstance(bias, Tensor):
        raise TypeError(f"{type(layer).__name__} has no weight and bias")
    return weight.detach(), bias.detach()
