"""The warp network in its fastest form for a GPU.

As the prepared form (`core.models.prepared.warp`), and: channels lie innermost, and their number is filled up to a multiple of 16; an up
block is one convolution of the small volume whose channels are the four pixels; the mask's 7x7x7 convolution runs slice by slice with the
seven slices that it reaches as channels (the occlusion's beside them); softmax, flow and sampling are one pass.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.fused.layers import TILE, PixelConv, doubled, filled, padded
from core.models.fused.passes import activate, flow_sample, motion_stack, stack_order
from core.models.modules.conv_block import ConvBlock
from core.models.modules.folding import folded
from core.models.modules.shapes import affine, unflatten
from core.models.warp_network import WarpNetwork


class FusedSource(NamedTuple):
    """Values of a source picture that the warp network computes once. feature: (n, 16, 64, 64, 32). compressed: (n, 16, 64, 64, 4).

    kp: (n, 21, 3) float32.
    """

    feature: Tensor
    compressed: Tensor
    kp: Tensor

    def repeated(self, n: int) -> FusedSource:
        """For n driving frames."""
        return self if self.kp.shape[0] == n else FusedSource(*(x.expand(n, *x.shape[1:]).contiguous() for x in self))


class FusedBlock(nn.Module):
    """A ConvBlock. inputs: channels that its input is filled up to. order: where each of them lies in the block's own order."""

    bias: Tensor

    def __init__(self, block: ConvBlock, inputs: int = 0, order: list[int] | None = None):
        super().__init__()
        weight, bias = folded(block.conv, block.norm)
        dtype = block.conv.weight.dtype
        if order is not None:
            weight = weight[:, order]
        self.slope, self.pool, self.shuffle = block.slope, block.pool, block.upsample
        weight = padded(weight, len(weight), inputs or weight.shape[1])
        self.conv = PixelConv((doubled(weight) if block.upsample else weight).to(dtype))
        self.register_buffer("bias", bias.to(dtype))

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        return activate(self.conv(x), self.bias, self.slope, pool=self.pool, shuffle=self.shuffle, skip=skip)


class FusedWarpNetwork(nn.Module):
    """`source` once per source picture, `from_source` per batch of frames, `forward` as WarpNetwork's. Made from the plain network."""

    compress: Tensor
    compress_bias: Tensor
    last_bias: Tensor
    mask_bias: Tensor
    occlusion_bias: Tensor
    third_bias: Tensor
    fourth_bias: Tensor

    def __init__(self, network: WarpNetwork):
        super().__init__()
        motion = network.dense_motion_network
        glass, dtype = motion.hourglass, network.fourth.weight.dtype
        weight, bias = folded(motion.compress, motion.norm)
        self.register_buffer("compress", weight.flatten(1).to(dtype))
        self.register_buffer("compress_bias", bias.to(dtype))
        downs: list[ConvBlock] = list(glass.encoder.down_blocks)  # type: ignore[arg-type]
        ups: list[ConvBlock] = list(glass.decoder.up_blocks)  # type: ignore[arg-type]
        order = stack_order(len(weight), motion.mask.out_channels - 1)
        self.stacked = filled(len(order))
        self.down_blocks = nn.ModuleList(
            FusedBlock(b, self.stacked, order) if i == 0 else FusedBlock(b) for i, b in enumerate(downs)
        )  # fmt: skip
        self.up_blocks = nn.ModuleList(FusedBlock(b) for b in ups)
        up = ups[-1].conv.out_channels
        weight, bias = folded(glass.decoder.conv, glass.decoder.norm)
        inputs, width = filled(up + self.stacked), filled(len(weight), TILE)
        self.last = PixelConv(padded(weight[:, [*range(up), *(up + i for i in order)]], width, inputs).to(dtype))
        self.register_buffer("last_bias", F.pad(bias, (0, width - len(bias))).to(dtype))
        self.beyond = inputs - up - self.stacked
        # (motions, in, taps, 7, 7) -> (taps * motions, in, 7, 7); the occlusion's (1, in * depth, 7, 7), depth innermost, ->
        # (depth, in, 7, 7)
        masks, mask_bias = affine(motion.mask)
        self.taps, self.depth = masks.shape[2], motion.occlusion.in_channels // masks.shape[1]
        by_slice = masks.permute(2, 0, 1, 3, 4).flatten(0, 1)
        occlusion, occlusion_bias = affine(motion.occlusion)
        shade = unflatten(occlusion[0], 0, (masks.shape[1], self.depth)).transpose(0, 1)
        self.shade_first = len(by_slice)
        both = torch.cat([by_slice, shade])
        self.mask = PixelConv(padded(both, filled(len(both), 2 * TILE), width))
        self.register_buffer("mask_bias", mask_bias.clone())
        self.register_buffer("occlusion_bias", occlusion_bias.clone())
        # Channel-major before, slice-major now.
        weight, bias = folded(network.third.conv, network.third.norm)
        weight = unflatten(weight, 1, (-1, self.depth)).transpose(1, 2).flatten(1, 2)
        self.third, self.third_slope = PixelConv(weight.to(dtype)), network.third.slope
        self.register_buffer("third_bias", bias.to(dtype))
        weight, bias = affine(network.fourth)
        self.fourth = PixelConv(weight)
        self.register_buffer("fourth_bias", bias.clone())

    def source(self, feature_3d: Tensor, kp_source: Tensor) -> FusedSource:
        """feature_3d: (n, 32, 16, 64, 64); kp_source: (n, 21, 3)."""
        feature = feature_3d.to(self.compress.dtype).permute(0, 2, 3, 4, 1).contiguous()
        compressed = F.relu(F.linear(feature, self.compress, self.compress_bias))
        return FusedSource(feature, compressed, kp_source.float().contiguous())

    def from_source(self, source: FusedSource, kp_driving: Tensor) -> Tensor:
        """kp_driving: (n, 21, 3); source of 1 or n pictures -> (n, 256, 64, 64), lying channels last."""
        source = source.repeated(kp_driving.shape[0])
        driving = kp_driving.float().contiguous()
        outs = [motion_stack(source.compressed, source.kp, driving, self.stacked)]
        for block in self.down_blocks:
            outs.append(block(outs[-1]))
        x = outs.pop()
        for block in self.up_blocks:
            x = block(x, outs.pop())
        if self.beyond:
            x = F.pad(x, (0, self.beyond))
        x = activate(self.last(x), self.last_bias, 0.0)
        parts = self.mask(x.flatten(0, 1))
        parts = parts.view(*x.shape[:2], *parts.shape[1:])
        warped = flow_sample(parts, self.mask_bias, self.taps, source.kp, driving, source.feature)
        shade = parts[..., self.shade_first : self.shade_first + self.depth].diagonal(dim1=1, dim2=4).float().sum(-1)
        occlusion = torch.sigmoid(shade + self.occlusion_bias.float())[..., None].to(warped.dtype)
        out = self.fourth(activate(self.third(warped), self.third_bias, self.third_slope))
        shown: Tensor = (out + self.fourth_bias) * occlusion
        return shown.permute(0, 3, 1, 2)

    def forward(self, feature_3d: Tensor, kp_source: Tensor, kp_driving: Tensor) -> Tensor:
        """As WarpNetwork.forward."""
        return self.from_source(self.source(feature_3d, kp_source), kp_driving)
