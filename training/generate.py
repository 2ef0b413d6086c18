"""Motion for the sound of a clip, made by the product's own motion stage from the weights of a run."""

from __future__ import annotations

import numpy as np
import torch

from core.atomic_components.audio2motion import Audio2Motion, sampler_of, seeded_noise
from core.atomic_components.condition_handler import ConditionHandler, ConditionOptions
from core.atomic_components.motion_options import WINDOW_FRAMES, Audio2MotionOptions
from core.atomic_components.pose import LAYOUT, Motion, SourceMotion
from core.models import LMDM
from core.models.inference import prepare_for_inference
from training.config import Config
from training.data.clip import Array, ClipArrays
from training.published import PUBLISHED_OVERLAP


class Generator:
    """network: of a run, for inference; it must not be used otherwise afterwards."""

    def __init__(self, network: LMDM, config: Config, steps: int, device: torch.device) -> None:
        self._sample = sampler_of(prepare_for_inference(network.to(device)), steps)
        self._config, self._steps = config, steps

    def __call__(self, clip: ClipArrays, seed: int) -> Array:
        """(n, 265), clip by clip from its first frame's motion, with its own eyes: as the offline policy makes it of a video source."""
        window = self._config.window
        shared = min(window.context or PUBLISHED_OVERLAP, window.frames - 1)
        options = Audio2MotionOptions(
            overlap_v2=WINDOW_FRAMES - min(WINDOW_FRAMES, window.frames - shared), sampling_timesteps=self._steps,
            seq_frames=window.frames, trained_context=window.context,
        )  # fmt: skip
        source = source_of(clip)
        stage = Audio2Motion(
            self._sample, ConditionHandler(source, ConditionOptions(emo=self._config.emotion)), source, _no_silence,
            seeded_noise(seed, window.frames), options,
        )  # fmt: skip
        return np.stack([*stage.push(clip.features.astype(np.float32)), *stage.flush()])


def source_of(clip: ClipArrays) -> SourceMotion:
    first = {name: clip.motion[0, part] for name, part in LAYOUT.items()}
    motion = Motion.of({**first, "scale": first["scale"] + 1, "kp": clip.sc})
    return SourceMotion([motion] * len(clip), clip.sc, clip.eye_open, clip.eye_ball, is_image=False)


def _no_silence(frames: int) -> Array:
    raise AssertionError("the offline policy leads in with none")
