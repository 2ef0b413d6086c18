"""The warp network: deforms the source's feature volume to the driving keypoints and projects it to two dimensions.

LivePortrait, arXiv 2407.03168.
"""

from __future__ import annotations

from torch import Tensor, nn

from core.models.modules.conv_block import ConvBlock
from core.models.modules.dense_motion import DenseMotion, DenseMotionNetwork, sample_volume


class WarpNetwork(nn.Module):
    """Defaults are the published sizes. State-dict keys are those of `warp_network.pth`."""

    def __init__(
        self,
        *,
        num_kp: int = 21,
        volume_channels: int = 32,
        volume_depth: int = 16,
        out_channels: int = 256,
        compress: int = 4,
        block_expansion: int = 32,
        max_features: int = 1024,
        num_blocks: int = 5,
    ):
        super().__init__()
        self.num_kp, self.volume_channels, self.volume_depth = num_kp, volume_channels, volume_depth
        self.dense_motion_network = DenseMotionNetwork(
            num_kp=num_kp,
            feature_channels=volume_channels,
            feature_depth=volume_depth,
            compress=compress,
            block_expansion=block_expansion,
            max_features=max_features,
            num_blocks=num_blocks,
        )
        self.third = ConvBlock(volume_channels * volume_depth, out_channels, slope=0.01)
        self.fourth = nn.Conv2d(out_channels, out_channels, 1)

    def forward(self, feature_3d: Tensor, kp_source: Tensor, kp_driving: Tensor) -> Tensor:
        """feature_3d: (n, 32, 16, 64, 64); kp_source, kp_driving: (n, 21, 3) -> (n, 256, 64, 64), in the dtype of the weights."""
        feature_3d = feature_3d.to(self.fourth.weight.dtype)
        motion: DenseMotion = self.dense_motion_network(feature_3d, kp_source.float(), kp_driving.float())
        warped = sample_volume(feature_3d, motion.deformation).flatten(1, 2)
        out: Tensor = self.fourth(self.third(warped)) * motion.occlusion
        return out
