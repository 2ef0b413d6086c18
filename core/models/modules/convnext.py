"""ConvNeXt V2 (arXiv 2301.00808), the backbone of the motion extractor."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-6
"""Of every layer norm and of the global response norm."""


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of every pixel: (n, c, h, w) in and out."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class GlobalResponseNorm(nn.Module):
    """gamma * (x * N) + beta + x, N = the L2 norm over the picture of each channel, relative to the mean norm. Channels last."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * (x * response(x)) + self.beta + x


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, then an expanding and a contracting layer per pixel; added to the input. (n, c, h, w) in and out."""

    def __init__(self, channels: int):
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.grn = GlobalResponseNorm(4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.pwconv2(self.grn(F.gelu(self.pwconv1(y))))
        return x + y.permute(0, 3, 1, 2)


def response(x: Tensor) -> Tensor:
    """(n, h, w, c) -> (n, 1, 1, c): how strong each channel answers, relative to the mean channel."""
    strength: Tensor = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
    return strength / (strength.mean(dim=-1, keepdim=True) + EPS)
