"""Command line that tells what a step of a configuration takes, by arithmetic: it runs on tensors without numbers ("meta").

    python -m training.cost --config training/configs/lmdm.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from core.atomic_components.pose import MOTION_DIM
from core.command_line import OneLineParser, exit_code
from core.models import LMDM
from training.config import Config, load_config
from training.data.manifest import Moments
from training.learner import Learner
from training.losses import MotionLoss

H100_BF16 = 989e12
"""Operations a second of an H100 SXM in bfloat16, dense, by NVIDIA's data sheet."""
H100_FP32 = 67e12
UTILISATION = 0.3
"""Share of them that a transformer of this width reaches; 0.3 to 0.5 is usual."""
BYTES_PER_PARAMETER = 20
"""float32 each: the weight, its gradient, two moments of AdamW, and the average."""


@dataclass(frozen=True)
class Cost:
    """Of one step on one GPU. operations: floating-point, forward and back. activations: bytes kept for the gradient in float32; in bf16,
    where matrix products alone are halved, it is less.
    """

    parameters: int
    operations: int
    activations: int

    @property
    def memory(self) -> int:
        """Bytes, without the allocator's fragments and the libraries' own."""
        return self.parameters * BYTES_PER_PARAMETER + self.activations

    def seconds(self, precision: str) -> float:
        return self.operations / (UTILISATION * (H100_BF16 if precision == "bf16" else H100_FP32))


def cost_of(config: Config, batch: int | None = None) -> Cost:
    """batch: windows, where not the configuration's."""
    n, frames = batch or config.batch, config.window.frames
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(tensor) not in weights:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    one = (1.0,) * MOTION_DIM
    moments = Moments(minimum=one, maximum=one, mean=one, scale=one)
    with torch.device("meta"):
        learner = Learner(LMDM(**config.lmdm_arguments), moments, config.gradient_checkpointing).to("meta")
        loss = MotionLoss(config.objective, moments).to("meta")
        motion = torch.zeros(n, frames, MOTION_DIM)
        cond_frame, cond = torch.zeros(n, MOTION_DIM), torch.zeros(n, frames, learner.lmdm.cond_dim)
        time, dropped = torch.zeros(n, dtype=torch.int64), torch.zeros(n, dtype=torch.bool)
    weights = {id(parameter) for parameter in learner.parameters()}
    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        x_start = learner(learner.noised(motion, motion, time), cond_frame, cond, time, dropped)
        loss(x_start, motion, time)["total"].backward()
    parameters = sum(parameter.numel() for parameter in learner.parameters())
    return Cost(parameters, int(counter.get_total_flops()), sum(kept.values()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = OneLineParser(prog="training.cost", description="Tells what a step of a configuration takes, by arithmetic.")
    parser.add_argument("--config", type=Path, required=True)
    chosen = parser.parse_args(arguments)

    def run() -> None:
        config = load_config(chosen.config, data="data", run="run")
        cost = cost_of(config)
        step_s = cost.seconds(config.precision)
        sys.stdout.write(
            f"{cost.parameters / 1e6:.1f} million parameters: {cost.parameters * BYTES_PER_PARAMETER / 2**30:.2f} GiB with gradients, "
            f"moments and averages\n"
            f"a step of {config.batch} windows of {config.window.frames} frames: {cost.operations / 1e12:.2f} Tera operations, "
            f"{cost.activations / 2**30:.1f} GiB at most kept for the gradient, {cost.memory / 2**30:.1f} GiB in all\n"
            f"on an H100 at {UTILISATION:.0%} of its speed: {1000 * step_s:.0f} ms a step, "
            f"{config.steps * step_s / 3600:.1f} hours for {config.steps} steps\n"
        )

    return exit_code(run)


if __name__ == "__main__":
    sys.exit(main())
