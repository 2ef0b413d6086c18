"""The motion diffusion as it is trained: one noised window in, the clean one out, with or without its condition."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from core.models import LMDM
from core.models.modules.diffusion import signal_levels
from training.data.manifest import Moments

LEAST_SCALE = 1e-3
"""Numbers that hardly vary in the data (a keypoint that never moves) are not blown up beyond this."""


def scale_of(moments: Moments) -> Tensor:
    """(265,) float32: how much each number varies."""
    return torch.tensor(moments.scale, dtype=torch.float32).clamp(min=LEAST_SCALE)


class Learner(nn.Module):
    """lmdm: the network as the product has it. Its parameters are trained, its last layer in units of the data: what it gives is multiplied
    by their scale and added to their mean. Otherwise keypoints, which vary by hundredths, and logits, which vary by whole numbers, would
    want other learning rates. `folded` takes both into the layer.
    """

    levels: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, lmdm: LMDM, moments: Moments, gradient_checkpointing: bool = False) -> None:
        super().__init__()
        self.lmdm = lmdm
        self.register_buffer("mean", torch.tensor(moments.mean, dtype=torch.float32), persistent=False)
        self.register_buffer("scale", scale_of(moments), persistent=False)
        self.register_buffer("levels", torch.from_numpy(signal_levels().copy()), persistent=False)
        if gradient_checkpointing:
            recompute(lmdm)

    def noised(self, motion: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """sqrt(A_t) motion + sqrt(1 - A_t) noise (DDPM, arXiv:2006.11239), shapes as of `Batch`."""
        level = self.levels[time][:, None, None]
        return level.sqrt() * motion + (1 - level).sqrt() * noise

    def forward(self, x: Tensor, cond_frame: Tensor, cond: Tensor, time: Tensor, dropped: Tensor) -> Tensor:
        """x_start, (n, frames, 265) float32. dropped: (n,) bool, those without the condition."""
        lmdm = self.lmdm
        th = lmdm.time_hidden(time)
        frame = cond_frame[:, None].expand(-1, x.shape[1], -1)
        h = lmdm.input_projection(torch.cat([x, frame], dim=-1))
        tokens = lmdm.cond_tokens(cond)
        # Both ways are computed for every window, so that each parameter has a gradient in each step, on each process.
        hidden = torch.where(dropped[:, None], lmdm.null_cond_hidden, lmdm.cond_hidden(tokens))
        tokens = torch.where(dropped[:, None, None], lmdm.null_cond_embed, tokens)
        return self.mean + self.scale * lmdm.guided_pass(h, tokens, hidden, th).float()

    @torch.no_grad()
    def unfold(self) -> None:
        """After weights of the product were put into the network: its last layer in units of the data."""
        layer = self.lmdm.final_layer
        layer.bias.copy_((layer.bias - self.mean) / self.scale)
        layer.weight.div_(self.scale[:, None])

    @torch.no_grad()
    def folded(self) -> LMDM:
        """A copy of the network, as the product runs it."""
        network = copy.deepcopy(self.lmdm)
        layer = network.final_layer
        layer.weight.mul_(self.scale[:, None])
        layer.bias.copy_(layer.bias * self.scale + self.mean)
        return network.eval().requires_grad_(False)


def recompute(lmdm: LMDM) -> None:
    """Lets each layer of the decoder keep its input alone, and be computed again for the gradient (arXiv:1604.06174)."""
    for layer in lmdm.seqTransDecoder.stack:
        layer.forward = partial(_recomputed, layer.forward)


def _recomputed(forward: Any, *arguments: Any) -> Any:
    return checkpoint(forward, *arguments, use_reentrant=False)
