"""Stand-ins of the networks behind Ditto's motion, and the sources and speech that its goldens were made with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from core.atomic_components.audio2motion import Audio2Motion
from core.atomic_components.condition_handler import ConditionHandler
from core.atomic_components.motion_options import Audio2MotionOptions
from core.atomic_components.pose import Motion, SourceMotion
from core.atomic_components.wav2feat import FeatureOptions, Wav2Feat
from tests.support.golden_io import SEED
from tests.support.synthetic import synthetic_input

MOTION_SHAPES = {
    "pitch": ((1, 66), -6.0, 6.0),
    "yaw": ((1, 66), -6.0, 6.0),
    "roll": ((1, 66), -6.0, 6.0),
    "t": ((1, 3), -0.2, 0.2),
    "exp": ((1, 63), -0.1, 0.1),
    "scale": ((1, 1), 1.0, 1.5),
    "kp": ((1, 63), -0.6, 0.6),
}


def make_source(seed: int, n: int) -> SourceMotion:
    """The source that the goldens of the stages were made with: a photo (n = 1) or a video of n frames."""
    frames = [
        {k: synthetic_input(f"src{i}_{k}", *([shape, seed, lo, hi])) for k, (shape, lo, hi) in MOTION_SHAPES.items()} for i in range(n)
    ]
    return SourceMotion(
        motions=[Motion.of(frame) for frame in frames],
        sc=frames[0]["kp"],
        eye_open=np.concatenate([synthetic_input(f"src{i}_eye_open", (1, 2), seed, 0.3, 0.9) for i in range(n)]),
        eye_ball=np.concatenate([synthetic_input(f"src{i}_eye_ball", (1, 6), seed, -0.2, 0.2) for i in range(n)]),
        is_image=n == 1,
    )


def mean_encoder(window: np.ndarray) -> np.ndarray:
    """Row k is the mean of the 400 samples that HuBERT's convolutions would see."""
    rows = np.stack([window[0, k * 320 : k * 320 + 400].mean(dtype=np.float64) for k in range(20)])
    return np.repeat(rows[:, None], 1024, axis=1).astype(np.float32)


def loudness_encoder(window: np.ndarray) -> np.ndarray:
    return mean_encoder(np.abs(window))


def features_of(encode: Callable[[np.ndarray], np.ndarray], samples: np.ndarray, lead_in: int = 2000) -> np.ndarray:
    stage = Wav2Feat(encode, FeatureOptions(lead_in))
    return np.concatenate([*stage.push(samples), *stage.flush()])


def e2e_wav() -> np.ndarray:
    t = np.arange(48000) / 16000
    return np.float32(synthetic_input("e2e_wav", (48000,), SEED, -0.3, 0.3) * np.abs(np.sin(2 * np.pi * 2 * t)))


def tanh_encoder() -> Callable[[np.ndarray], np.ndarray]:
    mix = synthetic_input("hubert_stub_P", (400, 1024), SEED, -0.2, 0.2)

    def encode(window: np.ndarray) -> np.ndarray:
        return np.tanh(np.stack([window[0, k * 320 : k * 320 + 400] for k in range(20)]) @ mix)

    return encode


class Sampled:
    """Stands in for the diffusion model: prepared windows, and a record of what it was asked."""

    def __init__(self, make: Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> None:
        self.make = make
        self.cond_frames: list[np.ndarray] = []
        self.noises: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, cond_frame: np.ndarray, cond: np.ndarray, x_t: np.ndarray, noises: np.ndarray) -> np.ndarray:
        assert cond_frame.shape == (1, 265)
        assert cond.shape[:2] == x_t.shape[:2] == (1, 80)
        assert {a.dtype for a in (cond_frame, cond, x_t, noises)} == {np.dtype(np.float32)}
        self.cond_frames.append(cond_frame.copy())
        self.noises.append((x_t.copy(), noises))
        return self.make(len(self.cond_frames) - 1, cond_frame, cond, x_t)


def no_noise() -> np.ndarray:
    return np.zeros((1, 80, 265), np.float32)


def indexed(first: int, n: int) -> np.ndarray:
    """Features that carry the number of their frame."""
    return np.repeat(np.arange(first, first + n, dtype=np.float32)[:, None], 1024, axis=1)


def before_speech(n: int) -> np.ndarray:
    return indexed(-n, n)


def a2m_of(
    sample: Any, source: SourceMotion, condition: Any = None, noise: Any = no_noise, silence: Any = before_speech, **options: Any
) -> Audio2Motion:
    return Audio2Motion(sample, condition or ConditionHandler(source), source, silence, noise, Audio2MotionOptions(**options))


def spoken(stage: Audio2Motion, features: np.ndarray, size: int | None = None) -> np.ndarray:
    size = size or max(len(features), 1)
    rows = [row for i in range(0, len(features), size) for row in stage.push(features[i : i + size])] + [*stage.flush()]
    return np.stack(rows) if rows else np.zeros((0, 265), np.float32)


def dream(seed: int) -> Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """A model whose windows depend on everything it is given."""
    mix = np.random.default_rng(seed).standard_normal((1103, 265)).astype(np.float32) * np.float32(0.05)

    def make(i: int, cond_frame: np.ndarray, cond: np.ndarray, x_t: np.ndarray) -> np.ndarray:
        made = np.stack([np.tanh(row @ mix) for row in cond[0]])[None]
        return made + np.float32(0.5) * cond_frame[:, None] + np.float32(0.1) * x_t

    return make


def no_stitch(kp_source: np.ndarray, kp_driving: np.ndarray) -> np.ndarray:
    return kp_driving


BLINK = synthetic_input("delta_eye_arr", (15, 63), SEED, -0.05, 0.05)
ALL_KEYS = ("exp", "pitch", "yaw", "roll", "t")


def carry_index(i: int, cond_frame: np.ndarray, cond: np.ndarray, x_t: np.ndarray) -> np.ndarray:
    made = np.zeros((1, 80, 265), np.float32)
    made[..., 202] = cond[..., 0]
    return made
