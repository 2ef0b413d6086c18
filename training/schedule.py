"""What changes from step to step: the learning rate, and the weights' moving average."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from training.config import Config


def learning_rate(config: Config, step: int) -> float:
    """Of step 0, 1, ...: linear up over the warm-up, then a cosine down to its last share (arXiv:1608.03983)."""
    optimizer = config.optimizer
    if step < optimizer.warmup_steps:
        return optimizer.learning_rate * (step + 1) / optimizer.warmup_steps
    share = (step - optimizer.warmup_steps) / max(1, config.steps - optimizer.warmup_steps)
    cosine = (1 + math.cos(math.pi * min(share, 1.0))) / 2
    return optimizer.learning_rate * (optimizer.final_share + (1 - optimizer.final_share) * cosine)


class MovingAverage:
    """An exponential moving average of parameters (EMA), in float32 beside them; it starts short, as (1 + step) / (10 + step)."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self.weights = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        kept, new = [], []
        for name, parameter in network.named_parameters():
            kept.append(self.weights[name])
            new.append(parameter.detach())
        torch._foreach_lerp_(kept, new, 1 - decay)

    def state(self, network: nn.Module) -> dict[str, Tensor]:
        """A whole state dict of the network, with the averages in place of its parameters."""
        return {**network.state_dict(), **self.weights}
