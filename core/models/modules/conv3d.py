"""Convolutions of volumes in several formulations, of which the device decides which one is the fastest."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from core.models.modules.shapes import unflatten

Way = Literal["channels last", "contiguous", "slices", "float32"]
"""How a volume is convolved: with channels innermost; plainly; as pictures whose channels are those of the slices that the kernel reaches;
in float32, whatever the network runs in."""
WAYS: tuple[Way, ...] = get_args(Way)


def arranged(weight: Tensor, way: Way, transposed: bool = False) -> Tensor:
    """The weight (out, in, d, h, w), or of a transposed convolution (in, out, d, h, w), as `convolved` takes it. It is rearranged once."""
    if way == "channels last":
        return weight.contiguous(memory_format=torch.channels_last_3d)
    if way != "slices":
        return weight.contiguous()
    if transposed:  # a slice gives to the one behind it what a convolution would take from it
        return weight.flip(2).permute(2, 0, 1, 3, 4).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    return weight.permute(0, 2, 1, 3, 4).flatten(1, 2).contiguous(memory_format=torch.channels_last)


def convolved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    way: Way,
    *,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    transposed: bool = False,
) -> Tensor:
    """(n, c, d, h, w), lying as it may -> the same as F.conv3d or F.conv_transpose3d. weight: as `arranged`, of the same way.

    "slices": along the depth the stride must be 1, the kernel odd, and the padding half of it.
    """
    if way == "slices":
        return _by_slices(x, weight, bias, stride, padding, transposed)
    run = F.conv_transpose3d if transposed else F.conv3d
    if way == "float32":
        full = run(x.float(), weight.float(), None if bias is None else bias.float(), stride=stride, padding=padding)
        return full.to(x.dtype)
    layout = torch.channels_last_3d if way == "channels last" else torch.contiguous_format
    return run(x.contiguous(memory_format=layout), weight, bias, stride=stride, padding=padding)


def _by_slices(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int | tuple[int, ...], padding: int | tuple[int, ...], transposed: bool
) -> Tensor:
    n, c, d = x.shape[:3]
    taps = weight.shape[0 if transposed else 1] // c
    flat_stride = stride if isinstance(stride, int) else stride[1:]
    flat_padding = padding if isinstance(padding, int) else padding[1:]
    deep_stride, deep_padding = (value if isinstance(value, int) else value[0] for value in (stride, padding))
    if taps % 2 == 0 or deep_padding != taps // 2 or deep_stride != 1:
        raise ValueError(f"a kernel of depth {taps} with padding {padding} and stride {stride} cannot be run by slices")
    deep = F.pad(x.permute(0, 2, 3, 4, 1), (0, 0, 0, 0, 0, 0, taps // 2, taps // 2))
    stacked = torch.cat([deep[:, tap : tap + d] for tap in range(taps)], dim=-1).flatten(0, 1)
    run = F.conv_transpose2d if transposed else F.conv2d
    out = run(stacked.permute(0, 3, 1, 2), weight, bias, stride=flat_stride, padding=flat_padding)
    return unflatten(out, 0, (n, d)).transpose(1, 2)
