"""The decoder for inference.

What is saved, all of it exact: spectral norm is part of the weights; gain and offset of a SPADE come from one convolution; an instance norm
of repeated pixels is taken before they are repeated, and once for the two SPADEs that read the same picture; on a repeated map the first
SPADE convolution runs on the distinct values only, and the second on what distinct values each pixel sees; the shortcut's 1x1 convolution
and the convolution that paints its offset are one.

The up blocks lie channels last, which is how phases join without a copy. The middle blocks do not: there it saves a twentieth of the time
on a CPU, and sums the products of a pixel in an order that quadruples the rounding error.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.decoder import Decoder
from core.models.modules.folding import Conv, distinct_taps, spectral_weight
from core.models.modules.shapes import affine
from core.models.modules.spade import LEAK, SpadeBlock, SpadeNorm, SpectralConv2d

NORM_EPS = 1e-5


class PreparedMiddleBlock(nn.Module):
    """A SpadeBlock at the size of the map, without a shortcut convolution."""

    def __init__(self, block: SpadeBlock):
        super().__init__()
        self.norms = nn.ModuleList(MapNorm(norm) for norm in (block.norm_0, block.norm_1))
        self.convs = nn.ModuleList(spectral_conv(conv, channels_last=False) for conv in (block.conv_0, block.conv_1))

    def forward(self, x: Tensor, painted: Tensor) -> Tensor:
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(F.leaky_relu(norm(y, painted), LEAK))
        return x + y


class MapNorm(nn.Module):
    """A SpadeNorm at the size of the map."""

    def __init__(self, norm: SpadeNorm):
        super().__init__()
        gain, gain_bias = affine(norm.mlp_gamma)
        offset, offset_bias = affine(norm.mlp_beta)
        self.shared = Conv(*affine(norm.mlp_shared[0]), padding=1)
        self.gain_offset = Conv(torch.cat([gain, offset]), torch.cat([gain_bias + 1, offset_bias]), padding=1)

    def forward(self, x: Tensor, painted: Tensor) -> Tensor:
        gain, offset = self.gain_offset(F.relu(self.shared(painted))).chunk(2, dim=1)
        return torch.addcmul(offset, instance_norm(x), gain)


class PreparedUpBlock(nn.Module):
    """A SpadeBlock whose input was doubled by repeating pixels, and whose map is repeated `times` (2 or 4) in each direction.

    Pictures are cut into times x times phases: phase (r, s) holds pixels (times*i + r, times*j + s), which all see the map alike.
    """

    def __init__(self, block: SpadeBlock, times: int):
        super().__init__()
        self.times = times
        shortcut = spectral_weight(block.conv_s)
        self.norm_0 = PhasedPaint(block.norm_0, times)
        self.norm_1 = PhasedPaint(block.norm_1, times)
        self.norm_s = PhasedPaint(block.norm_s, times, after=shortcut)
        self.conv_0, self.conv_1, self.conv_s = spectral_conv(block.conv_0), spectral_conv(block.conv_1), spectral_conv(block.conv_s)

    def forward(self, x: Tensor, painted: Tensor) -> Tensor:
        """x: (n, c, h/2, w/2), not yet doubled; painted: (n, m, h/times, w/times) -> (n, out, h, w)."""
        k, half = self.times, self.times // 2
        flat = instance_norm(x)
        y = [F.leaky_relu(torch.addcmul(b, phase(flat, r // 2, s // 2, half), g), LEAK) for r, s, g, b in self.norm_0(painted)]
        moved = instance_norm(self.conv_0(join_phases(y, k)))
        y = [F.leaky_relu(torch.addcmul(b, phase(moved, r, s, k), g), LEAK) for r, s, g, b in self.norm_1(painted)]
        main = self.conv_1(join_phases(y, k))
        short = [self.conv_s(phase(flat, r // 2, s // 2, half) * g) + b for r, s, g, b in self.norm_s(painted)]
        out: Tensor = main + join_phases(short, k)
        return out


class PhasedPaint(nn.Module):
    """Gain (1 included) and offset of a SpadeNorm on a map that is repeated `times`, phase by phase.

    after: (out, c) of a 1x1 convolution that the offset goes through before it is used.
    """

    def __init__(self, norm: SpadeNorm, times: int, after: Tensor | None = None):
        super().__init__()
        self.times = times
        first, first_bias = affine(norm.mlp_shared[0])
        (gain, gain_bias), (offset, offset_bias) = ([t.double() for t in affine(layer)] for layer in (norm.mlp_gamma, norm.mlp_beta))
        values, dtype = min(times, 3), first.dtype
        taps = distinct_taps(first.double(), times)
        self.shared = Conv(taps, first_bias, stride=values, padding=1, transposed=True, channels_last=True, dtype=dtype)
        if after is not None:
            offset = torch.einsum("oc,cikl->oikl", after.flatten(1), offset)
            offset_bias = after.flatten(1) @ offset_bias
        weight, bias = torch.cat([gain, offset]), torch.cat([gain_bias + 1, offset_bias])
        self.split = [len(gain), len(offset)]
        windows = [window(weight, r, s, times) for r in range(times) for s in range(times)]
        self.convs = nn.ModuleList(Conv(w, bias, stride=values, padding=pad, channels_last=True, dtype=dtype) for w, pad in windows)

    def forward(self, painted: Tensor) -> list[tuple[int, int, Tensor, Tensor]]:
        """-> (r, s, gain, offset) of every phase, gain and offset at the size of the map."""
        shared = F.relu(self.shared(painted))
        height, width = painted.shape[-2:]
        out = []
        for i, conv in enumerate(self.convs):
            # A window that starts inside a cell is padded to start in the cell before: one row (column) too many, at the front.
            both = conv(shared)[:, :, -height:, -width:]
            out.append((i // self.times, i % self.times, *both.split(self.split, dim=1)))
        return out


class PreparedDecoder(nn.Module):
    def __init__(self, network: Decoder):
        super().__init__()
        self.fc = Conv(*affine(network.fc), padding=1)
        self.middle = nn.ModuleList(PreparedMiddleBlock(block) for block in network.middle_blocks())
        self.up_0 = PreparedUpBlock(network.up_0, 2)
        self.up_1 = PreparedUpBlock(network.up_1, 4)
        self.conv_img = Conv(*affine(network.conv_img[0]), padding=1, channels_last=True)

    def forward(self, feature: Tensor) -> Tensor:
        """As Decoder.forward."""
        feature = feature.to(self.fc.weight.dtype)
        x = self.fc(feature)
        for block in self.middle:
            x = block(x, feature)
        feature = feature.contiguous(memory_format=torch.channels_last)
        x = self.up_1(self.up_0(x, feature), feature)
        return torch.sigmoid(F.pixel_shuffle(self.conv_img(F.leaky_relu(x, LEAK)), 2))


def spectral_conv(conv: SpectralConv2d, *, channels_last: bool = True) -> Conv:
    return Conv(spectral_weight(conv), conv.bias, padding=conv.padding, channels_last=channels_last, dtype=conv.weight_orig.dtype)


def instance_norm(x: Tensor) -> Tensor:
    """Every channel of every picture to mean 0 and variance 1; statistics in float32."""
    var, mean = torch.var_mean(x.float(), dim=(2, 3), correction=0, keepdim=True)
    return (x - mean.to(x.dtype)) * torch.rsqrt(var + NORM_EPS).to(x.dtype)


def phase(x: Tensor, r: int, s: int, times: int) -> Tensor:
    """Pixels (times*i + r, times*j + s) of a picture."""
    return x[:, :, r::times, s::times]


def join_phases(phases: list[Tensor], times: int) -> Tensor:
    """times*times pictures (n, c, h, w), row by row of phases -> (n, c, times*h, times*w), lying channels last."""
    rows = [torch.stack([p.permute(0, 2, 3, 1) for p in phases[r * times : (r + 1) * times]], dim=3) for r in range(times)]
    return torch.stack(rows, dim=2).flatten(1, 2).flatten(2, 3).permute(0, 3, 1, 2)


def window(weight: Tensor, r: int, s: int, times: int) -> tuple[Tensor, tuple[int, int]]:
    """The taps of phase (r, s) of a 3x3 convolution over the distinct values of repeated pixels, and its padding.

    weight: (out, in, 3, 3).
    """
    weight, top = window_along(weight, -2, r, times)
    weight, left = window_along(weight, -1, s, times)
    return weight, (top, left)


def window_along(weight: Tensor, dim: int, r: int, times: int) -> tuple[Tensor, int]:
    """One direction of `window`. Twice repeated pixels have two distinct values, all taps differ. Four times repeated ones have three,
    a b b c: pixel 0 sees (c before, a, b), 1 (a, b, b), 2 (b, b, c), 3 (b, c, a after).
    """
    if times == 2:
        return weight, 1 if r == 0 else 2
    w0, w1, w2 = (weight.narrow(dim, i, 1) for i in range(3))
    if r == 1:
        return torch.cat([w0, w1 + w2], dim=dim), 0
    if r == 2:
        return torch.cat([w0 + w1, w2], dim=dim), 2
    return weight, 1 if r == 0 else 2
