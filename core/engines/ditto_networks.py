"""Loads Ditto's six networks and runs them with PyTorch or ONNX Runtime, by the kind of the files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from core.atomic_components.audio2motion import MotionSampler, sampler_of
from core.atomic_components.motion_stitch import Stitch, stitch_of
from core.atomic_components.pose import Array
from core.engines.motion_server import MotionServer
from core.errors import EngineUnavailable
from core.models import LMDM, AppearanceExtractor, Decoder, MotionExtractor, MotionInfo, StitchNetwork, WarpNetwork
from core.models.checkpoint import load_checkpoint
from core.models.config import MotionConfig
from core.models.fused.kernel_check import enable_kernels
from core.models.inference import prepare_for_gpu, prepare_for_inference
from core.models.onnx_files import OnnxNetwork, sample_motion
from core.optimization.gpu_optimization import Placement, place, place_onnx

log = logging.getLogger(__name__)

NETWORKS: dict[str, type[torch.nn.Module]] = {
    "appearance_extractor": AppearanceExtractor,
    "motion_extractor": MotionExtractor,
    "warp_network": WarpNetwork,
    "decoder": Decoder,
    "stitch_network": StitchNetwork,
    "lmdm": LMDM,
}
SIZES: Mapping[str, Mapping[str, Any]] = {}
"""Constructor arguments of the networks by role; empty: the published sizes. Tests build the same networks small."""
HALF_PRECISION = frozenset({"warp_network", "decoder"})


class Warp(Protocol):
    """`core.models.prepared.warp.PreparedWarpNetwork`: what depends on the source alone, and then each batch of frames."""

    def source(self, feature_3d: Tensor, kp_source: Tensor) -> Any: ...

    def from_source(self, source: Any, kp_driving: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Networks:
    """Arguments and results are those of the torch modules in `core/models`; tensors lie on `Placement.device`."""

    appearance: Callable[[Tensor], Tensor]
    motion: Callable[[Tensor], MotionInfo]
    warp: Warp
    decode: Callable[[Tensor], Tensor]
    stitch: Stitch
    sampler: Callable[[int], MotionSampler]
    """Number of denoising steps → the motion diffusion with so many."""
    on_cpu_instead: tuple[str, ...] = ()
    """Names of those that run on the CPU though they were to run on a GPU."""
    close: Callable[[], None] = lambda: None  # noqa: E731 - a default, not a definition
    """Ends what the networks do on threads of their own."""


def load_networks(
    paths: Mapping[str, Path], device: str | None, config: MotionConfig, shared_batches: bool = False
) -> tuple[Networks, Placement]:
    """paths: of the networks, by role. device: as in `place`. shared_batches: on a GPU, motion windows of several sessions are computed in
    one batch.

    Raises EngineUnavailable for files that nothing here runs, CheckpointError for damaged ones.
    """
    kinds = {paths[role].suffix for role in NETWORKS}
    if kinds <= {".pth", ".pt"}:
        placement = place(device)
        networks = _torch_networks(paths, placement, config, shared_batches)
    elif kinds == {".onnx"}:
        placement = place_onnx(device)
        networks = _onnx_networks(paths, placement)
    else:
        odd = next(paths[role] for role in NETWORKS if paths[role].suffix not in (".pth", ".pt"))
        raise EngineUnavailable(
            f"{odd} is neither a PyTorch checkpoint nor one of six ONNX files.",
            "The ditto engine runs the formats pytorch and onnx, each as a whole set; TensorRT engines it does not run.",
        )
    log.info("ditto's networks: %s files, %s", "/".join(sorted(kinds)), placement.reason)
    return networks, placement


def _torch_networks(paths: Mapping[str, Path], placement: Placement, config: MotionConfig, shared_batches: bool) -> Networks:
    def loaded(role: str, **more: int) -> Any:
        return _loaded(role, paths, placement, prepare, placement.device, more)

    prepare = inference_form(placement)
    lmdm = loaded("lmdm", cond_dim=config.audio_feat_dim, frames=config.seq_frames)
    motion_server = MotionServer(lmdm.sampler, placement.device) if shared_batches and placement.device.type == "cuda" else None
    return Networks(
        loaded("appearance_extractor"),
        loaded("motion_extractor"),
        loaded("warp_network"),
        loaded("decoder"),
        stitch_of(loaded("stitch_network")),
        motion_server.sampler if motion_server is not None else lambda steps: sampler_of(lmdm, steps),
        close=motion_server.close if motion_server is not None else lambda: None,
    )


def load_lent_networks(paths: Mapping[str, Path], placement: Placement, config: MotionConfig) -> Networks:
    """Those that make motion and pictures, for a GPU that is lent call by call: the program that loads them has none itself.

    So nothing is compiled, recorded or tried out, no thread is started, and weights are prepared on the CPU before they go to the device.
    """

    def loaded(role: str, **more: int) -> Any:
        return _loaded(role, paths, placement, prepare_for_inference, torch.device("cpu"), more).to(placement.device)

    def none(image: Tensor) -> Any:
        raise RuntimeError("sources are not registered on a GPU that is lent")

    lmdm = loaded("lmdm", cond_dim=config.audio_feat_dim, frames=config.seq_frames)
    stitch = _loaded("stitch_network", paths, placement, prepare_for_inference, torch.device("cpu"), {})
    return Networks(none, none, loaded("warp_network"), loaded("decoder"), stitch_of(stitch), lambda steps: sampler_of(lmdm, steps))


def _loaded(
    role: str, paths: Mapping[str, Path], placement: Placement, prepare: Callable[[Any], Any], device: torch.device, more: Mapping[str, int]
) -> Any:
    """One network on `device`, in the precision of the placement."""
    dtype = placement.dtype if role in HALF_PRECISION else torch.float32
    # Tiny, and its answer is waited for frame by frame: on a GPU it would wait behind the pictures being drawn.
    device = torch.device("cpu") if role == "stitch_network" else device
    with torch.device("meta"):
        network = NETWORKS[role](**SIZES.get(role, {}), **more)
    # Norms are folded in float32: the variance of one may be too large for half precision, its convolution is not.
    prepared: Any = prepare(load_checkpoint(network, paths[role], device=device, dtype=torch.float32))
    return prepared if dtype == torch.float32 else prepared.to(dtype)


def inference_form(placement: Placement) -> Callable[[Any], Any]:
    """The function that converts a network for this device: to the fused form on a GPU whose kernels passed their check."""
    if placement.device.type != "cuda":
        return prepare_for_inference
    obstacle = enable_kernels(placement.device)
    if obstacle is None:
        return prepare_for_gpu
    log.warning("ditto's networks run without fused kernels, which is slower: %s", obstacle)
    return prepare_for_inference


def _onnx_networks(paths: Mapping[str, Path], placement: Placement) -> Networks:
    networks = {role: OnnxNetwork(role, paths[role], providers=placement.providers) for role in NETWORKS}
    stitch, lmdm = networks["stitch_network"], networks["lmdm"]

    def on_tensors(role: str) -> Callable[..., tuple[Tensor, ...]]:
        def call(*arguments: Tensor) -> tuple[Tensor, ...]:
            return tuple(torch.from_numpy(result) for result in networks[role](*(argument.numpy() for argument in arguments)))

        return call

    def stitched(kp_source: Array, kp_driving: Array) -> Array:
        out: Array = stitch(kp_source=kp_source, kp_driving=kp_driving)[0]
        return out

    def sampler(steps: int) -> MotionSampler:
        def sample(cond_frame: Array, cond: Array, x_t: Array, noises: Array) -> Array:
            return sample_motion(lmdm, cond_frame, cond, steps, x_T=x_t, noises=list(noises))

        return sample

    appearance, motion, decode = (on_tensors(role) for role in ("appearance_extractor", "motion_extractor", "decoder"))
    return Networks(
        lambda image: appearance(image)[0],
        lambda image: MotionInfo(*motion(image)),
        _OnnxWarp(on_tensors("warp_network")),
        lambda feature: decode(feature)[0],
        stitched,
        sampler,
        tuple(network.on_cpu_instead for network in networks.values() if network.on_cpu_instead),
    )


class _OnnxWarp:
    """The published graph takes everything with every frame: nothing of the source is prepared."""

    def __init__(self, network: Callable[..., tuple[Tensor, ...]]) -> None:
        self._network = network

    def source(self, feature_3d: Tensor, kp_source: Tensor) -> tuple[Tensor, Tensor]:
        return feature_3d, kp_source

    def from_source(self, source: tuple[Tensor, Tensor], kp_driving: Tensor) -> Tensor:
        n = len(kp_driving)
        return self._network(*(x.expand(n, *x.shape[1:]) for x in source), kp_driving)[0]
