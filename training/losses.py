"""The losses of training, by name: each a mean of squared errors, in units of how much a number varies over the data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.atomic_components.motion_stitch import LIP
from core.atomic_components.pose import LAYOUT, N_KEYPOINTS
from core.models.modules.diffusion import signal_levels
from training.config import Objective
from training.data.manifest import Moments
from training.learner import scale_of

NAMES = ("position", "velocity", "lips")


class MotionLoss(nn.Module):
    """position and velocity are means over the six parts of a row (scale, three angles, translation, expression), so that the 198 logits of
    the angles do not outweigh the 63 numbers of the face. lips is over the keypoints of the lips alone.
    """

    scale: Tensor
    weights: Tensor
    lips: Tensor

    def __init__(self, objective: Objective, moments: Moments) -> None:
        super().__init__()
        self._objective = objective
        self.register_buffer("scale", scale_of(moments), persistent=False)
        weights = torch.zeros(LAYOUT["exp"].stop)
        for part in LAYOUT.values():
            weights[part] = 1 / (len(LAYOUT) * (part.stop - part.start))
        self.register_buffer("weights", weights, persistent=False)
        lips = torch.zeros(N_KEYPOINTS, 3)
        lips[list(LIP)] = 1 / (3 * len(LIP))
        on_lips = torch.zeros_like(weights)
        on_lips[LAYOUT["exp"]] = lips.flatten()
        self.register_buffer("lips", on_lips, persistent=False)
        levels = torch.from_numpy(signal_levels().copy())
        ratio = levels / (1 - levels)
        level_weights = torch.ones_like(ratio) if objective.prediction == "x_start" else ratio.clamp(max=objective.snr_limit)
        self.register_buffer("level_weights", level_weights, persistent=False)

    def forward(self, x_start: Tensor, motion: Tensor, time: Tensor) -> dict[str, Tensor]:
        """(n, frames, 265) each, time (n,) -> means by name, and their weighted sum as "total".

        The error of the implied noise is that of x_start times the ratio of signal to noise, A / (1 - A), as both are tied by the same x.
        """
        apart = (x_start - motion) / self.scale
        level = self.level_weights[time]  # type: ignore[index]

        def mean(errors: Tensor, weights: Tensor) -> Tensor:
            return ((errors.square() * weights).sum(dim=-1).mean(dim=-1) * level).mean()

        found = {
            "position": mean(apart, self.weights),
            "velocity": mean(apart.diff(dim=1), self.weights),
            "lips": mean(apart, self.lips),
        }
        weights = self._objective.losses
        found["total"] = sum((getattr(weights, name) * found[name] for name in NAMES), torch.zeros_like(apart[0, 0, 0]))
        return found
