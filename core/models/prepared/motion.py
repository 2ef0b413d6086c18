"""The motion extractor for inference.

What is saved: norm gains are part of the layers after them, the seven heads are one layer, pixels lie channels last.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.modules.convnext import EPS, ConvNeXtBlock, response
from core.models.motion_extractor import MotionExtractor, MotionInfo


class PreparedConvNeXtBlock(nn.Module):
    norm_bias: Tensor
    gamma: Tensor

    def __init__(self, block: ConvNeXtBlock):
        super().__init__()
        self.dwconv = block.dwconv
        self.expand = after_gain(block.pwconv1, block.norm.weight, block.norm.bias)
        # beta adds a constant to what the contracting layer reads.
        self.contract = after_gain(block.pwconv2, torch.ones_like(block.grn.beta.flatten()), block.grn.beta.flatten())
        self.register_buffer("gamma", block.grn.gamma.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w), lying channels last, in and out."""
        y: Tensor = self.dwconv(x).permute(0, 2, 3, 1)
        y = F.gelu(self.expand(F.layer_norm(y, y.shape[-1:], eps=EPS)))
        y = self.contract(y * (self.gamma * response(y) + 1))
        return x + y.permute(0, 3, 1, 2)


class PreparedMotionExtractor(nn.Module):
    def __init__(self, network: MotionExtractor):
        super().__init__()
        trunk = network.detector
        self.downsample_layers = trunk.downsample_layers
        self.stages = nn.ModuleList(nn.Sequential(*(PreparedConvNeXtBlock(b) for b in s.children())) for s in trunk.stages)  # type: ignore[arg-type]
        self.norm = trunk.norm
        heads = [trunk.fc_pitch, trunk.fc_yaw, trunk.fc_roll, trunk.fc_t, trunk.fc_exp, trunk.fc_scale, trunk.fc_kp]
        self.sizes = [head.out_features for head in heads]
        self.heads = frozen_linear(torch.cat([h.weight for h in heads]), torch.cat([h.bias for h in heads]))

    def forward(self, image: Tensor) -> MotionInfo:
        """As MotionExtractor.forward."""
        x = image.to(self.heads.weight.dtype).contiguous(memory_format=torch.channels_last)
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(downsample(x))
        return MotionInfo(*self.heads(self.norm(x.mean((-2, -1)))).split(self.sizes, dim=-1))


def after_gain(linear: nn.Linear, gain: Tensor, offset: Tensor) -> nn.Linear:
    """The layer that reads gain * x + offset, as one that reads x."""
    weight = linear.weight.detach().double()
    bias = linear.bias.detach().double() + weight @ offset.detach().double()
    return frozen_linear((weight * gain.detach().double()).to(linear.weight.dtype), bias.to(linear.weight.dtype))


def frozen_linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    with torch.device("meta"):
        linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    linear.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return linear
