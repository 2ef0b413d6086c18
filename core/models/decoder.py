"""The decoder: turns warped features into a picture (the SPADE generator of LivePortrait, arXiv 2407.03168)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.modules.spade import LEAK, SpadeBlock, repeat_pixels

MIDDLE_BLOCKS = 6


class Decoder(nn.Module):
    """Defaults are the published sizes. State-dict keys are those of `decoder.pth`."""

    def __init__(self, *, in_channels: int = 256, middle_channels: int = 512, out_channels: int = 64, spade_hidden: int = 128):
        super().__init__()
        self.fc = nn.Conv2d(in_channels, middle_channels, 3, padding=1)
        self.G_middle_0 = SpadeBlock(middle_channels, middle_channels, in_channels, spade_hidden)
        self.G_middle_1 = SpadeBlock(middle_channels, middle_channels, in_channels, spade_hidden)
        self.G_middle_2 = SpadeBlock(middle_channels, middle_channels, in_channels, spade_hidden)
        self.G_middle_3 = SpadeBlock(middle_channels, middle_channels, in_channels, spade_hidden)
        self.G_middle_4 = SpadeBlock(middle_channels, middle_channels, in_channels, spade_hidden)
        self.G_middle_5 = SpadeBlock(middle_channels, middle_channels, in_channels, spade_hidden)
        self.up_0 = SpadeBlock(middle_channels, in_channels, in_channels, spade_hidden)
        self.up_1 = SpadeBlock(in_channels, out_channels, in_channels, spade_hidden)
        # Twelve channels: two by two pixels of RGB, laid out by the shuffle.
        self.conv_img = nn.Sequential(nn.Conv2d(out_channels, 3 * 2 * 2, 3, padding=1), nn.PixelShuffle(2))

    def middle_blocks(self) -> list[SpadeBlock]:
        """The six blocks at the size of the input, in order."""
        return [self.get_submodule(f"G_middle_{i}") for i in range(MIDDLE_BLOCKS)]  # type: ignore[misc]

    def forward(self, feature: Tensor) -> Tensor:
        """feature: (n, 256, 64, 64) -> (n, 3, 512, 512) RGB 0..1, in the dtype of the weights."""
        feature = feature.to(self.fc.weight.dtype)
        x: Tensor = self.fc(feature)
        for block in self.middle_blocks():
            x = block(x, feature)
        x = self.up_0(repeat_pixels(x, 2), feature)
        x = self.up_1(repeat_pixels(x, 2), feature)
        return torch.sigmoid(self.conv_img(F.leaky_relu(x, LEAK)))
