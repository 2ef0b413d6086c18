"""The appearance extractor for inference, with the batch norms folded into the convolutions before them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from core.models.appearance_extractor import AppearanceExtractor
from core.models.modules.conv_block import ResBlock3d
from core.models.modules.folding import Conv, PlainBlock, folded
from core.models.modules.shapes import unflatten


class PreparedResBlock3d(nn.Module):
    def __init__(self, block: ResBlock3d):
        super().__init__()
        # The first norm reads the block's input, which the sum needs as it was: it stays.
        self.norm1 = block.norm1
        weight, bias = folded(block.conv1, block.norm2)
        self.conv1 = Conv(weight, bias, padding=1, dtype=block.conv1.weight.dtype)
        self.conv2 = block.conv2

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv2(F.relu(self.conv1(F.relu(self.norm1(x)))))
        return out


class PreparedAppearanceExtractor(nn.Module):
    def __init__(self, network: AppearanceExtractor):
        super().__init__()
        self.volume = (network.volume_channels, network.volume_depth)
        self.first = PlainBlock(network.first)
        self.down_blocks = nn.Sequential(*(PlainBlock(b) for b in network.down_blocks))  # type: ignore[arg-type]
        self.second = network.second
        self.resblocks_3d = nn.Sequential(*(PreparedResBlock3d(b) for b in network.resblocks_3d))  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """As AppearanceExtractor.forward."""
        x: Tensor = self.second(self.down_blocks(self.first(image.to(self.second.weight.dtype))))
        volume: Tensor = self.resblocks_3d(unflatten(x, 1, self.volume))
        return volume
