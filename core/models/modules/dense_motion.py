"""Dense motion: computes one flow field from 21 keypoint shifts (face-vid2vid, arXiv 2011.15126, section 3.2).

Coordinates are x, y, z in -1..1 with -1 and 1 at the first and last sample, while sampling counts them from the outer edges
(`align_corners=False`). The mismatch is the published one: the weights were trained with it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.modules.conv_block import ConvBlock
from core.models.modules.shapes import broadcast, unflatten

KP_VARIANCE = 0.01
"""Of the Gaussian spot around a keypoint."""
WITHOUT_VOLUME_SAMPLING = frozenset({"mps"})
"""Devices on which PyTorch samples pictures only."""


class DenseMotion(NamedTuple):
    """deformation: (n, d, h, w, 3) float32, where each voxel is read from.

    occlusion: (n, 1, h, w), 0..1. mask: (n, kp+1, d, h, w) float32, sums to 1 over the motions.
    """

    deformation: Tensor
    occlusion: Tensor
    mask: Tensor


class HourglassEncoder(nn.Module):
    def __init__(self, widths: list[int]):
        super().__init__()
        self.down_blocks = nn.ModuleList(ConvBlock(a, b, dims=3, pool=True) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, x: Tensor) -> list[Tensor]:
        """-> the input and the output of every block, finest first."""
        outs = [x]
        for block in self.down_blocks:
            outs.append(block(outs[-1]))
        return outs


class HourglassDecoder(nn.Module):
    def __init__(self, widths: list[int], last: int):
        super().__init__()
        # Every block but the first reads its predecessor's output beside the encoder's of the same size.
        inputs = [widths[-1], *(2 * w for w in widths[-2:0:-1])]
        outputs = [*widths[-2:0:-1], last]
        self.up_blocks = nn.ModuleList(ConvBlock(a, b, dims=3, upsample=True) for a, b in zip(inputs, outputs, strict=True))
        self.out_channels = last + widths[0]
        self.conv = nn.Conv3d(self.out_channels, self.out_channels, 3, padding=1)
        self.norm = nn.BatchNorm3d(self.out_channels)

    def forward(self, skips: list[Tensor]) -> Tensor:
        x = skips[-1]
        for block, skip in zip(self.up_blocks, skips[-2::-1], strict=True):
            x = torch.cat([block(x), skip], dim=1)
        return F.relu(self.norm(self.conv(x)))


class Hourglass(nn.Module):
    """A 3-D U-Net that halves height and width only. (n, in, d, h, w) -> (n, expansion + in, d, h, w)."""

    def __init__(self, in_channels: int, expansion: int, max_features: int, num_blocks: int):
        super().__init__()
        widths = [in_channels, *(min(max_features, expansion * 2 ** (i + 1)) for i in range(num_blocks))]
        self.encoder = HourglassEncoder(widths)
        self.decoder = HourglassDecoder(widths, min(max_features, expansion))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.encoder(x))
        return out


class DenseMotionNetwork(nn.Module):
    """Keypoints in float32 whatever the weights are: at half precision a voxel's coordinate would be off by a hundredth of a voxel."""

    def __init__(
        self,
        *,
        num_kp: int,
        feature_channels: int,
        feature_depth: int,
        compress: int,
        block_expansion: int,
        max_features: int,
        num_blocks: int,
    ):
        super().__init__()
        self.compress = nn.Conv3d(feature_channels, compress, 1)
        self.norm = nn.BatchNorm3d(compress)
        self.hourglass = Hourglass((num_kp + 1) * (compress + 1), block_expansion, max_features, num_blocks)
        width = self.hourglass.decoder.out_channels
        self.mask = nn.Conv3d(width, num_kp + 1, 7, padding=3)
        self.occlusion = nn.Conv2d(width * feature_depth, 1, 7, padding=3)

    def forward(self, feature: Tensor, kp_source: Tensor, kp_driving: Tensor) -> DenseMotion:
        """feature: (n, c, d, h, w); kp_source, kp_driving: (n, kp, 3) float32."""
        compressed = F.relu(self.norm(self.compress(feature)))
        grid = identity_grid(compressed)
        motions = sparse_motions(grid, kp_source, kp_driving)
        spots = heatmap(grid, kp_driving) - heatmap(grid, kp_source)
        spots = torch.cat([torch.zeros_like(spots[:, :1]), spots], dim=1)
        moved = deform(compressed, motions)
        # Per motion its spot, then its four features: (n, kp+1, 1+c, d, h, w) -> (n, (kp+1)*(1+c), d, h, w).
        stacked = torch.cat([spots.unsqueeze(2).to(moved.dtype), moved], dim=2).flatten(1, 2)
        prediction: Tensor = self.hourglass(stacked)
        mask = F.softmax(self.mask(prediction).float(), dim=1)
        deformation = (motions.permute(0, 1, 5, 2, 3, 4) * mask.unsqueeze(2)).sum(dim=1).permute(0, 2, 3, 4, 1)
        occlusion = torch.sigmoid(self.occlusion(prediction.flatten(1, 2)))
        return DenseMotion(deformation, occlusion, mask)


def identity_grid(volume: Tensor) -> Tensor:
    """(d, h, w, 3) float32: x, y, z of every voxel of a (..., d, h, w) volume."""
    z, y, x = (axis(n, volume) for n in volume.shape[-3:])
    return torch.stack(broadcast(x[None, None, :], y[None, :, None], z[:, None, None]), dim=-1)


def axis(n: int, like: Tensor) -> Tensor:
    """(n,) float32 from -1 to 1: coordinates along one axis."""
    return 2 * (torch.arange(n, dtype=torch.float32, device=like.device) / (n - 1)) - 1


def sparse_motions(grid: Tensor, kp_source: Tensor, kp_driving: Tensor) -> Tensor:
    """(n, kp+1, d, h, w, 3): where each voxel comes from if the whole volume followed nothing (first), or one keypoint."""
    moved = grid - kp_driving[:, :, None, None, None] + kp_source[:, :, None, None, None]
    still = grid.expand(moved.shape[0], 1, *grid.shape)
    return torch.cat([still, moved], dim=1)


def heatmap(grid: Tensor, kp: Tensor) -> Tensor:
    """(n, kp, d, h, w): a spot of height 1 around every keypoint."""
    return torch.exp(-0.5 * (grid - kp[:, :, None, None, None]).pow(2).sum(dim=-1) / KP_VARIANCE)


def deform(compressed: Tensor, motions: Tensor) -> Tensor:
    """(n, c, d, h, w) volumes read along (n, m, d, h, w, 3) motions -> (n, m, c, d, h, w)."""
    n, m = motions.shape[:2]
    repeated = compressed.unsqueeze(1).expand(-1, m, -1, -1, -1, -1).flatten(0, 1)
    return unflatten(sample_volume(repeated, motions.flatten(0, 1)), 0, (n, m))


def sample_volume(volume: Tensor, where: Tensor) -> Tensor:
    """Trilinear sampling, zero outside, at float32 coordinates; the result has the volume's dtype."""
    if volume.device.type in WITHOUT_VOLUME_SAMPLING:
        return sample_by_gathers(volume.to(where.dtype), where).to(volume.dtype)
    sampled = F.grid_sample(volume.to(where.dtype), where, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled.to(volume.dtype)


def sample_by_gathers(volume: Tensor, where: Tensor) -> Tensor:
    """As F.grid_sample of a volume, trilinear and zero outside: (n, c, d, h, w), (n, d', h', w', 3) -> (n, c, d', h', w').

    Each of the eight voxels around a place is gathered and weighted; those outside weigh nothing.
    """
    n, channels = volume.shape[:2]
    sizes = volume.shape[:1:-1]  # along x, y, z, as coordinates come
    flat = volume.flatten(2)
    out = flat.new_zeros(n, channels, where[..., 0].flatten(1).shape[1])
    low, weights = [], []
    for axis_number, size in enumerate(sizes):
        at = ((where[..., axis_number] + 1) * size - 1) / 2
        below = at.floor()
        low.append(below)
        weights.append((1 - (at - below), at - below))
    for corner in range(8):
        index, weight = torch.zeros_like(low[0], dtype=torch.int64), torch.ones_like(low[0])
        for axis_number in (2, 1, 0):
            size, upper = sizes[axis_number], corner >> axis_number & 1
            at = low[axis_number] + upper
            weight = weight * weights[axis_number][upper] * ((at >= 0) & (at < size))
            index = index * size + at.clamp(0, size - 1).to(torch.int64)
        voxels = flat.gather(2, index.flatten(1)[:, None].expand(n, channels, -1))
        out = out + voxels * weight.flatten(1)[:, None]
    return out.view(n, channels, *where.shape[1:-1])
