"""A Ditto engine of the published size with random weights, and the published way of running it, for benchmarks.

Weights are those of the tests (`tests/support/synthetic.py`), a face is made up, and the speech encoder is a network of HuBERT-large's
shape with random weights. Needs torch, numpy, OpenCV; nothing to decode or to find faces with.
"""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.atomic_components.audio2motion import Audio2Motion, sampler_of, seeded_noise  # noqa: E402
from core.atomic_components.condition_handler import ConditionHandler  # noqa: E402
from core.atomic_components.crop import CROP_PX, Crop, halved, network_input  # noqa: E402
from core.atomic_components.decode_f3d import DecodeF3D  # noqa: E402
from core.atomic_components.motion_stitch import MotionStitch, StitchedFrame, stitch_of  # noqa: E402
from core.atomic_components.pose import Motion  # noqa: E402
from core.atomic_components.putback import Canvas  # noqa: E402
from core.atomic_components.registration import DittoRegistration, SourceFrame  # noqa: E402
from core.engines.ditto import DittoEngine, DittoRegistered  # noqa: E402
from core.engines.ditto_networks import HALF_PRECISION, NETWORKS, Networks, in_best_precision, inference_form  # noqa: E402
from core.engines.ditto_options import session_options  # noqa: E402
from core.engines.ditto_speech import Speech  # noqa: E402
from core.engines.motion_server import MotionServer  # noqa: E402
from core.engines.render_server import RenderServer  # noqa: E402
from core.models.config import DittoConfig, FaceMeshConfig, MotionConfig, SetupDefaults  # noqa: E402
from core.optimization.cuda_graphs import RecordedCall  # noqa: E402
from core.optimization.gpu_optimization import place  # noqa: E402
from core.optimization.parallel_processing import StageRunner  # noqa: E402
from core.optimization.resolution_optimization import face_cut  # noqa: E402
from core.request import Controls, RenderOptions  # noqa: E402
from tests.support.network_sizes import TINY as SMALL  # noqa: E402, F401
from tests.support.synthetic import fill_state_dict, synthetic_input  # noqa: E402

Array = NDArray[Any]
SEED = 7
PUBLISHED_MOTION = MotionConfig("")
SIDE_PX = 512
"""Of the made-up photo."""


def plain_networks(sizes: dict[str, dict[str, Any]] | None = None) -> dict[str, nn.Module]:
    """The six networks as published, float32 on the machine. sizes: constructor arguments by role; default: the published sizes."""

    def build(role: str) -> nn.Module:
        with torch.device("meta"):
            network = NETWORKS[role](**(sizes or {}).get(role, {}))
        weights = fill_state_dict(network, SEED, role)
        network.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()}, assign=True)
        return network.eval().requires_grad_(False)

    with ThreadPoolExecutor(len(NETWORKS)) as pool:
        return dict(zip(NETWORKS, pool.map(build, NETWORKS), strict=True))


class SpeechNetwork(nn.Module):
    """HuBERT-large's shape: 7 convolutions to 50 rows a second, 24 layers of width 1024. (1, 6480) -> (1, 20, 1024)."""

    def __init__(self, width: int = 1024, layers: int = 24):
        super().__init__()
        kernels = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))
        self.convs = nn.ModuleList(nn.Conv1d(1 if i == 0 else 512, 512, k, s) for i, (k, s) in enumerate(kernels))
        self.norms = nn.ModuleList(nn.LayerNorm(512) for _ in kernels)
        self.project = nn.Linear(512, width)
        self.position = nn.Conv1d(width, width, 128, padding=64, groups=16)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 16, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True) for _ in range(layers)
        )  # fmt: skip

    def forward(self, samples: Tensor) -> Tensor:
        x = samples[:, None]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = nn.functional.gelu(norm(conv(x).transpose(1, 2)).transpose(1, 2))
        x = self.project(x.transpose(1, 2))
        x = x + nn.functional.gelu(self.position(x.transpose(1, 2))[..., :-1]).transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        return x


class SpeechEncoder:
    """(1, 6480) samples -> (20, 1024) rows, as `Wav2Feat` takes them; half precision and recorded on a GPU, a thousandth of it on a CPU."""

    def __init__(self, device: torch.device) -> None:
        torch.manual_seed(SEED)
        gpu = device.type == "cuda"
        network = (SpeechNetwork() if gpu else SpeechNetwork(layers=1)).eval().requires_grad_(False)
        dtype = torch.float16 if gpu else torch.float32
        self.network = network.to(device, dtype)
        self._call = RecordedCall(self.network, [torch.zeros(1, 6480, device=device, dtype=dtype)])
        self._lock = threading.Lock()
        self._stream = torch.cuda.Stream(device, priority=-1) if gpu else None

    def __call__(self, samples: Array) -> Array:
        with self._lock, torch.inference_mode(), torch.cuda.stream(self._stream):
            self._call.inputs[0].copy_(torch.from_numpy(np.ascontiguousarray(samples)))
            rows: Array = self._call.replay()[0].float().cpu().numpy()
        return rows


class SyntheticEngine(DittoEngine):
    """The engine as it is, its networks given. Registers nobody: `person` is made up.

    shared_batches: as of DittoEngine, but on a CPU too.
    """

    def __init__(
        self,
        plain: dict[str, nn.Module],
        device: str | None,
        speech: Callable[[Array], Array] | None = None,
        shared_batches: bool | None = None,
        motion: MotionConfig = PUBLISHED_MOTION,
    ) -> None:
        """shared_batches: None: on a GPU only. motion: of the given motion diffusion."""
        run = SetupDefaults(seq_frames=motion.seq_frames, trained_context=motion.context_frames)
        self.config = DittoConfig({}, FaceMeshConfig(), motion, run)
        placement = self.placement = place(device)
        shared = placement.device.type == "cuda" if shared_batches is None else shared_batches
        form = inference_form(placement).convert

        def prepared(role: str) -> Any:
            where = torch.device("cpu") if role == "stitch_network" else placement.device
            network = form(plain[role].to(where))  # may share weights with the plain one, which stays in float32
            return copy.deepcopy(network).to(placement.dtype) if role in HALF_PRECISION else network

        lmdm = prepared("lmdm")
        self._networks = Networks(
            prepared("appearance_extractor"), prepared("motion_extractor"), prepared("warp_network"), prepared("decoder"),
            stitch_of(prepared("stitch_network")),
            MotionServer(lmdm.sampler, placement.device).sampler if shared else lambda steps: sampler_of(lmdm, steps),
        )  # fmt: skip
        if placement.device.type == "cpu":
            self._networks, self.placement = in_best_precision(self._networks, placement)
        self.decode = DecodeF3D(self._networks.decode)
        warp = self._networks.warp
        self._server = RenderServer(warp.from_source, self._networks.decode, placement.device) if shared else None
        encoder = speech or SpeechEncoder(placement.device)
        self._speech = Speech(lambda: encoder)

    @property
    def networks(self) -> Networks:
        return self._networks

    @property
    def server(self) -> RenderServer | None:
        return self._server

    def person(self, number: int = 0) -> DittoRegistered:
        """A made-up photo with a made-up face in it, registered."""
        picture = (synthetic_input(f"person{number}", (SIDE_PX, SIDE_PX, 3), SEED) * 255).astype(np.uint8)
        half = SIDE_PX / CROP_PX * 0.9
        m_c2o = np.array([[half, 0, 0.05 * SIDE_PX], [0, half, 0.05 * SIDE_PX], [0, 0, 1]], np.float32)
        crop = Crop(np.linalg.inv(m_c2o), m_c2o, CROP_PX)
        small = halved(crop.pixels(picture))
        device = self.placement.device
        with torch.inference_mode():
            info = self._networks.motion(network_input([small]).to(device))
            motion = Motion.of({name: getattr(info, name).float().cpu().numpy() for name in info._fields})

        def extract(picture: Array) -> Tensor:
            with torch.inference_mode():
                return self._networks.appearance(network_input([picture]).to(device))

        eyes = np.full((1, 2), 0.4, np.float32), np.zeros((1, 6), np.float32)
        frame = SourceFrame(motion, crop, *eyes, (0.3 * SIDE_PX, 0.3 * SIDE_PX, 0.7 * SIDE_PX, 0.7 * SIDE_PX))
        source = DittoRegistration([frame], motion.kp, True, [picture], [small], extract, (SIDE_PX, SIDE_PX))
        source.feature(0)
        return DittoRegistered(source, ())


def speech(seconds: float) -> Array:
    """(n,) float32 samples: syllables of noise, as loud as speech."""
    t = np.arange(int(16000 * seconds)) / 16000
    noise = synthetic_input("speech", (len(t),), SEED, -1, 1)
    return (0.1 * noise * (1 + np.sin(2 * np.pi * 4 * t))).astype(np.float32)


class PublishedWay:
    """Warp, decoder and put back as published: one frame at a time, half precision by autocast, numpy arrays between the stages."""

    def __init__(self, plain: dict[str, nn.Module], engine: SyntheticEngine, person: DittoRegistered, options: RenderOptions) -> None:
        device = engine.placement.device
        source = person.source
        self._engine, self._source, self._options = engine, source, options
        self._warp, self._decoder, self._lmdm = (plain[role].to(device) for role in ("warp_network", "decoder", "lmdm"))
        self._device = device
        self._feature = source.feature(0).float().cpu().numpy()
        cut = face_cut(source.width, source.height, source.face_box)
        self._canvas = Canvas(source.picture(0), source.frames[0].m_c2o, cut, int(options.size), int(options.size))

    def _run(self, network: nn.Module, *arrays: Array) -> Array:
        with torch.inference_mode(), torch.autocast(self._device.type, torch.float16, enabled=self._device.type == "cuda"):
            out: Array = network(*(torch.from_numpy(a).to(self._device) for a in arrays)).float().cpu().numpy()
        return out

    def warp(self, frame: StitchedFrame) -> Array:
        return self._run(self._warp, self._feature, frame.kp_source, frame.kp_driving)

    def decode(self, feature: Array) -> Array:
        return np.clip(self._run(self._decoder, feature)[0].transpose(1, 2, 0), 0, 1) * np.float32(255)

    def put_back(self, picture: Array) -> Array:
        return self._canvas.put(np.ascontiguousarray(picture))

    def stitched(self, samples: Array) -> Iterator[StitchedFrame]:
        """Keypoints of every frame, motion by the network as published."""
        engine, source = self._engine, self._source
        options = session_options(Controls(), self._options, engine.defaults)
        features = engine.features(options.motion.online_mode)
        condition = ConditionHandler(source.motion, options.condition)
        sample = sampler_of(self._lmdm, options.motion.sampling_timesteps)
        motion = Audio2Motion(sample, condition, source.motion, features.silence, seeded_noise(SEED), options.motion)
        stitch = MotionStitch(source.motion, engine.networks.stitch, options.stitch, None, SEED)
        blocks: list[Iterable[Array]] = [features.push(samples), features.flush()]
        for block in (b for part in blocks for b in part):
            for row in motion.push(block):
                yield stitch.step(row, motion.reference)
        for row in motion.flush():
            yield stitch.step(row, motion.reference)

    def frames(self, samples: Array) -> Iterator[Array]:
        """Stages on a thread each, as published."""
        runner = StageRunner([self.warp, self.decode, self.put_back])
        try:
            yield from runner.run(self.stitched(samples))
        finally:
            runner.close()
