"""The warp network for inference.

What is saved, all of it exact: batch norms are part of the convolutions; an up block runs on the small volume; what depends on the source
alone is computed once per source (`WarpSource`); spots and shifted volumes, which are products of one function per axis, are built axis by
axis; the flow is the identity plus a weighted sum of 21 shifts, because the weights sum to 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.modules.conv_block import ConvBlock
from core.models.modules.dense_motion import KP_VARIANCE, DenseMotion, DenseMotionNetwork, axis, identity_grid, sample_volume
from core.models.modules.folding import Conv, PlainBlock, folded
from core.models.modules.shapes import unflatten
from core.models.warp_network import WarpNetwork

CHANNEL_MULTIPLE = 16
"""Channels of the widest volume are filled up with zeros to a multiple of this: the 7x7x7 convolution over it runs a quarter faster."""


class WarpSource(NamedTuple):
    """What the warp network needs of a source picture, computed once. n: one, or one per driving frame.

    feature_3d: (n, 32, 16, 64, 64). kp: (n, 21, 3). compressed: (n, 4, 16, 64, 64). still: the same, as it samples itself unmoved.
    spots: (n, 21, 16, 64, 64) float32.
    """

    feature_3d: Tensor
    kp: Tensor
    compressed: Tensor
    still: Tensor
    spots: Tensor

    def repeated(self, n: int) -> WarpSource:
        """For n driving frames."""
        return self if self.kp.shape[0] == n else WarpSource(*(x.expand(n, *x.shape[1:]) for x in self))


class PreparedDenseMotion(nn.Module):
    def __init__(self, network: DenseMotionNetwork):
        super().__init__()
        dtype = network.mask.weight.dtype
        self.compress = Conv(*folded(network.compress, network.norm), dtype=dtype)
        glass = network.hourglass
        self.down_blocks = nn.ModuleList(plain(b) for b in glass.encoder.down_blocks)
        self.up_blocks = nn.ModuleList(plain(b) for b in glass.decoder.up_blocks)
        self.width = glass.decoder.out_channels
        filled = -(-self.width // CHANNEL_MULTIPLE) * CHANNEL_MULTIPLE
        weight, bias = folded(glass.decoder.conv, glass.decoder.norm)
        self.last = Conv(grown(weight, 0, filled), grown(bias, 0, filled), padding=1, dtype=dtype)
        self.mask = Conv(grown(network.mask.weight.detach(), 1, filled), network.mask.bias, padding=3)
        self.occlusion = network.occlusion

    def source(self, feature_3d: Tensor, kp: Tensor) -> WarpSource:
        compressed = F.relu(self.compress(feature_3d))
        still = sample_volume(compressed, identity_grid(compressed).expand(compressed.shape[0], -1, -1, -1, -1))
        return WarpSource(feature_3d, kp, compressed, still, separable_spots(kp, compressed))

    def forward(self, source: WarpSource, kp_driving: Tensor) -> DenseMotion:
        """source: for as many frames as kp_driving, (n, 21, 3) float32."""
        like, shift = source.compressed, source.kp - kp_driving
        spots = (separable_spots(kp_driving, like) - source.spots).to(like.dtype)
        moved = shifted_volumes(like, kp_driving, source.kp)
        first = torch.cat([torch.zeros_like(spots[:, :1]), source.still], dim=1)
        outs = [torch.cat([first, torch.cat([spots.unsqueeze(2), moved], dim=2).flatten(1, 2)], dim=1)]
        for block in self.down_blocks:
            outs.append(block(outs[-1]))
        x = outs.pop()
        for block in self.up_blocks:
            x = torch.cat([block(x), outs.pop()], dim=1)
        prediction = F.relu(self.last(x))
        mask = F.softmax(self.mask(prediction).float(), dim=1)
        flow = torch.einsum("nkdhw,nkc->ndhwc", mask[:, 1:], shift) + identity_grid(like)
        occlusion = torch.sigmoid(self.occlusion(prediction[:, : self.width].flatten(1, 2)))
        return DenseMotion(flow, occlusion, mask)


class PreparedWarpNetwork(nn.Module):
    """`forward` as WarpNetwork's; for many frames of one source, `source` once and `from_source` per batch of frames."""

    def __init__(self, network: WarpNetwork):
        super().__init__()
        self.dense_motion_network = PreparedDenseMotion(network.dense_motion_network)
        self.third, self.fourth = PlainBlock(network.third), network.fourth

    def source(self, feature_3d: Tensor, kp_source: Tensor) -> WarpSource:
        """feature_3d: (n, 32, 16, 64, 64); kp_source: (n, 21, 3)."""
        out: WarpSource = self.dense_motion_network.source(feature_3d.to(self.fourth.weight.dtype), kp_source.float())
        return out

    def from_source(self, source: WarpSource, kp_driving: Tensor) -> Tensor:
        """kp_driving: (n, 21, 3); source of 1 or n pictures -> (n, 256, 64, 64)."""
        source = source.repeated(kp_driving.shape[0])
        motion: DenseMotion = self.dense_motion_network(source, kp_driving.float())
        warped = sample_volume(source.feature_3d, motion.deformation).flatten(1, 2)
        out: Tensor = self.fourth(self.third(warped)) * motion.occlusion
        return out

    def forward(self, feature_3d: Tensor, kp_source: Tensor, kp_driving: Tensor) -> Tensor:
        """As WarpNetwork.forward."""
        return self.from_source(self.source(feature_3d, kp_source), kp_driving)


def plain(block: nn.Module) -> PlainBlock:
    if not isinstance(block, ConvBlock):
        raise TypeError(f"{type(block).__name__} is not a ConvBlock")
    return PlainBlock(block)


def grown(x: Tensor, dim: int, length: int) -> Tensor:
    """Zeros appended along dim."""
    shape = list(x.shape)
    shape[dim] = length - shape[dim]
    return torch.cat([x, x.new_zeros(shape)], dim=dim)


def separable_spots(kp: Tensor, like: Tensor) -> Tensor:
    """`heatmap`, (n, kp, d, h, w) float32: a Gaussian is the product of one per axis."""
    x, y, z = (torch.exp(-0.5 / KP_VARIANCE * (axis(n, like) - kp[..., i, None]).pow(2)) for i, n in enumerate(like.shape[:-4:-1]))
    return z[..., :, None, None] * (y[..., :, None] * x[..., None, :]).unsqueeze(2)


def shifted_volumes(volume: Tensor, kp_driving: Tensor, kp_source: Tensor) -> Tensor:
    """`deform` along the keypoints' shifts, (n, kp, c, d, h, w): trilinear reading of a shifted volume is one small matrix per axis.

    volume: (n, c, d, h, w); kp_driving, kp_source: (n, kp, 3) float32.
    """
    depth, height, width = volume.shape[-3:]
    x, y, z = (reading(n, kp_driving[..., i], kp_source[..., i]).to(volume.dtype) for i, n in ((0, width), (1, height), (2, depth)))
    n, kp = kp_driving.shape[:2]
    # Columns first: (n, 1, c*d*h, w) @ (n, kp, w, w); then rows, then slices.
    out: Tensor = volume.flatten(1, 3).unsqueeze(1) @ x.transpose(-1, -2)
    out = y.unsqueeze(2) @ unflatten(out, 2, (-1, height))
    out = z.unsqueeze(2) @ unflatten(out, 2, (-1, depth)).flatten(-2)
    return out.view(n, kp, -1, depth, height, width)


def reading(n: int, kp_driving: Tensor, kp_source: Tensor) -> Tensor:
    """(..., n, n): row i holds the two weights with which position i, shifted, reads the n samples; zero outside.

    Coordinates are computed in the order of `sparse_motions` and of the sampler, so that the weights agree to the last bit or so.
    """
    where = axis(n, kp_driving) - kp_driving[..., None] + kp_source[..., None]
    index = ((where + 1) * n - 1) / 2
    samples = torch.arange(n, dtype=index.dtype, device=index.device)
    return (1 - (index[..., None] - samples).abs()).clamp(min=0)
