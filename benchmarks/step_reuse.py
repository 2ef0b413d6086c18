"""Measures what reuse between denoising steps (DeepCache, arXiv 2312.00858) saves in Ditto's motion network, and what it changes.

    python benchmarks/step_reuse.py [--steps 50] [--every 2 3 5] [--kept 1] [--seconds 3] [--layers N]

Every so many steps all layers of the decoder run; in the steps between, the first `kept` only, and what the others added when they last ran
is added again. The motion network has the published size (`--layers`: fewer layers, to try the benchmark), the networks that draw have few
channels; all weights are synthetic. motion: the difference from all steps in full, by the spread of the motion over time. picture: mean
difference, of 255. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from synthetic_ditto import SMALL, SyntheticEngine, plain_networks, speech  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from core.atomic_components.audio2motion import sampler_of  # noqa: E402
from core.request import Controls, RenderOptions

PASSES = 2
"""Of one step: without the condition, then with it."""


class ReusingStack(nn.Module):
    """The layers of the motion network's decoder, called once for each pass. every: 1 runs all layers in every step."""

    def __init__(self, layers: nn.ModuleList, kept: int, every: int) -> None:
        super().__init__()
        self.layers, self.kept, self.every = layers, kept, every
        self.n_calls = 0
        self.added: list[Tensor | None] = [None] * PASSES
        """What the layers that are left out added when they last ran, by pass."""

    def forward(self, x: Tensor, memory: Tensor, t: Tensor) -> Tensor:
        step, which = divmod(self.n_calls, PASSES)
        self.n_calls += 1
        for layer in self.layers[: self.kept]:
            x = layer(x, memory, t)
        added = self.added[which]
        if step % self.every and added is not None:
            return x + added
        y = x
        for layer in self.layers[self.kept :]:
            y = layer(y, memory, t)
        self.added[which] = y - x
        return y


def run_of(every: int, options: argparse.Namespace) -> tuple[NDArray[Any], NDArray[Any], float]:
    """(n, 265) motion, (n, H, W, 3) pictures, seconds that one window of motion took."""
    plain = plain_networks({**SMALL, "lmdm": {} if options.layers is None else {"layers": options.layers}})
    lmdm: Any = plain["lmdm"]
    layers = lmdm.seqTransDecoder.stack
    motion, seconds = [], []

    def sampler(steps: int) -> Any:
        sample = sampler_of(lmdm, steps)

        def timed(*arrays: NDArray[Any]) -> NDArray[Any]:
            lmdm.seqTransDecoder = ReusingStack(layers, options.kept, every)
            began = time.perf_counter()
            rows = sample(*arrays)
            seconds.append(time.perf_counter() - began)
            motion.append(rows[0])
            return rows

        return timed

    engine = SyntheticEngine(plain, options.device)
    engine._networks = dataclasses.replace(engine.networks, sampler=sampler)
    session = engine.session(engine.person(), Controls(), RenderOptions(size=256, sampling_timesteps=options.steps))
    samples = speech(options.seconds)
    pictures = np.stack([*session.push(samples), *session.flush()])
    session.interrupt()
    engine.close()
    return np.concatenate(motion), pictures, min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--every", type=int, nargs="+", default=[2, 3, 5])
    parser.add_argument("--kept", type=int, default=1)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    whole_motion, whole_pictures, whole_s = run_of(1, options)
    spread = np.maximum(whole_motion.std(axis=0), 1e-6)
    rows = []
    for every in options.every:
        motion, pictures, window_s = run_of(every, options)
        error = float(np.sqrt(np.square((motion - whole_motion) / spread).mean()))
        difference = float(np.abs(pictures.astype(np.int16) - whole_pictures).mean())
        rows.append({
            "every": every, "window_s": round(window_s, 3), "of_whole": round(window_s / whole_s, 3), "motion": round(error, 4),
            "picture": round(difference, 3),
        })  # fmt: skip
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    report = {"benchmark": "step_reuse", "steps": options.steps, "kept": options.kept, "window_s": round(whole_s, 3), "rows": rows}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
