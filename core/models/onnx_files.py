"""Runs the networks from ONNX files, published or exported, with ONNX Runtime.

Arguments and order of results are those of the torch modules; arrays are numpy.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.models.checkpoint import CheckpointError
from core.models.modules import diffusion
from core.optimization.gpu_optimization import leaves_gpu_unused

if TYPE_CHECKING:
    import onnxruntime

OPSET = 20
"""The first with a GridSample in five dimensions."""
PLUGIN_OP = "GridSample3D"
"""An operation of the published warp_network.onnx: a TensorRT plugin that nothing else runs."""
Array = NDArray[Any]


@dataclass(frozen=True)
class Signature:
    """One network. files: published names under `ditto_onnx/`, the preferred one first. Results are taken by position."""

    files: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


SIGNATURES: dict[str, Signature] = {
    "appearance_extractor": Signature(("appearance_extractor.onnx",), ("image",), ("pred",)),
    "motion_extractor": Signature(("motion_extractor.onnx",), ("image",), ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")),
    "warp_network": Signature(("warp_network_ori.onnx", "warp_network.onnx"), ("feature_3d", "kp_source", "kp_driving"), ("out",)),
    "decoder": Signature(("decoder.onnx",), ("feature",), ("output",)),
    "stitch_network": Signature(("stitch_network.onnx",), ("kp_source", "kp_driving"), ("out",)),
    "lmdm": Signature(("lmdm_v0.4_hubert.onnx",), ("x", "cond_frame", "cond", "time_cond"), ("pred_noise", "x_start")),
}


class OnnxNetwork:
    """A network in ONNX Runtime, called like the torch module, with any batch size.

    A graph of fixed batch 1 (all published ones) is run once per item.
    """

    def __init__(
        self, name: str, path: Path, *, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 0, cache: Path | None = None
    ):
        """name: a key of SIGNATURES. threads: 0 = ONNX Runtime's choice. cache: folder for a converted graph (default: beside the file).

        Raises CheckpointError for a file that is missing, damaged, or not this network.
        """
        import onnxruntime

        self.signature = SIGNATURES[name]
        if not path.is_file():
            raise CheckpointError(f"There is no {path}.", f"Fetch ditto_onnx/{self.signature.files[0]}, or export the network.")
        if name == "warp_network":
            path = at_opset_20(path, cache)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # warnings about its own graph optimisation say nothing to anyone here
        try:
            self.session: onnxruntime.InferenceSession = onnxruntime.InferenceSession(str(path), options, providers=list(providers))
        except Exception as error:  # ONNX Runtime's own classes, not all of which it exports
            first = str(error).splitlines()[0]
            raise CheckpointError(f"{path} cannot be run: {first}", f"Fetch ditto_onnx/{self.signature.files[0]} again.") from error
        self.on_cpu_instead = name if leaves_gpu_unused(self.session, providers) else ""
        """As of `core.aux_models.onnx_model.OnnxModel`."""
        found = self.session.get_inputs()
        # Names where they agree (swapped keypoints would go unnoticed), else the published order.
        named = {i.name for i in found} == set(self.signature.inputs)
        if len(found) != len(self.signature.inputs) or len(self.session.get_outputs()) < len(self.signature.outputs):
            raise CheckpointError(f"{path} takes {', '.join(i.name for i in found)}; {name} takes {', '.join(self.signature.inputs)}.")
        self.feeds = list(self.signature.inputs) if named else [i.name for i in found]
        self.fixed = any(i.shape and i.shape[0] == 1 for i in found)
        self.outputs = [o.name for o in self.session.get_outputs()[: len(self.signature.outputs)]]

    def __call__(self, *args: Array, **named: Array) -> tuple[Array, ...]:
        """Arguments by position or by the torch module's names -> its results, always as a tuple."""
        values = {**dict(zip(self.signature.inputs, args, strict=False)), **named}
        if len(args) + len(named) != len(self.feeds) or set(values) != set(self.signature.inputs):
            raise TypeError(f"the arguments are {', '.join(self.signature.inputs)}")
        feed = {sent: np.ascontiguousarray(values[name]) for name, sent in zip(self.signature.inputs, self.feeds, strict=True)}
        n = len(next(iter(feed.values())))
        if not self.fixed or n == 1:
            return tuple(self.session.run(self.outputs, feed))
        items = [self.session.run(self.outputs, {k: v[i : i + 1] for k, v in feed.items()}) for i in range(n)]
        return tuple(np.concatenate(parts) for parts in zip(*items, strict=True))


def sample_motion(lmdm: OnnxNetwork, cond_frame: Array, cond: Array, steps: int, *, x_T: Array, noises: Sequence[Array]) -> Array:
    """As LMDM.sample, on numpy arrays; all noise is given."""
    run = diffusion.plan(steps)
    times = [np.full(len(cond), step.time, np.int64) for step in run]
    if len(noises) != steps - 1:
        raise ValueError(f"{steps} steps take {steps - 1} noises between them, not {len(noises)}")

    def denoise(x: Array, i: int) -> tuple[Array, Array]:
        pred_noise, x_start = lmdm(x, cond_frame, cond, times[i])
        return pred_noise, x_start

    out: Array = diffusion.run_ddim(denoise, x_T, run, noises)
    return out


def at_opset_20(path: Path, cache: Path | None = None) -> Path:
    """The file itself, or a copy at opset 20 made on first use: before that GridSample has two dimensions only.

    The copy is named after the content of the original and moved into place when complete. Raises CheckpointError.
    """
    import onnx
    from onnx import version_converter

    folder = cache or path.parent
    made = folder / f"{path.stem}_opset{OPSET}_{digest(path)}.onnx"
    if made.is_file():
        return made
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's own classes
        raise CheckpointError(f"{path} is damaged or not an ONNX file.", "Fetch it again.") from error
    if any(node.op_type == PLUGIN_OP for node in model.graph.node):
        raise CheckpointError(f"{path} needs a TensorRT plugin ({PLUGIN_OP}).", "Use warp_network_ori.onnx, the same network without it.")
    version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if version >= OPSET:
        return path
    try:
        model = version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter raises bare RuntimeErrors and its own
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{path} cannot be converted to opset {OPSET}: {first}", "Fetch it again, or export the network.") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".part")
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written to: {error.strerror}.", "Give a folder for the converted copy.") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(model.SerializeToString())
        os.replace(temporary, made)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return made


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
