"""Measures what a shorter delay of live speech costs: by policy of the motion stage the delay, the work, and how the motion differs.

    python benchmarks/ditto_latency.py [--device cpu] [--policies 75 75+tail 79 75+context10] [--seconds 4] [--steps 10] [--small]
                                       [--out FOLDER]

A policy is an overlap, and with "+tail" `emit_tail`, with "+contextN" N `context_frames`. With "+short" it is that of a model with short
context (training/configs/lmdm_short.yaml: windows of 75 frames, 10 of context, causal), which is another model.
Weights are synthetic (`--small`: few channels),
so differences show how much depends on the policy, not how it looks. `delay_ms`: sound that must be there after the end of a frame.
`error`: of the 265 numbers against the first policy, as a part of their spread over time; where windows lie otherwise they meet other
noise, which is in it. `jump`: step from frame to frame where two windows join, as a part of the usual step. Writes latency.json
and the table as Markdown beside it; ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from synthetic_ditto import PUBLISHED_MOTION, SEED, SMALL, Array, SyntheticEngine, plain_networks, speech  # noqa: E402

from core.engines.ditto_options import session_options  # noqa: E402
from core.engines.ditto_session import look_ahead  # noqa: E402
from core.models.config import MotionConfig  # noqa: E402
from core.options import PRESETS, read_options  # noqa: E402
from core.types import FPS  # noqa: E402

Row = dict[str, Any]
POLICIES = ["75", "75+tail", "78", "78+tail", "79", "79+tail", "75+context10", "75+context10+tail", "75+short", "75+short+tail"]
SHORT = MotionConfig("", seq_frames=75, context_frames=10, causal=True)


def policy_of(name: str) -> dict[str, Any]:
    """The options of a policy by its name. Raises ValueError for a name that is none."""
    overlap, *more = name.split("+")
    options: dict[str, Any] = {"overlap_v2": int(overlap)}
    for part in more:
        if part == "tail":
            options["emit_tail"] = True
        elif part == "short":
            pass  # the model, not an option
        elif part.startswith("context"):
            options["context_frames"] = int(part.removeprefix("context"))
        else:
            raise ValueError(name)
    return options


def rows_of(engine: SyntheticEngine, policy: str, steps: int, samples: Array) -> tuple[Array, Row]:
    """(frames, 265) motion of the samples by this policy, and what it cost."""
    read = read_options({**PRESETS["realtime"], "sampling_timesteps": steps, **policy_of(policy)})
    options = session_options(read.controls, read.render, engine.defaults)
    features = engine.features(online_mode=True)
    motion = engine.motion(engine.person().source, options, features.silence, SEED)
    began = time.perf_counter()
    rows = [row for blocks in (features.push(samples), features.flush()) for block in blocks for row in motion.push(block)]
    rows += list(motion.flush())
    wall_s = time.perf_counter() - began
    row: Row = {
        "policy": policy, "new_frames": options.motion.valid, "delay_ms": look_ahead(options.motion) / 16,
        "windows_per_s": round(FPS / options.motion.valid, 2), "rtf": round(wall_s * 16000 / len(samples), 3),
    }  # fmt: skip
    return np.stack(rows), row


def jump(rows: Array, new_frames: int) -> float:
    """Mean step onto the first frame of a window by the mean of all others; 1 where every frame is the first of a window."""
    steps = np.abs(np.diff(rows, axis=0)).mean(axis=1)
    joins = np.arange(1, len(rows)) % new_frames == 0
    return float(steps[joins].mean() / steps[~joins].mean()) if joins.any() and not joins.all() else 1.0


def known(name: str) -> str:
    policy_of(name)
    return name


def is_short(policy: str) -> bool:
    return "short" in policy.split("+")


def engine_of(short: bool, small: bool, device: str | None) -> SyntheticEngine:
    motion = SHORT if short else PUBLISHED_MOTION
    sizes: dict[str, dict[str, Any]] = dict(SMALL) if small else {}
    sizes["lmdm"] = {**sizes.get("lmdm", {}), **motion.lmdm_arguments}
    return SyntheticEngine(plain_networks(sizes), device, motion=motion)


def table(rows: list[Row]) -> str:
    """In Markdown."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(map(str, row.values())) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help='"cuda" or "cpu" (default: a GPU where there is one)')
    parser.add_argument("--policies", type=known, nargs="+", default=POLICIES, help="the first is what others are compared with")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=10, help="of the motion diffusion (default: %(default)s)")
    parser.add_argument("--small", action="store_true", help="networks with few channels, to try the benchmark on a CPU")
    parser.add_argument("--out", type=Path, help="folder for latency.json")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    if options.small:
        torch.set_num_threads(1)  # for work this small, more only wait for each other
    engines = {short: engine_of(short, options.small, options.device) for short in {is_short(policy) for policy in options.policies}}
    samples, first, rows = speech(options.seconds), None, []
    for policy in options.policies:
        motion, row = rows_of(engines[is_short(policy)], policy, options.steps, samples)
        first = motion if first is None else first
        spread = np.maximum(first.std(axis=0), 1e-6)
        row["error"] = round(float(np.sqrt(np.square((motion - first) / spread).mean())), 4)
        row["jump"] = round(jump(motion, row["new_frames"]), 3)
        rows.append(row)
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    for engine in engines.values():
        engine.close()
    device = str(next(iter(engines.values())).placement.device)
    report = {"benchmark": "ditto_latency", "device": device, "small": options.small, "steps": options.steps, "rows": rows}
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "latency.json").write_text(json.dumps(report, indent=1))
        (options.out / "latency.json").with_suffix(".md").write_text(table(rows))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
