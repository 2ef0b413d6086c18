"""The motion diffusion as it is trained: one noised window in, the clean one out, with or without its condition."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from core.models import LMDM
from core.models.modules.diffusion import signal_levels


class Learner(nn.Module):
    """lmdm: the network as the product has it; its parameters are those that are trained."""

    levels: Tensor

    def __init__(self, lmdm: LMDM, gradient_checkpointing: bool = False) -> None:
        super().__init__()
        self.lmdm = lmdm
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
        return lmdm.guided_pass(h, tokens, hidden, th).float()


def recompute(lmdm: LMDM) -> None:
    """Lets each layer of the decoder keep its input alone, and be computed again for the gradient (arXiv:1604.06174)."""
    for layer in lmdm.seqTransDecoder.stack:
        layer.forward = partial(_recomputed, layer.forward)  # type: ignore[method-assign]


def _recomputed(forward: Any, *arguments: Any) -> Any:
    return checkpoint(forward, *arguments, use_reentrant=False)
