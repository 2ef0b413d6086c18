"""The warp network for inference.

What is saved, all of it exact: batch norms are part of the convolutions; an up block runs on the small volume; what depends on the source
alone is computed once per source (`WarpSource`); spots, which are products of one function per axis, are built axis by axis; the flow is
the identity plus a weighted sum of 21 shifts, because the weights sum to 1.

Measured and left out, because they save nothing: adding the source's share of the convolutions that read it instead of convolving it,
reading shifted volumes with one matrix per axis, and filling channels up to a multiple of 16.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.modules.conv_block import ConvBlock
from core.models.modules.dense_motion import (
    KP_VARIANCE,
    DenseMotion,
    DenseMotionNetwork,
    axis,
    deform,
    identity_grid,
    sample_volume,
    sparse_motions,
)
from core.models.modules.folding import Conv, PlainBlock, folded
from core.models.modules.shapes import affine
from core.models.warp_network import WarpNetwork


class WarpSource(NamedTuple):
    """Values of a source picture that the warp network computes once. n: one, or one per driving frame.

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
        self.last = Conv(*folded(glass.decoder.conv, glass.decoder.norm), padding=1, dtype=dtype)
        self.mask = Conv(*affine(network.mask), padding=network.mask.kernel_size[0] // 2)
        self.occlusion = network.occlusion

    def source(self, feature_3d: Tensor, kp: Tensor) -> WarpSource:
        compressed = F.relu(self.compress(feature_3d))
        still = sample_volume(compressed, identity_grid(compressed).expand(compressed.shape[0], -1, -1, -1, -1))
        return WarpSource(feature_3d, kp, compressed, still, separable_spots(kp, compressed))

    def forward(self, source: WarpSource, kp_driving: Tensor) -> DenseMotion:
        """source: for as many frames as kp_driving, (n, 21, 3) float32."""
        like, shift = source.compressed, source.kp - kp_driving
        spots = (separable_spots(kp_driving, like) - source.spots).to(like.dtype)
        grid = identity_grid(like)
        moved = deform(like, sparse_motions(grid, source.kp, kp_driving)[:, 1:])
        first = torch.cat([torch.zeros_like(spots[:, :1]), source.still], dim=1)
        outs = [torch.cat([first, torch.cat([spots.unsqueeze(2), moved], dim=2).flatten(1, 2)], dim=1)]
        for block in self.down_blocks:
            outs.append(block(outs[-1]))
        x = outs.pop()
        for block in self.up_blocks:
            x = torch.cat([block(x), outs.pop()], dim=1)
        prediction = F.relu(self.last(x))
        mask = F.softmax(self.mask(prediction).float(), dim=1)
        flow = torch.einsum("nkdhw,nkc->ndhwc", mask[:, 1:], shift) + grid
        occlusion = torch.sigmoid(self.occlusion(prediction.flatten(1, 2)))
        return DenseMotion(flow, occlusion, mask)


class PreparedWarpNetwork(nn.Module):
    """`forward` as WarpNetwork's; for many frames of one source, `source` once and `from_source` per batch of frames."""

    def __init__(self, network: WarpNetwork):
        super().__init__()
        self.dense_motion_network = PreparedDenseMotion(network.dense_motion_network)
        self.third, self.fourth = PlainBlock(network.third), network.fourth
        self.volume = (network.volume_channels, network.volume_depth)

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


def separable_spots(kp: Tensor, like: Tensor) -> Tensor:
    """`heatmap`, (n, kp, d, h, w) float32: a Gaussian is the product of one per axis."""
    x, y, z = (torch.exp(-0.5 / KP_VARIANCE * (axis(n, like) - kp[..., i, None]).pow(2)) for i, n in enumerate(like.shape[:-4:-1]))
    return z[..., :, None, None] * (y[..., :, None] * x[..., None, :]).unsqueeze(2)
