"""Finds and loads the TensorRT engines of Ditto's networks, and samples motion with them."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.atomic_components.audio2motion import MotionSampler
from core.atomic_components.pose import Array
from core.errors import EngineUnavailable
from core.models.modules import diffusion
from core.models.trt.files import any_engines, find_engine, load_tensorrt, machine_of
from core.models.trt.network import EngineNetwork
from core.models.trt.roles import PRECISION

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engines:
    """networks: by role, of the five that have an engine. largest_batch: frames that are drawn at once. runtime: TensorRT's version."""

    networks: Mapping[str, EngineNetwork]
    largest_batch: int
    runtime: str


def engines_beside(paths: Mapping[str, Path]) -> bool:
    """Whether TensorRT is installed and engines lie where those of these ONNX files are looked for."""
    return importlib.util.find_spec("tensorrt") is not None and any_engines(paths["decoder"])


def load_engines(paths: Mapping[str, Path], device: torch.device) -> Engines:
    """paths: of the ONNX files. Raises EngineUnavailable without TensorRT or without an engine for this machine, RuntimeError for one that
    does not load."""
    trt = load_tensorrt()
    machine = machine_of(device, trt)
    found = {role: find_engine(role, paths[role], machine) for role in PRECISION}
    if missing := [role for role, path in found.items() if path is None]:
        raise EngineUnavailable(
            f"There is no TensorRT engine of {', '.join(missing)} for {machine.gpu}, driver {machine.driver}, TensorRT {machine.tensorrt}.",
            f"Build them: python scripts/cvt_onnx_to_trt.py --onnx_dir {paths['decoder'].parent} --trt_dir {paths['decoder'].parent}",
        )
    networks = {role: EngineNetwork(role, path.read_bytes(), device, trt) for role, path in found.items() if path is not None}
    largest = min(networks[role].largest_batch for role in ("warp_network", "decoder"))
    engines = Engines(networks, largest, f"TensorRT {machine.tensorrt}")
    with torch.inference_mode():
        networks["lmdm"](*networks["lmdm"].example(1))  # the others draw a frame
    return engines


def sampler_on(device: torch.device, lmdm: Callable[..., tuple[Tensor, ...]], steps: int) -> MotionSampler:
    """The motion diffusion with so many steps; everything between them stays on the device."""
    run = diffusion.plan(steps)

    def sample(cond_frame: Array, cond: Array, x_t: Array, noises: Array) -> Array:
        with torch.inference_mode():
            frame, condition, x, fresh = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (cond_frame, cond, x_t, noises))
            times = [torch.full((len(x),), step.time, dtype=torch.int64, device=device) for step in run]

            def denoise(x: Tensor, i: int) -> tuple[Tensor, Tensor]:
                pred_noise, x_start = lmdm(x, frame, condition, times[i])
                return pred_noise, x_start

            out: Array = diffusion.run_ddim(denoise, x, run, fresh).cpu().numpy()
        return out

    return sample
