"""The appearance extractor: turns a face crop into the feature volume that the warp network deforms.

LivePortrait, arXiv 2407.03168; face-vid2vid, arXiv 2011.15126.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from core.models.modules.conv_block import ConvBlock, ResBlock3d
from core.models.modules.shapes import unflatten


class AppearanceExtractor(nn.Module):
    """Defaults are the published sizes. State-dict keys are those of `appearance_extractor.pth`."""

    def __init__(
        self,
        *,
        image_channels: int = 3,
        block_expansion: int = 64,
        max_features: int = 512,
        num_down_blocks: int = 2,
        volume_channels: int = 32,
        volume_depth: int = 16,
        num_resblocks: int = 6,
    ):
        super().__init__()
        self.volume_channels, self.volume_depth = volume_channels, volume_depth
        widths = [min(max_features, block_expansion * 2**i) for i in range(num_down_blocks + 1)]
        self.first = ConvBlock(image_channels, widths[0])
        self.down_blocks = nn.ModuleList(ConvBlock(a, b, pool=True) for a, b in zip(widths, widths[1:], strict=False))
        self.second = nn.Conv2d(widths[-1], volume_channels * volume_depth, 1)
        self.resblocks_3d = nn.Sequential(OrderedDict((f"3dr{i}", ResBlock3d(volume_channels)) for i in range(num_resblocks)))

    def forward(self, image: Tensor) -> Tensor:
        """image: (n, 3, 256, 256) RGB 0..1 -> feature volume (n, 32, 16, 64, 64), in the dtype of the weights."""
        x: Tensor = self.first(image.to(self.second.weight.dtype))
        for block in self.down_blocks:
            x = block(x)
        x = self.second(x)
        volume: Tensor = self.resblocks_3d(unflatten(x, 1, (self.volume_channels, self.volume_depth)))
        return volume
