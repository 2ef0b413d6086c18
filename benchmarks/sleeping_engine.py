"""An engine that takes as long as Ditto on a GPU and no processor, for measurements of more render replicas than a machine has cores.

Speech features and windows of motion are Ditto's own stages, with networks that sleep and answer with zeros; a push gives as many frames
as Ditto's would, after as long. The device is held meanwhile: sessions take turns on it, as Ditto's do. Pictures are one picture.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.device_times import DeviceTimes
from core.atomic_components.audio2motion import Audio2Motion, seeded_noise
from core.atomic_components.condition_handler import ConditionHandler, ConditionLayout, ConditionOptions
from core.atomic_components.motion_options import Audio2MotionOptions
from core.atomic_components.pose import LAYOUT, MOTION_DIM, N_KEYPOINTS, Motion, SourceMotion
from core.atomic_components.wav2feat import FEATURE_DIM, FeatureOptions, Wav2Feat
from core.engines.base import FrameCost, RegisterCallback, Registration, Saved, Session, ignore_progress
from core.engines.capabilities import DITTO_CONTROLS, DITTO_RENDER, LITE
from core.engines.ditto_options import session_options
from core.engines.ditto_session import IDLE_FRAMES, look_ahead
from core.engines.lite import LiteEngine
from core.request import DEFAULT, Controls, Framing, RenderOptions
from core.types import SAMPLES_PER_FRAME, Frame, Samples, Source

RECORDED_TIMES, LIVE_TIMES = "SCALE_RECORDED_TIMES", "SCALE_LIVE_TIMES"
"""Environment variables: `DeviceTimes` as JSON, of recordings and of live sessions."""
ENGINE = "SCALE_ENGINE"
"""Environment variable: "sleeping" or "lite"."""
READ_ANEW = "The person was not in memory."
"""Warning of a video whose registration was read from the disk."""
BATCH = 10
"""Frames that Ditto draws at once on a GPU."""
_slept = threading.local()
_thread_time = time.thread_time

Array = NDArray[np.float32]


def sleep(seconds: float) -> None:
    time.sleep(seconds)
    _slept.s = getattr(_slept, "s", 0.0) + seconds


def busy_time() -> float:
    """As time.thread_time, with what was slept for the device: a thread that waits for a GPU counts as working, too."""
    return _thread_time() + getattr(_slept, "s", 0.0)


def times_of(variable: str) -> DeviceTimes:
    return DeviceTimes(**json.loads(os.environ[variable]))


def as_variable(times: DeviceTimes) -> str:
    return json.dumps(dataclasses.asdict(times))


class SleepingSession(Session):
    """Shows one frame of another session all the time."""

    step_frames = BATCH

    def __init__(self, shown: Session, times: DeviceTimes, motion: Audio2MotionOptions, seed: int) -> None:
        self._frame = next(shown.idle(1))
        self.height, self.width = self._frame.shape[:2]
        self.warnings, self.face_box = shown.warnings, shown.face_box
        self._times, self._options, self._seed = times, motion, seed
        self.look_ahead_samples = look_ahead(motion)
        self._features, self._motion = self._stages()
        self._not_listened = IDLE_FRAMES
        self._idle_made = False

    def push(self, samples: Samples) -> Iterator[Frame]:
        return self._drawn(row for block in self._features.push(samples) for row in self._motion.push(block))

    def flush(self) -> Iterator[Frame]:
        yield from self._drawn(row for block in self._features.flush() for row in self._motion.push(block))
        yield from self._drawn(self._motion.flush())

    def idle(self, n_frames: int) -> Iterator[Frame]:
        """Ditto makes the motion of listening once, and keeps the pictures of a photo: later frames take no time."""
        if not self._idle_made:
            self._idle_made = True
            features, motion = self._stages()
            rows = [row for block in features.push(np.zeros(IDLE_FRAMES * SAMPLES_PER_FRAME, np.float32)) for row in motion.push(block)]
            rows += [row for block in features.flush() for row in motion.push(block)]
            rows += motion.flush()
        for _ in range(n_frames):
            if self._not_listened:
                self._not_listened -= 1
                sleep(self._times.frame_ms / 1000)
            yield self._frame.copy()

    def interrupt(self) -> None:
        self._features.reset()
        self._motion.reset()

    def _stages(self) -> tuple[Wav2Feat, Audio2Motion]:
        features = Wav2Feat(self._encode, FeatureOptions.of(self._options.online_mode))
        kp = np.zeros(3 * N_KEYPOINTS, np.float32)
        still = Motion.of({"kp": kp, **{name: np.zeros(part.stop - part.start) for name, part in LAYOUT.items()}})
        source = SourceMotion([still], kp, np.zeros((1, 2), np.float32), np.zeros((1, 6), np.float32), is_image=True)
        condition = ConditionHandler(source, ConditionOptions(), ConditionLayout())
        return features, Audio2Motion(self._sample, condition, source, features.silence, seeded_noise(self._seed), self._options)

    def _encode(self, samples: Array) -> Array:
        sleep(self._times.speech_ms / 1000)
        return np.zeros((20, FEATURE_DIM), np.float32)

    def _sample(self, cond_frame: Array, cond: Array, x_t: Array, noises: Array) -> Array:
        sleep(self._times.window_ms / 1000)
        return np.zeros((1, self._options.seq_frames, MOTION_DIM), np.float32)

    def _drawn(self, rows: Iterator[Array]) -> Iterator[Frame]:
        for _ in rows:
            sleep(self._times.frame_ms / 1000)
            yield self._frame.copy()


class WatchedEngine(LiteEngine):
    """The lite engine; the first session of a registration that was read from the disk says so by a warning."""

    def restore(self, saved: Saved, source: Callable[[], Source]) -> Any:
        registration = super().restore(saved, source)
        registration.read_anew = True  # type: ignore[union-attr]
        return registration

    def session(self, registration: Any, controls: Controls, options: RenderOptions) -> Any:
        session = super().session(registration, controls, options)
        if vars(registration).pop("read_anew", False):
            session.warnings = (*session.warnings, READ_ANEW)
        return session


class SleepingEngine(WatchedEngine):
    """Finds and keeps faces as the lite engine does, and draws nothing. Live sessions are given the options that Ditto's are."""

    capabilities = LITE | DITTO_RENDER | DITTO_CONTROLS

    def register(  # type: ignore[override]
        self, photo: Source, framing: Framing, on_frame: RegisterCallback = ignore_progress
    ) -> Registration:
        registration = super().register(photo, framing, on_frame)
        sleep(times_of(RECORDED_TIMES).register_ms / 1000)
        return registration

    def frame_cost(self, registration: Registration, options: RenderOptions) -> FrameCost:
        times, motion = times_and_motion(Controls(), options)
        frame_s = times.of_a_frame_ms(motion) / 1000
        return FrameCost(frame_s, frame_s)

    def session(self, registration: Registration, controls: Controls, options: RenderOptions) -> SleepingSession:  # type: ignore[override]
        times, motion = times_and_motion(controls, options)
        of_lite = dataclasses.replace(options, **dict.fromkeys(DITTO_RENDER, DEFAULT))
        return SleepingSession(super().session(registration, Controls(), of_lite), times, motion, options.seed)


def times_and_motion(controls: Controls, options: RenderOptions) -> tuple[DeviceTimes, Audio2MotionOptions]:
    motion = session_options(controls, options).motion
    return times_of(LIVE_TIMES if motion.online_mode else RECORDED_TIMES), motion
