"""The block of convolution, batch norm and rectifier that several networks share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from core.models.modules.shapes import unflatten


class ConvBlock(nn.Module):
    """[nearest x2] -> convolution -> batch norm -> (leaky) rectifier -> [average pool 2].

    (n, in_channels, ...) -> (n, out_channels, ...), any float dtype. In three dimensions only height and width are resized:
    depth keeps its length. slope: of the rectifier below zero (0: plain ReLU).
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, dims: int = 2, slope: float = 0.0, upsample: bool = False, pool: bool = False
    ):
        super().__init__()
        self.dims, self.slope, self.upsample, self.pool = dims, slope, upsample, pool
        self.conv: nn.Conv2d | nn.Conv3d
        self.norm: nn.BatchNorm2d | nn.BatchNorm3d
        if dims == 2:
            self.conv, self.norm = nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.BatchNorm2d(out_channels)
        else:
            self.conv, self.norm = nn.Conv3d(in_channels, out_channels, 3, padding=1), nn.BatchNorm3d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.upsample:
            x = upsample_hw(x)
        x = rectify(self.norm(self.conv(x)), self.slope)
        return pool_hw(x) if self.pool else x


class ResBlock3d(nn.Module):
    """x + conv2(ReLU(norm2(conv1(ReLU(norm1(x)))))), (n, channels, d, h, w) in and out."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm3d(channels)
        self.norm2 = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv1(F.relu(self.norm1(x)))
        y = self.conv2(F.relu(self.norm2(y)))
        return x + y


def rectify(x: Tensor, slope: float) -> Tensor:
    """ReLU, or leaky ReLU when slope is not 0."""
    return F.leaky_relu(x, slope) if slope else F.relu(x)


def upsample_hw(x: Tensor) -> Tensor:
    """Nearest neighbour, height and width doubled: (..., h, w) -> (..., 2h, 2w)."""
    scale = (2.0, 2.0) if x.dim() == 4 else (1.0, 2.0, 2.0)
    return F.interpolate(x, scale_factor=scale, mode="nearest")


def pool_hw(x: Tensor) -> Tensor:
    """Mean of 2x2 pixels: (..., h, w) -> (..., h/2, w/2)."""
    if x.dim() == 4:
        return F.avg_pool2d(x, 2)
    # Slice by slice: torch has no three-dimensional pooling at half precision on the CPU.
    return unflatten(F.avg_pool2d(x.flatten(1, 2), 2), 1, (x.shape[1], x.shape[2]))
