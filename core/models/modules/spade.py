"""SPADE (arXiv 1903.07291): normalisation with gain and offset from a map, and the residual block made of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAK = 0.2
"""Slope below zero of every rectifier in the decoder."""


class SpectralConv2d(nn.Module):
    """A square convolution whose stored weight is divided by its largest singular value, u . (W v) (arXiv 1802.05957).

    `weight_u` and `weight_v` are the singular vectors training ended with; nothing is iterated here.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, bias: bool = True):
        super().__init__()
        self.padding = kernel // 2
        template = nn.Conv2d(in_channels, out_channels, kernel, bias=bias)
        self.bias = template.bias
        self.weight_orig = template.weight
        rows = self.weight_orig.detach().flatten(1)
        self.register_buffer("weight_u", F.normalize(torch.ones(rows.shape[0]), dim=0))
        self.register_buffer("weight_v", F.normalize(rows.T @ self.weight_u, dim=0))

    def weight(self) -> Tensor:
        """(out, in, k, k): the weight that is convolved with."""
        sigma = torch.dot(self.weight_u, torch.mv(self.weight_orig.flatten(1), self.weight_v))
        return self.weight_orig / sigma

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight(), self.bias, padding=self.padding)


class SpadeNorm(nn.Module):
    """Instance norm of x, times 1 + gain, plus offset; both are read from the map, brought to x's size by repeating pixels."""

    def __init__(self, channels: int, map_channels: int, hidden: int):
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(map_channels, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, painted: Tensor) -> Tensor:
        """x: (n, c, h, w); painted: (n, map_channels, h/k, w/k) -> (n, c, h, w)."""
        shared = self.mlp_shared(repeat_pixels(painted, x.shape[-1] // painted.shape[-1]))
        out: Tensor = F.instance_norm(x) * (1 + self.mlp_gamma(shared)) + self.mlp_beta(shared)
        return out


class SpadeBlock(nn.Module):
    """shortcut(x) + conv_1(leaky(norm_1(conv_0(leaky(norm_0(x)))))); the shortcut is a 1x1 convolution where the width changes."""

    def __init__(self, in_channels: int, out_channels: int, map_channels: int, hidden: int):
        super().__init__()
        self.learned_shortcut = in_channels != out_channels
        middle = min(in_channels, out_channels)
        self.conv_0 = SpectralConv2d(in_channels, middle, 3)
        self.conv_1 = SpectralConv2d(middle, out_channels, 3)
        self.norm_0 = SpadeNorm(in_channels, map_channels, hidden)
        self.norm_1 = SpadeNorm(middle, map_channels, hidden)
        if self.learned_shortcut:
            self.conv_s = SpectralConv2d(in_channels, out_channels, 1, bias=False)
            self.norm_s = SpadeNorm(in_channels, map_channels, hidden)

    def forward(self, x: Tensor, painted: Tensor) -> Tensor:
        shortcut = self.conv_s(self.norm_s(x, painted)) if self.learned_shortcut else x
        y = self.conv_0(F.leaky_relu(self.norm_0(x, painted), LEAK))
        y = self.conv_1(F.leaky_relu(self.norm_1(y, painted), LEAK))
        out: Tensor = shortcut + y
        return out


def repeat_pixels(x: Tensor, times: int) -> Tensor:
    """(n, c, h, w) -> (n, c, times*h, times*w), nearest neighbour."""
    return x if times == 1 else F.interpolate(x, scale_factor=float(times), mode="nearest")
