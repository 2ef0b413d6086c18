"""Loads Ditto's six networks and runs them with PyTorch, ONNX Runtime or TensorRT, by the kind of the files and by what there is."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from core.atomic_components.audio2motion import MotionSampler, sampler_of
from core.atomic_components.motion_stitch import Stitch, stitch_of
from core.atomic_components.pose import Array
from core.engines.ditto_backends import ONNX_PROVIDERS, TENSORRT, Attempt, attempts, first_that_runs
from core.engines.ditto_extractors import RecordedExtractors
from core.engines.ditto_tensorrt import engines_beside, load_engines, sampler_on
from core.engines.motion_server import MotionServer
from core.errors import EngineUnavailable
from core.models import LMDM, AppearanceExtractor, Decoder, MotionExtractor, MotionInfo, StitchNetwork, WarpNetwork
from core.models.ahead_of_time import CompilableCall
from core.models.checkpoint import load_checkpoint
from core.models.config import MotionConfig
from core.models.fused.kernel_check import enable_kernels
from core.models.inference import prepare_for_gpu, prepare_for_inference, use_conv3d
from core.models.onnx_files import OnnxNetwork, sample_motion
from core.optimization.conv3d_choice import Conv3dChoice, fastest_conv3d
from core.optimization.cpu_precision import WORTH, bfloat16_gain, has_bfloat16
from core.optimization.gpu_optimization import ONNX_FRAMES_AT_ONCE, Placement, place, place_onnx, place_tensorrt

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


class Sizes(NamedTuple):
    """What the shapes of arguments depend on. condition: of the motion diffusion, a frame; frames: its window. volume: of a source's
    appearance."""

    condition: int = 1103
    volume: tuple[int, int, int, int] = (32, 16, 64, 64)
    frames: int = 80


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
    conv3d: Conv3dChoice | None = None
    """How volumes are convolved, where PyTorch does it."""
    replaced: str = ""
    """What was to run them and could not; "" where it could."""
    runtime: str = ""
    """What runs them and its version, where frames depend on more than the files and the placement."""
    both: Callable[[Tensor], tuple[Tensor, MotionInfo]] | None = None
    """Appearance and motion in one call, where that is quicker than two."""
    warm_motion: Callable[[int, Sequence[Array]], None] | None = None
    """Prepares the motion diffusion with so many steps for several windows at once, by one window's arguments; None: needs none."""
    shares_batches: bool = True
    """Whether frames of several sources can be drawn in one batch."""
    close: Callable[[], None] = lambda: None  # noqa: E731 - a default, not a definition
    """Ends what the networks do on threads of their own."""
    compilable: tuple[CompilableCall, ...] = ()
    """What of them can be compiled ahead of time, in the order in which it is worth it."""
    sizes: Sizes = Sizes()
    """Of these networks; known for those that can be compiled."""


def load_networks(
    paths: Mapping[str, Path], device: str | None, config: MotionConfig, shared_batches: bool = False, backend: str = "auto"
) -> tuple[Networks, Placement]:
    """paths: of the networks, by role. device: as in `place`. shared_batches: on a GPU, motion windows of several sessions are computed in
    one batch. backend: one of `core.engines.ditto_backends.BACKENDS`; what "auto" takes and cannot run is replaced by the next best.

    Raises EngineUnavailable for files that nothing here runs, CheckpointError for damaged ones, OptionError for a backend that is none.
    """
    kinds = {paths[role].suffix for role in NETWORKS}
    onnx = kinds == {".onnx"}
    if not onnx and not kinds <= {".pth", ".pt"}:
        odd = next(paths[role] for role in NETWORKS if paths[role].suffix not in (".pth", ".pt"))
        raise EngineUnavailable(
            f"{odd} is neither a PyTorch checkpoint nor one of six ONNX files.",
            "The ditto engine runs the formats pytorch and onnx, each as a whole set; TensorRT engines it does not run.",
        )

    def load(attempt: Attempt) -> tuple[Networks, Placement]:
        if attempt.backend == TENSORRT:
            networks, placement = _tensorrt_networks(paths, place_tensorrt(attempt.device))
        elif onnx:
            placement = place_onnx(attempt.device, ONNX_PROVIDERS[attempt.backend])
            networks = _onnx_networks(paths, placement)
        else:
            placement = place(attempt.device)
            networks = _torch_networks(paths, placement, config, shared_batches)
            if attempt.backend == "torch-compile":
                networks = dataclasses.replace(networks, warp=_CompiledWarp(networks.warp), decode=torch.compile(networks.decode))
            elif backend == "auto" and placement.device.type == "cpu":
                networks, placement = in_best_precision(networks, placement)
        tried = placement.device.type != "cpu" or placement.providers[0] != "CPUExecutionProvider"
        if tried or attempt.backend in (TENSORRT, "torch-compile"):
            draw_once(networks, placement)
        return networks, placement

    (networks, placement), replaced = first_that_runs(attempts(onnx, device, backend, onnx and engines_beside(paths)), load)
    if networks.conv3d is not None and networks.conv3d.times_ms:
        placement = dataclasses.replace(placement, reason=f"{placement.reason}; volumes convolved: {networks.conv3d.way}")
    log.info("ditto's networks: %s files, %s", "/".join(sorted(kinds)), placement.reason)
    return dataclasses.replace(networks, replaced=replaced), placement


def draw_once(networks: Networks, placement: Placement) -> None:
    """One frame through all of the networks that see pictures. Raises what the device raises."""
    with torch.inference_mode():
        device = placement.device
        crop, points = torch.zeros(1, 3, 256, 256, device=device), torch.zeros(1, 21, 3, device=device)
        networks.motion(crop)
        picture = networks.decode(networks.warp.from_source(networks.warp.source(networks.appearance(crop), points), points))
        picture.float().cpu()  # a fault of the device shows when it is waited for


def in_best_precision(networks: Networks, placement: Placement) -> tuple[Networks, Placement]:
    """On a CPU: warp network and decoder in bfloat16 where the processor has it and a frame takes less time so."""
    if not has_bfloat16():
        return networks, placement
    warp: Any = networks.warp
    decode: Any = networks.decode
    halved = dataclasses.replace(
        networks, warp=copy.deepcopy(warp).to(torch.bfloat16), decode=copy.deepcopy(decode).to(torch.bfloat16)
    )  # fmt: skip
    gain = bfloat16_gain(lambda: draw_once(networks, placement), lambda: draw_once(halved, placement))
    if gain < WORTH:
        return networks, dataclasses.replace(placement, reason=f"{placement.reason}; bfloat16 is not faster here")
    reason = f"CPU, bfloat16 for warp and decoder: a frame took {1 / gain:.2f} of its time in float32"
    return halved, dataclasses.replace(placement, dtype=torch.bfloat16, reason=reason)


class _CompiledWarp:
    """The warp network with its frames compiled; what is done once per source is not worth it."""

    def __init__(self, warp: Warp) -> None:
        self.source = warp.source
        self.from_source: Callable[[Any, Tensor], Tensor] = torch.compile(warp.from_source)


def _torch_networks(paths: Mapping[str, Path], placement: Placement, config: MotionConfig, shared_batches: bool) -> Networks:
    def loaded(role: str, **more: int) -> Any:
        # Norms are folded in float64, which an Apple GPU does not have.
        where = torch.device("cpu") if placement.device.type == "mps" else placement.device
        network = _loaded(role, paths, placement, form.convert, where, more)
        return network if where == placement.device or role == "stitch_network" else network.to(placement.device)

    form = inference_form(placement)
    lmdm = loaded("lmdm", **config.lmdm_arguments)
    motion_server = MotionServer(lmdm.sampler, placement.device) if shared_batches and placement.device.type == "cuda" else None
    appearance, motion = loaded("appearance_extractor"), loaded("motion_extractor")
    recorded = RecordedExtractors(appearance, motion, placement.device) if placement.device.type == "cuda" else None
    return Networks(
        recorded.appearance if recorded is not None else appearance,
        recorded.motion if recorded is not None else motion,
        loaded("warp_network"),
        loaded("decoder"),
        stitch_of(loaded("stitch_network")),
        motion_server.sampler if motion_server is not None else lambda steps: sampler_of(lmdm, steps),
        conv3d=form.conv3d,
        both=recorded.both if recorded is not None else None,
        warm_motion=motion_server.warmup if motion_server is not None else None,
        close=motion_server.close if motion_server is not None else lambda: None,
    )


def load_lent_networks(paths: Mapping[str, Path], placement: Placement, config: MotionConfig) -> Networks:
    """Those that make motion and pictures, for a GPU that is lent call by call: the program that loads them has none itself.

    So nothing is recorded or tried out, no thread is started, and weights are prepared on the CPU before they go to the device. What takes
    most of the time can be compiled ahead of time (`compilable`): a frame's decoder and warp, and one step of the motion diffusion.
    """

    def loaded(role: str, **more: int) -> Any:
        return _loaded(role, paths, placement, prepare_for_inference, torch.device("cpu"), more).to(placement.device)

    def none(image: Tensor) -> Any:
        raise RuntimeError("sources are not registered on a GPU that is lent")

    lmdm = loaded("lmdm", **config.lmdm_arguments)
    stitch = _loaded("stitch_network", paths, placement, prepare_for_inference, torch.device("cpu"), {})
    warp = loaded("warp_network")
    frame = CompilableCall("warp network", warp, "from_source")
    decode = CompilableCall("decoder", loaded("decoder"))
    step = CompilableCall("step of motion", lmdm, "x_start")
    lmdm.x_start = step  # what the sampling loop calls
    return Networks(
        none, none, _LentWarp(warp.source, frame), decode, stitch_of(stitch), lambda steps: sampler_of(lmdm, steps),
        compilable=(decode, frame, step), sizes=Sizes(config.audio_feat_dim, (*warp.volume, 64, 64), config.seq_frames),
    )  # fmt: skip


class _LentWarp(NamedTuple):
    """A `Warp` whose frames may be compiled."""

    source: Callable[[Tensor, Tensor], Any]
    from_source: Callable[[Any, Tensor], Tensor]


def _loaded(
    role: str, paths: Mapping[str, Path], placement: Placement, prepare: Callable[[Any], Any], device: torch.device, more: Mapping[str, int]
) -> Any:
    """One network on `device`, in the precision of the placement."""
    dtype = placement.dtype if role in HALF_PRECISION else torch.float32
    # Tiny, and its answer is waited for frame by frame: on a GPU it would wait behind the pictures being drawn.
    device = torch.device("cpu") if role == "stitch_network" else device
    with torch.device("meta"):
        network = NETWORKS[role](**{**SIZES.get(role, {}), **more})
    # Norms are folded in float32: the variance of one may be too large for half precision, its convolution is not.
    prepared: Any = prepare(load_checkpoint(network, paths[role], device=device, dtype=torch.float32))
    return prepared if dtype == torch.float32 else prepared.to(dtype)


class InferenceForm(NamedTuple):
    """How networks are converted for a device. convert: of one network in float32, which may be halved afterwards."""

    convert: Callable[[Any], Any]
    conv3d: Conv3dChoice


def inference_form(placement: Placement) -> InferenceForm:
    """To the fused form on a GPU whose kernels passed their check; volumes convolved as this device does it fastest."""
    obstacle = enable_kernels(placement.device) if placement.device.type == "cuda" else ""
    if obstacle:
        log.warning("ditto's networks run without fused kernels, which is slower: %s", obstacle)
    fused = obstacle is None
    choice = fastest_conv3d(placement.device, placement.dtype, "channels last" if fused else "contiguous")

    def convert(network: Any) -> Any:
        converted: Any = (prepare_for_gpu if fused else prepare_for_inference)(network)
        if isinstance(network, WarpNetwork):  # the only one that convolves volumes in half precision
            use_conv3d(converted, choice.way)
        return converted

    return InferenceForm(convert, choice)


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


def _tensorrt_networks(paths: Mapping[str, Path], placement: Placement) -> tuple[Networks, Placement]:
    engines = load_engines(paths, placement.device)
    stitch = OnnxNetwork("stitch_network", paths["stitch_network"])  # tiny, and waited for frame by frame: the CPU answers sooner

    def stitched(kp_source: Array, kp_driving: Array) -> Array:
        out: Array = stitch(kp_source=kp_source, kp_driving=kp_driving)[0]
        return out

    appearance, motion, warp, decode, lmdm = (
        engines.networks[role] for role in ("appearance_extractor", "motion_extractor", "warp_network", "decoder", "lmdm")
    )
    if engines.largest_batch == 1:
        placement = dataclasses.replace(placement, batch=1, batches_at_once=ONNX_FRAMES_AT_ONCE)
    networks = Networks(
        lambda image: appearance(image)[0],
        lambda image: MotionInfo(*motion(image)),
        _OnnxWarp(warp),
        lambda feature: decode(feature)[0],
        stitched,
        lambda steps: sampler_on(placement.device, lmdm, steps),
        runtime=engines.runtime,
        shares_batches=False,
    )
    return networks, dataclasses.replace(placement, reason=f"{engines.runtime}, {placement.reason}")


class _OnnxWarp:
    """The published graph takes everything with every frame: nothing of the source is prepared."""

    def __init__(self, network: Callable[..., tuple[Tensor, ...]]) -> None:
        self._network = network

    def source(self, feature_3d: Tensor, kp_source: Tensor) -> tuple[Tensor, Tensor]:
        return feature_3d, kp_source

    def from_source(self, source: tuple[Tensor, Tensor], kp_driving: Tensor) -> Tensor:
        n = len(kp_driving)
        return self._network(*(x.expand(n, *x.shape[1:]) for x in source), kp_driving)[0]
