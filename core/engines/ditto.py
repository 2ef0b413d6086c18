"""The Ditto engine: HuBERT → latent motion diffusion → stitch → warp → decode → put back (arXiv:2411.19509).

    engine = DittoEngine(model_manager.ensure())        # role → path; which files there are is not this module's business
    session = engine.session(engine.register(photo, Framing()), Controls(), RenderOptions())
    for frame in session.push(samples): ...

Each stage is a file of `core/atomic_components/`; this one loads the networks and joins the stages.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from core.atomic_components import saved_registration
from core.atomic_components.audio2motion import Audio2Motion, seeded_noise
from core.atomic_components.avatar_registrar import AvatarRegistrar
from core.atomic_components.condition_handler import ConditionHandler, ConditionLayout
from core.atomic_components.decode_f3d import DecodeF3D
from core.atomic_components.motion_stitch import MotionStitch
from core.atomic_components.pose import MOTION_DIM, Array
from core.atomic_components.putback import Canvas
from core.atomic_components.registration import MAX_STORE_BYTES, DittoRegistration
from core.atomic_components.warp_f3d import WarpF3D
from core.atomic_components.wav2feat import FeatureOptions, SpeechEncoder, Wav2Feat
from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import FaceMesh
from core.aux_models.insightface import InsightFaceDetector
from core.aux_models.landmark203 import Landmark203
from core.aux_models.landmarks import FaceDetector
from core.aux_models.mesh_detector import MeshDetector
from core.aux_models.onnx_model import OnnxModel
from core.engines.base import Engine, RegisterCallback, Registration, Saved, ignore_progress
from core.engines.capabilities import DITTO
from core.engines.ditto_checkpoints import needed_checkpoints, revision_of
from core.engines.ditto_networks import load_networks
from core.engines.ditto_options import SessionOptions, session_options, source_options
from core.engines.ditto_renderer import DittoRenderer, Drawing, LocalDrawing, SharedDrawing
from core.engines.ditto_session import DittoSession
from core.engines.ditto_speech import load_speech
from core.engines.render_server import RenderServer
from core.errors import OptionError
from core.models.config import DittoConfig, SetupDefaults, load_config
from core.optimization.gpu_optimization import Placement
from core.options import PRESETS
from core.request import Avatar, Controls, Framing, RenderOptions
from core.types import Frame, Photo, Source

log = logging.getLogger(__name__)

Detector = Literal["mediapipe", "insightface"]
DETECTORS: tuple[Detector, ...] = ("mediapipe", "insightface")
INSIGHTFACE_NOTICE = "The face was found by InsightFace's models, which are for non-commercial use only."
MAX_BATCH = 64
"""Frames drawn at once, at most."""


class DittoEngine(Engine):
    """Holds weights only. Construction loads them all; float32 ones stay mapped from their files on a CPU.

    checkpoints: path by role: cfg, the six networks (`NETWORKS`, all as .pth or all as .onnx), hubert, landmark203; insightface_det and
    landmark106 for that detector.
    device: "cuda", "cuda:1", "cpu"; None: a GPU where there is one. cfg_pkl: another configuration than the checkpoints' own.
    max_store_bytes: of the frames of one registered video, which are kept in a temporary file.
    shared_batches: on a GPU, sessions hand windows of sound and motion, and frames, to threads that compute those of several sessions at
    once, instead of taking turns on the device.
    batch: frames that a session draws at once; None: as the device likes. backend: what runs the networks, as in `load_networks`.
    Raises EngineUnavailable, OptionError, CheckpointError, ConfigError.
    """

    name = "ditto"
    capabilities = DITTO

    def __init__(
        self,
        checkpoints: Mapping[str, Path],
        device: str | None = None,
        *,
        detector: Detector = "mediapipe",
        cfg_pkl: Path | None = None,
        max_store_bytes: int = MAX_STORE_BYTES,
        shared_batches: bool = False,
        batch: int | None = None,
        backend: str = "auto",
    ) -> None:
        if detector not in DETECTORS:
            raise OptionError(f"There is no detector {detector!r}.", f"Choose one of: {', '.join(DETECTORS)}.")
        if batch is not None and not 1 <= batch <= MAX_BATCH:
            raise OptionError(f"The batch is {batch}.", f"It must lie between 1 and {MAX_BATCH}.")
        self._paths = needed_checkpoints(checkpoints, detector, cfg_pkl)
        self.config: DittoConfig = load_config(self._paths["cfg"])
        self._detector_name = detector
        self.placement: Placement
        self._networks, self.placement = load_networks(self._paths, device, self.config.motion, shared_batches, backend)
        if batch is not None:
            self.placement = dataclasses.replace(self.placement, batch=batch)
        self.decode = DecodeF3D(self._networks.decode)
        self._server: RenderServer | None = None
        if shared_batches and self._networks.shares_batches and self.placement.device.type == "cuda":
            self._server = RenderServer(self._networks.warp.from_source, self._networks.decode, self.placement.device)
        self._on_cpu_instead = list(self._networks.on_cpu_instead)
        self._speech = load_speech(self._paths["hubert"], self.placement, shared_batches)
        if self._speech.on_cpu_instead:
            self._on_cpu_instead.append(self._speech.on_cpu_instead)
        landmark203 = Landmark203(self._onnx("landmark203", "landmark network"))
        self._max_store_bytes = max_store_bytes
        self._registrar = AvatarRegistrar(
            self._networks.appearance, self._networks.motion, self._detector(), landmark203, FaceMesh(),
            self.placement.device, max_store_bytes, self._networks.both,
        )  # fmt: skip
        conv3d = self._networks.conv3d
        way = conv3d.way if conv3d is not None and conv3d.times_ms else self._networks.runtime
        self._revision = revision_of(self._paths, self.placement, detector, f"{way} {self._speech.way}".rstrip())
        limitations = [said for said in (self._networks.replaced, self._speech.replaced) if said]
        if self._on_cpu_instead:
            limitations.append(f"ONNX Runtime does not use the GPU, so these run on the CPU: {', '.join(self._on_cpu_instead)}")
            log.warning("ditto: %s. Install requirements-gpu.txt in a fresh environment.", limitations[-1])
        if conv3d is not None and conv3d.note:
            limitations.append(conv3d.note)
        self.limitation = "; ".join(limitations)

    @property
    def revision(self) -> str:
        return self._revision

    @property
    def paths(self) -> Mapping[str, Path]:
        """Of the checkpoints in use, by role."""
        return self._paths

    @property
    def defaults(self) -> SetupDefaults:
        """The defaults of the configuration in use."""
        return self.config.defaults

    def warmup(self) -> None:
        """On a GPU, runs every network once at the sizes that it will have: memory is taken and kernels are chosen now."""
        self._speech.warmup()
        on_gpu = self.placement.device.type != "cpu" or "CUDAExecutionProvider" in self.placement.providers
        if on_gpu:  # on a CPU nothing is chosen at run time, and one frame takes ten seconds
            self._run_networks()

    def _run_networks(self) -> None:
        networks, device, motion = self._networks, self.placement.device, self.config.motion
        with torch.inference_mode():
            crop, points = torch.zeros(1, 3, 256, 256, device=device), torch.zeros(1, 21, 3, device=device)
            networks.motion(crop)
            if networks.both is not None:
                networks.both(crop)
            source = networks.warp.source(networks.appearance(crop), points)
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # the servers run on other streams
            if self._server is not None:
                self._server.warmup(source)
            render = networks.decode(networks.warp.from_source(source, points))
            Canvas(np.zeros((512, 512, 3), np.uint8), np.eye(3, dtype=np.float32)).on(device).put(render)
        frame, cond, noise = ((1, MOTION_DIM), (1, motion.seq_frames, motion.audio_feat_dim), (1, motion.seq_frames, MOTION_DIM))
        for steps in sorted({self.defaults.sampling_timesteps, PRESETS["realtime"]["sampling_timesteps"]}):
            given = [np.zeros(shape, np.float32) for shape in (frame, cond, noise, (steps - 1, *noise))]
            networks.sampler(steps)(given[0], given[1], given[2], given[3])
            if networks.warm_motion is not None:
                networks.warm_motion(steps, given)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._speech.close()
        self._networks.close()

    def verify(self, source: Source | Avatar, framing: Framing, controls: Controls, options: RenderOptions) -> None:
        super().verify(source, framing, controls, options)
        source_options(framing, self.defaults)
        session_options(controls, options, self.defaults)

    def verify_controls(self, controls: Controls, options: RenderOptions) -> None:
        super().verify_controls(controls, options)
        session_options(controls, options, self.defaults)

    def register(self, photo: Source, framing: Framing, on_frame: RegisterCallback = ignore_progress) -> DittoRegistered:
        framing.verify()
        options = source_options(framing, self.defaults)
        source, total = (photo.pixels, 1) if isinstance(photo, Photo) else (photo.frames(), photo.n_frames)
        total = min(total, options.template_n_frames) if options.template_n_frames > 0 else total

        def progress(done: int) -> None:
            on_frame(done, max(done, total) if total else 0)

        registered = self._registrar.register(source, options, framing.face_index, progress)
        notice = (INSIGHTFACE_NOTICE,) if self._detector_name == "insightface" else ()
        return DittoRegistered(registered, (*registered.warnings, *notice))

    def save(self, registration: Registration) -> Saved:
        arrays, values = saved_registration.saved(_registered(registration).source)
        return arrays, {**values, "notices": registration.warnings}

    def restore(self, saved: Saved, source: Callable[[], Source]) -> DittoRegistered:
        def video() -> Iterable[Frame]:
            moving = source()
            if isinstance(moving, Photo):
                raise ValueError("a photo was kept where a video was registered")
            return moving.frames()

        restored = saved_registration.restored(
            *saved, self._registrar.extract, self.placement.device, video, self._max_store_bytes
        )  # fmt: skip
        return DittoRegistered(restored, tuple(saved[1]["notices"]))

    def session(self, registration: Registration, controls: Controls, options: RenderOptions) -> DittoSession:
        registered = _registered(registration)
        controls.verify(self.capabilities, self.name)
        options.verify()
        return DittoSession(self, registered.source, session_options(controls, options, self.defaults), options)

    # ---- what a session is made of

    def features(self, online_mode: bool) -> Wav2Feat:
        return Wav2Feat(self.speech_encoder(), FeatureOptions.of(online_mode))

    def speech_encoder(self) -> SpeechEncoder:
        """One for a session; the sessions' windows may be computed together."""
        return self._speech.encoder()

    def motion(self, source: DittoRegistration, options: SessionOptions, silence: Callable[[int], Array], seed: int) -> Audio2Motion:
        told = options.character or source.motion
        layout = self.config.motion
        blocks = ConditionLayout(layout.use_emo, layout.use_eye_open, layout.use_eye_ball, layout.use_sc)
        sample = self._networks.sampler(options.motion.sampling_timesteps)
        longer = options.longer if options.character is None else "bounce"  # a character's frames are no clip that is seen
        condition = ConditionHandler(told, options.condition, blocks, longer)
        noise = seeded_noise(seed, options.motion.seq_frames)
        return Audio2Motion(sample, condition, told, silence, noise, options.motion)

    def stitch(self, source: DittoRegistration, options: SessionOptions, seed: int, first_frame: int = 0) -> MotionStitch:
        return MotionStitch(source.motion, self._networks.stitch, options.stitch, options.character, seed, first_frame, options.longer)

    def drawing(self, renderer: DittoRenderer, watched: bool) -> Drawing:
        """The object that draws a session's frames. watched: a viewer sees each frame as it is made."""
        if self._server is None:
            return LocalDrawing(renderer, self.placement.batches_at_once)
        return SharedDrawing(renderer, self._server, watched)

    def warp(self, source: DittoRegistration) -> WarpF3D:
        return WarpF3D(self._networks.warp, source.feature, self.placement.device, source.is_image)

    # ---- loading

    def _onnx(self, role: str, what: str) -> OnnxModel:
        model = OnnxModel(self._paths[role], what, self.placement.providers)
        if model.on_cpu_instead:
            self._on_cpu_instead.append(model.on_cpu_instead)
        return model

    def _detector(self) -> FaceDetector:
        if self._detector_name == "mediapipe":
            return MeshDetector(FaceFinder())
        log.warning(INSIGHTFACE_NOTICE)
        return InsightFaceDetector(self._onnx("insightface_det", "face detector"), self._onnx("landmark106", "106-landmark network"))


class DittoRegistered(Registration):
    """A registered source as the studio keeps it."""

    def __init__(self, source: DittoRegistration, warnings: tuple[str, ...]) -> None:
        self.source, self.warnings, self.quarters = source, warnings, source.quarters

    @property
    def nbytes(self) -> int:
        return self.source.nbytes

    @property
    def face_box(self) -> tuple[float, float, float, float]:
        (x0, y0, x1, y1), width, height = self.source.face_box, self.source.width, self.source.height
        return x0 / width, y0 / height, x1 / width, y1 / height


def _registered(registration: Registration) -> DittoRegistered:
    if not isinstance(registration, DittoRegistered):
        raise TypeError(f"a {type(registration).__name__} was not made by the ditto engine")
    return registration
