"""The decoder in its fastest form for a GPU.

As the prepared form (`core.models.prepared.decoder`), and: the map is convolved for all SPADEs of one size at once; normalisation,
modulation and rectifier are one pass, sums and the statistics of the next norm another. What is only ever read through an instance norm
needs no bias, because the norm takes any constant of a channel away: fc and all blocks but the last convolve without one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.decoder import Decoder
from core.models.fused.layers import PixelConv, distinct
from core.models.fused.passes import added, modulate, spread
from core.models.modules.folding import spectral_weight
from core.models.modules.shapes import affine
from core.models.modules.spade import LEAK, SpadeBlock, SpadeNorm, SpectralConv2d


class Shared(nn.Module):
    """The first convolution of several SPADEs, on a map that is repeated `times`."""

    bias: Tensor

    def __init__(self, norms: list[SpadeNorm], times: int):
        super().__init__()
        self.groups, self.times = len(norms), times
        weight = torch.cat([affine(norm.mlp_shared[0])[0] for norm in norms])
        self.conv = PixelConv(distinct(weight.double(), times).to(weight.dtype))
        self.register_buffer("bias", torch.cat([affine(norm.mlp_shared[0])[1] for norm in norms]))

    def forward(self, painted: Tensor) -> Tensor:
        """(n, h, w, m) -> (norms, n, times * h, times * w, hidden)."""
        return spread(self.conv(painted), self.bias, self.groups, self.times)


class Paint(nn.Module):
    """Gain and offset of a SPADE as one convolution; the gain's bias has the 1 in it."""

    bias: Tensor

    def __init__(self, gain: tuple[Tensor, Tensor], offset: tuple[Tensor, Tensor] | None = None):
        """Weight and bias of each; an offset may be missing."""
        super().__init__()
        weights, biases = zip(*(part for part in ((gain[0], gain[1] + 1), offset) if part is not None), strict=True)
        self.conv = PixelConv(torch.cat(weights))
        self.register_buffer("bias", torch.cat(biases))

    def forward(self, shared: Tensor) -> Tensor:
        out: Tensor = self.conv(shared)
        return out


def paint(norm: SpadeNorm) -> Paint:
    return Paint(affine(norm.mlp_gamma), affine(norm.mlp_beta))


class FusedMiddleBlock(nn.Module):
    """A SpadeBlock at the size of the map, without a shortcut convolution. Pictures go with their statistics."""

    def __init__(self, block: SpadeBlock):
        super().__init__()
        self.paint_0, self.paint_1 = paint(block.norm_0), paint(block.norm_1)
        self.conv_0, self.conv_1 = unbiased(block.conv_0), unbiased(block.conv_1)

    def forward(self, x: Tensor, stats: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
        y = self.conv_0(modulate(x, stats, self.paint_0(shared[0]), self.paint_0.bias, slope=LEAK))
        y, between = added(y)
        y = self.conv_1(modulate(y, between, self.paint_1(shared[1]), self.paint_1.bias, slope=LEAK))
        return added(x, y)


class FusedUpBlock(nn.Module):
    """A SpadeBlock whose input was doubled by repeating pixels, and whose map is repeated `times`. final: its result is rectified."""

    bias: Tensor

    def __init__(self, block: SpadeBlock, times: int, *, final: bool):
        super().__init__()
        self.final = final
        shortcut = spectral_weight(block.conv_s)
        self.shared = Shared([block.norm_0, block.norm_1, block.norm_s], times)
        self.paint_0, self.paint_1 = paint(block.norm_0), paint(block.norm_1)
        self.paint_s = Paint(affine(block.norm_s.mlp_gamma))
        # The offset goes through the shortcut's 1x1 convolution before it is used, so it is convolved apart, to fewer channels.
        offset, offset_bias = (t.double() for t in affine(block.norm_s.mlp_beta))
        offset = torch.einsum("oc,cikl->oikl", shortcut.flatten(1), offset)
        self.offset_s = PixelConv(offset.to(block.conv_s.weight_orig.dtype))
        self.conv_0, self.conv_1, self.conv_s = unbiased(block.conv_0), unbiased(block.conv_1), unbiased(block.conv_s)
        bias = block.conv_1.get_parameter("bias").detach()
        self.register_buffer("bias", (bias.double() + shortcut.flatten(1) @ offset_bias).to(bias.dtype))

    def forward(self, x: Tensor, stats: Tensor, painted: Tensor) -> tuple[Tensor, Tensor]:
        """x: (n, h/2, w/2, c) -> (n, h, w, out)."""
        shared = self.shared(painted)
        y = self.conv_0(modulate(x, stats, self.paint_0(shared[0]), self.paint_0.bias, up=2, slope=LEAK))
        y, between = added(y)
        y = self.conv_1(modulate(y, between, self.paint_1(shared[1]), self.paint_1.bias, slope=LEAK))
        short = self.conv_s(modulate(x, stats, self.paint_s(shared[2]), self.paint_s.bias, up=2))
        terms = (y, short, self.offset_s(shared[2]))
        return added(*terms, bias=self.bias, slope=LEAK, stats=False) if self.final else added(*terms)


class FusedDecoder(nn.Module):
    """As Decoder; made from it."""

    image_bias: Tensor

    def __init__(self, network: Decoder):
        super().__init__()
        self.fc = PixelConv(affine(network.fc)[0])
        blocks = network.middle_blocks()
        self.shared = Shared([norm for block in blocks for norm in (block.norm_0, block.norm_1)], 1)
        self.middle = nn.ModuleList(FusedMiddleBlock(block) for block in blocks)
        self.up_0 = FusedUpBlock(network.up_0, 2, final=False)
        self.up_1 = FusedUpBlock(network.up_1, 4, final=True)
        weight, bias = affine(network.conv_img[0])
        self.conv_img = PixelConv(weight)
        self.register_buffer("image_bias", bias.clone())

    def forward(self, feature: Tensor) -> Tensor:
        """As Decoder.forward."""
        painted = feature.to(self.image_bias.dtype).permute(0, 2, 3, 1).contiguous()
        x, stats = added(self.fc(painted))
        shared = self.shared(painted)
        for i, block in enumerate(self.middle):
            x, stats = block(x, stats, shared[2 * i : 2 * i + 2])
        x, stats = self.up_0(x, stats, painted)
        x, _ = self.up_1(x, stats, painted)
        image = self.conv_img(x) + self.image_bias
        return torch.sigmoid(F.pixel_shuffle(image.permute(0, 3, 1, 2), 2))


def unbiased(conv: SpectralConv2d) -> PixelConv:
    return PixelConv(spectral_weight(conv).to(conv.weight_orig.dtype))
