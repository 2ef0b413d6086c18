"""Exports Ditto's networks to ONNX files and compares each file with the torch module before it is kept."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from core.models.appearance_extractor import AppearanceExtractor
from core.models.checkpoint import CheckpointError
from core.models.decoder import Decoder
from core.models.lmdm import LMDM
from core.models.motion_extractor import MotionExtractor
from core.models.onnx_files import OPSET, SIGNATURES, OnnxNetwork
from core.models.stitch_network import StitchNetwork
from core.models.warp_network import WarpNetwork

MAX_RELATIVE_ERROR = 1e-4
"""Most that a result of a file may differ from torch's, relative to the largest value of that result; rounding stays below 1e-5."""


def export_network(network: nn.Module, name: str, path: Path, example: Sequence[Tensor], *, optimize: bool = True) -> float:
    """Writes one ONNX file (opset 20, weights inside, any batch), with the argument and result names of `SIGNATURES[name]`.

    network: plain or prepared, in evaluation mode, on a CPU. example: its arguments, batch 2 or more (`example_arguments`). optimize:
    simplify the graph, which takes as long as the export itself; ONNX Runtime does so on loading anyway, other runtimes may not.
    Returns the largest relative error of the file against `network`. Raises CheckpointError where that is above MAX_RELATIVE_ERROR; `path`
    is then left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name_of_part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    part = Path(name_of_part)
    try:
        _write(network, name, part, tuple(example), optimize)
        error = relative_error(network, name, part, example)
        if not error <= MAX_RELATIVE_ERROR:  # also catches NaN
            raise CheckpointError(
                f"The exported {name} differs from PyTorch's by {error:.2g} of the largest value; the bound is {MAX_RELATIVE_ERROR:g}.",
                "Check that its checkpoint holds finite, trained weights.",
            )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return error


def _write(network: nn.Module, name: str, path: Path, example: tuple[Tensor, ...], optimize: bool) -> None:
    signature = SIGNATURES[name]
    batch = torch.export.Dim("batch", min=1, max=4096)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    try:
        quiet.setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
            torch.onnx.export(
                network,
                example,
                path,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(signature.inputs),
                output_names=list(signature.outputs),
                dynamic_shapes=tuple({0: batch} for _ in example),
                external_data=False,
                optimize=optimize,
                verbose=False,
            )
    finally:
        quiet.setLevel(level)


@torch.no_grad()
def relative_error(network: nn.Module, name: str, path: Path, example: Sequence[Tensor]) -> float:
    """The largest difference between ONNX Runtime on `path` and torch, relative to the largest value of the result; NaN where one has NaN.

    The last item of `example` is run alone, so another batch size than the exported one.
    """
    arguments = [argument[-1:] for argument in example]
    expected = network(*arguments)
    found = OnnxNetwork(name, path)(*(argument.numpy() for argument in arguments))
    errors = []
    for wanted, got in zip([expected] if isinstance(expected, Tensor) else expected, found, strict=True):
        values = wanted.numpy()
        scale = max(float(np.abs(values).max()), float(np.finfo(np.float32).tiny))
        errors.append(float(np.abs(values - got).max()) / scale)
    return float(np.max(errors))


def example_arguments(network: nn.Module, batch: int = 2) -> dict[str, Tensor]:
    """Arguments of a plain network by name, for its own sizes and on its device: float32 from a fixed seed, noise levels as int64."""
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(0)

    def values(*shape: int) -> Tensor:
        return torch.rand((batch, *shape), generator=generator).to(device)

    match network:
        case AppearanceExtractor() | MotionExtractor():
            return {"image": values(3, 256, 256)}
        case StitchNetwork():
            return {name: values(network.num_kp, 3) - 0.5 for name in ("kp_source", "kp_driving")}
        case WarpNetwork():
            volume = values(network.volume_channels, network.volume_depth, 64, 64)
            return {"feature_3d": volume, **{name: values(network.num_kp, 3) - 0.5 for name in ("kp_source", "kp_driving")}}
        case Decoder():
            return {"feature": values(network.fc.in_channels, 64, 64)}
        case LMDM():
            rows, motion, condition = network.frames, network.motion_dim, network.cond_dim
            levels = torch.tensor([999, 499] * batch, device=device)[:batch]
            return {"x": values(rows, motion), "cond_frame": values(motion), "cond": values(rows, condition), "time_cond": levels}
        case _:
            raise TypeError(f"a {type(network).__name__} is not one of the networks")
