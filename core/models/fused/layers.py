"""Convolutions for pictures with channels last, whose weights are padded and rearranged once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.modules.conv3d import Way, arranged, convolved

ALIGN = 16
"""Channels are filled up to a multiple: tensor cores read eight at a time, and tiles of sixteen and more are the quick ones."""
TILE = 32
"""Channels of the results of large convolutions are filled up to a multiple of this: tensor cores compute whole tiles."""


class PixelConv(nn.Module):
    """A convolution without its bias, (n, [d,] h, w, in) -> (n, [d,] h, w, out), padded so that the size stays."""

    weight: Tensor

    def __init__(self, weight: Tensor):
        super().__init__()
        self.way: Way = "channels last"
        weight = weight.detach()
        flat = weight.dim() == 4
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last) if flat else arranged(weight, self.way))
        self.padding = tuple(size // 2 for size in weight.shape[2:])

    def use(self, way: Way) -> None:
        """Lets it run in another way, if it convolves volumes. At most once."""
        if self.weight.dim() == 5:
            self.way, self.weight = way, arranged(self.weight, way)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 4:
            return F.conv2d(x.permute(0, 3, 1, 2), self.weight, padding=self.padding).permute(0, 2, 3, 1).contiguous()
        out = convolved(x.permute(0, 4, 1, 2, 3), self.weight, None, self.way, padding=self.padding)
        return out.permute(0, 2, 3, 4, 1).contiguous()


def padded(weight: Tensor, outputs: int, inputs: int) -> Tensor:
    """(out, in, ...) filled up with zeros to so many channels."""
    tail = [0] * (2 * (weight.dim() - 2))
    return F.pad(weight, (*tail, 0, inputs - weight.shape[1], 0, outputs - weight.shape[0]))


def filled(n: int, to: int = ALIGN) -> int:
    """The next multiple of `to`."""
    return -(-n // to) * to


def doubled(weight: Tensor) -> Tensor:
    """A 3x3 convolution of twice repeated pixels, as one of the pixels: (out, in, [3,] 3, 3) -> (4 * out, in, [3,] 3, 3).

    Its result is to be `unshuffled`.
    """
    return torch.cat([phases(phases(weight, -2, 2)[r], -1, 2)[s] for r in range(2) for s in range(2)])


def distinct(weight: Tensor, times: int) -> Tensor:
    """As `doubled` for `times` (1, 2 or 4) repeated pixels, each different value once: (v * v * out, in, 3, 3), v = min(times, 3)."""
    n = min(times, 3)
    return torch.cat([phases(phases(weight, -2, times)[r], -1, times)[s] for r in range(n) for s in range(n)])


def phases(weight: Tensor, dim: int, times: int) -> list[Tensor]:
    """Along one direction: what the distinct values that a pixel holds see of the pixel before, itself, and the one after."""
    w0, w1, w2 = (weight.narrow(dim, i, 1) for i in range(3))
    none = torch.zeros_like(w0)
    first, middle, last = (w0, w1 + w2, none), (none, w0 + w1 + w2, none), (none, w0 + w1, w2)
    chosen = {1: [(w0, w1, w2)], 2: [first, last], 4: [first, middle, last]}[times]
    return [torch.cat(parts, dim=dim) for parts in chosen]
