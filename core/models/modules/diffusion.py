"""The noise schedule and the sampler of the motion diffusion.

DDPM, arXiv 2006.11239; cosine schedule, arXiv 2102.09672; DDIM, arXiv 2010.02502. The schedule is computed in the mixture of precisions
that the published weights were sampled with, and agrees with theirs to the last bit of a square root. The sampler works on torch tensors
and numpy arrays alike, so that every backend shares it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import OptionError

MAX_STEPS = 1000
"""Length of the noise schedule the network was trained on."""
COSINE_OFFSET = 0.008


class Step(NamedTuple):
    """One step of the sampler, from noise level `time` to the next.

    x = start_gain * x_start + noise_gain * pred_noise + fresh_gain * fresh noise.
    """

    time: int
    start_gain: float
    noise_gain: float
    fresh_gain: float


@functools.cache
def signal_levels() -> NDArray[np.float32]:
    """(1000,) float32: the share of signal left at each noise level (the cumulated alphas), falling from nearly 1 to nearly 0."""
    u = np.arange(MAX_STEPS + 1, dtype=np.float64)
    level = np.cos((u / MAX_STEPS + COSINE_OFFSET) / (1 + COSINE_OFFSET) * np.pi / 2) ** 2
    level = level / level[0]
    betas = np.clip(1 - level[1:] / level[:-1], 0, 0.999).astype(np.float32)
    # The product runs in float64 over float32 factors, as torch.cumprod does; a float32 product is 1.3e-6 off.
    return np.cumprod((1 - betas).astype(np.float64)).astype(np.float32)


@functools.cache
def noise_gains() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(of x, of x_start), each (1000,) float32: pred_noise = gain * x - x_start / divisor."""
    levels = signal_levels()
    one = np.float32(1)
    return np.sqrt(one / (one - levels)), np.sqrt(one / levels - one)


def timesteps(steps: int) -> list[int]:
    """Noise levels of a run, from 999 down, then -1 for "no noise". steps: 1..1000; raises OptionError."""
    if not 1 <= steps <= MAX_STEPS:
        raise OptionError(f"sampling steps is {steps}.", f"It must lie between 1 and {MAX_STEPS}.")
    # torch's own float32 linspace: numpy's differs by one level at some steps for 139 of the 1000 step counts.
    return torch.linspace(-1, MAX_STEPS - 1, steps + 1, dtype=torch.float32, device="cpu").int().tolist()[::-1]


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def plan(steps: int) -> tuple[Step, ...]:
    """The steps of a run; the last one has no noise. Where torch.compile traces a run, its plan is a constant of the graph."""
    return _plan(steps)


@functools.lru_cache(maxsize=32)
def _plan(steps: int) -> tuple[Step, ...]:
    levels, one = signal_levels(), np.float32(1)
    times = timesteps(steps)
    out = []
    for time, after in zip(times[:-1], times[1:-1], strict=False):
        a, b = levels[time], levels[after]
        sigma = np.sqrt((one - a / b) * (one - b) / (one - a))
        left = one - b - sigma * sigma
        if left < 0:
            # What is left rounds below zero for 3 steps. This form of the same quantity cannot.
            left = np.float32((1 - float(b)) * (float(a) / float(b) - float(a)) / (1 - float(a)))
        out.append(Step(time, float(np.sqrt(b)), float(np.sqrt(left)), float(sigma)))
    return (*out, Step(times[-2], 1.0, 0.0, 0.0))


def run_ddim(denoise: Callable[[Any, int], tuple[Any, Any]], x: Any, steps: Sequence[Step], noises: Any) -> Any:
    """Runs the sampler. denoise(x, i) -> (pred_noise, x_start) at steps[i].time; noises: one per step but the last, like x."""
    for i, step in enumerate(steps[:-1]):
        pred_noise, x_start = denoise(x, i)
        # This order of additions is part of the definition: another differs by 6.5e-6 after ten steps.
        x = (x_start * step.start_gain + step.noise_gain * pred_noise) + step.fresh_gain * noises[i]
    return denoise(x, len(steps) - 1)[1]
