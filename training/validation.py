"""What is measured while a run goes on: losses of windows that are always the same, and motion that is sampled for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from core.atomic_components.pose import LAYOUT
from core.models import LMDM
from core.types import FPS
from training.config import Config
from training.data.clip import Array
from training.data.plot import save_figure, style
from training.data.windows import Batch, Windows, draw
from training.learner import Learner
from training.losses import MotionLoss
from training.metrics import LIP_DIMS

SAMPLED = 8
"""Windows that motion is sampled for."""
SAMPLE_STEPS = 10
SEED = 2**31
"""Beside that of the configuration; no step has this number."""
AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Validated:
    """losses: by name. sampled, wanted: (n, frames, 265) float32, as the model makes it from noise, and as it is in the data."""

    losses: dict[str, float]
    sampled: Array
    wanted: Array


@torch.no_grad()
def validate(learner: Learner, loss: MotionLoss, windows: Windows, config: Config, device: torch.device) -> Validated:
    """learner: with the weights to judge. The same windows, noises and noise levels each time."""
    learner.eval()
    batch = draw(windows, config, config.validation_windows, (config.seed, SEED)).to(device)
    batch = Batch(**{**vars(batch), "dropped": torch.zeros_like(batch.dropped)})
    sums: dict[str, float] = {}
    for start in range(0, len(batch.time), AT_ONCE):
        part = Batch(**{name: tensor[start : start + AT_ONCE] for name, tensor in vars(batch).items()})
        x = learner.noised(part.motion, part.noise, part.time)
        found = loss(learner(x, part.cond_frame, part.cond, part.time, part.dropped), part.motion, part.time)
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(part.time)
    losses = {name: value / len(batch.time) for name, value in sums.items()}
    sampled = sample(learner.folded(), batch.cond_frame[:SAMPLED], batch.cond[:SAMPLED])
    wanted = batch.motion[:SAMPLED].cpu().numpy()
    scale = loss.scale.cpu().numpy()
    losses["sampled"] = float(np.sqrt((np.square((sampled - wanted) / scale) @ loss.weights.cpu().numpy()).mean()))
    losses["sampled_lips_r"] = correlation(sampled[..., LIP_DIMS], wanted[..., LIP_DIMS])
    learner.train()
    return Validated(losses, sampled, wanted)


def sample(lmdm: LMDM, cond_frame: torch.Tensor, cond: torch.Tensor) -> Array:
    """(n, frames, 265), always from the same noise."""
    generator = torch.Generator().manual_seed(SEED)
    motion: Array = lmdm.sample(cond_frame, cond, SAMPLE_STEPS, generator=generator).float().cpu().numpy()
    return motion


def correlation(a: Array, b: Array) -> float:
    """Pearson's, over time, of each number about its mean; the mean over the numbers that vary, each weighed by how much it does in b."""
    a, b = a.reshape(-1, a.shape[-1]).astype(np.float64), b.reshape(-1, b.shape[-1]).astype(np.float64)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    power = np.sqrt(np.square(a).sum(axis=0) * np.square(b).sum(axis=0))
    weights = np.square(b).sum(axis=0) / np.maximum(np.square(b).sum(), 1e-12)
    return float((weights * (a * b).sum(axis=0) / np.maximum(power, 1e-12)).sum())


def save_curves(validated: Validated, path: Path) -> None:
    """A PNG of the lips' keypoints that move most, sampled and wanted, in the first window. Raises OutputError."""
    figure = Figure(figsize=(14, 8), dpi=100, facecolor="white", layout="constrained")
    wanted, sampled = validated.wanted[0], validated.sampled[0]
    dims = sorted(LIP_DIMS, key=lambda dim: -float(validated.wanted[..., dim].std()))[:4]
    for axes, dim in zip(figure.subplots(4, 1), dims, strict=True):
        times = np.arange(len(wanted)) / FPS
        axes.plot(times, wanted[:, dim], color="#f0a35e", linewidth=3, label="in the data")
        axes.plot(times, sampled[:, dim], color="#1f6feb", linewidth=1.6, label="sampled")
        style(axes, f"Keypoint {(dim - LAYOUT['exp'].start) // 3}, {'xyz'[(dim - LAYOUT['exp'].start) % 3]}", "seconds")
        axes.legend(loc="upper right", frameon=False, ncols=2)
    save_figure(figure, path)
