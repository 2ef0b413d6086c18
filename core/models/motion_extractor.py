"""The motion extractor: head pose, expression, scale and keypoints of a face crop (LivePortrait, arXiv 2407.03168)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from core.models.modules.convnext import EPS, ChannelNorm, ConvNeXtBlock


class MotionInfo(NamedTuple):
    """The motion of a face; the field order is that of the published ONNX outputs.

    pitch, yaw, roll: (n, 66) logits over angle bins of 3 degrees. t: (n, 3) translation. exp: (n, 63) offsets of 21 keypoints, xyz.
    scale: (n, 1). kp: (n, 63) canonical keypoints, xyz.
    """

    pitch: Tensor
    yaw: Tensor
    roll: Tensor
    t: Tensor
    exp: Tensor
    scale: Tensor
    kp: Tensor


class MotionTrunk(nn.Module):
    """ConvNeXt V2 with one linear head per quantity."""

    def __init__(self, depths: Sequence[int], dims: Sequence[int], num_kp: int, num_bins: int):
        super().__init__()
        self.downsample_layers = nn.ModuleList([nn.Sequential(nn.Conv2d(3, dims[0], 4, stride=4), ChannelNorm(dims[0]))])
        for a, b in zip(dims, dims[1:], strict=False):
            self.downsample_layers.append(nn.Sequential(ChannelNorm(a), nn.Conv2d(a, b, 2, stride=2)))
        self.stages = nn.ModuleList(nn.Sequential(*(ConvNeXtBlock(d) for _ in range(n))) for n, d in zip(depths, dims, strict=True))
        self.norm = nn.LayerNorm(dims[-1], eps=EPS)
        self.fc_kp = nn.Linear(dims[-1], 3 * num_kp)
        self.fc_scale = nn.Linear(dims[-1], 1)
        self.fc_pitch = nn.Linear(dims[-1], num_bins)
        self.fc_yaw = nn.Linear(dims[-1], num_bins)
        self.fc_roll = nn.Linear(dims[-1], num_bins)
        self.fc_t = nn.Linear(dims[-1], 3)
        self.fc_exp = nn.Linear(dims[-1], 3 * num_kp)

    def features(self, image: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, dims[-1]), what the heads read."""
        x = image.to(self.fc_kp.weight.dtype)
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(downsample(x))
        pooled: Tensor = self.norm(x.mean((-2, -1)))
        return pooled

    def forward(self, image: Tensor) -> MotionInfo:
        x = self.features(image)
        return MotionInfo(
            self.fc_pitch(x), self.fc_yaw(x), self.fc_roll(x), self.fc_t(x), self.fc_exp(x), self.fc_scale(x), self.fc_kp(x)
        )  # fmt: skip


class MotionExtractor(nn.Module):
    """Defaults are the published sizes. State-dict keys are those of `motion_extractor.pth`."""

    def __init__(
        self,
        *,
        depths: Sequence[int] = (3, 3, 9, 3),
        dims: Sequence[int] = (96, 192, 384, 768),
        num_kp: int = 21,
        num_bins: int = 66,
    ):
        super().__init__()
        self.detector = MotionTrunk(depths, dims, num_kp, num_bins)

    def forward(self, image: Tensor) -> MotionInfo:
        """image: (n, 3, 256, 256) RGB 0..1 -> MotionInfo."""
        info: MotionInfo = self.detector(image)
        return info
