"""The words everyone uses: audio, photo, controls, options, results.

All values are frozen; every default is written here, once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import OptionError

SAMPLE_RATE_HZ = 16_000
"""Rate of the samples an engine hears."""
FPS = 25
"""Frames per second of every video (Ditto's own rate)."""
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS
"""640 samples make one video frame."""

Frame = NDArray[np.uint8]
"""One picture: (H, W, 3) uint8, RGB."""
Samples = NDArray[np.float32]
"""Mono speech: (n,) float32 at 16 kHz, -1..1."""


@dataclass(frozen=True, eq=False)
class Audio:
    """One recording: what the engine hears, and the original that is muxed.

    samples: (n,) float32, mono, 16 kHz, -1..1, n >= 1.
    original: the bytes as they came (any container PyAV reads); arrays arrive here as 32-bit float WAV.
    rate_hz, channels: of the original.
    warnings: what a person should know about the recording ("the sound is clipped"), in plain words.
    """

    samples: Samples
    original: bytes
    rate_hz: int
    channels: int
    warnings: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ

    @property
    def n_frames(self) -> int:
        """Frames of the finished video: ceil(duration x 25)."""
        return math.ceil(len(self.samples) / SAMPLES_PER_FRAME)


@dataclass(frozen=True, eq=False)
class Photo:
    """One still source, decoded, upright and opaque.

    pixels: (H, W, 3) uint8 RGB. sha256: hex digest of the bytes it came from (of the pixels for an array).
    warnings: as in Audio.
    """

    pixels: Frame
    sha256: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Framing:
    """Which face of the source, faces ordered from the largest (0) down."""

    face_index: int = 0

    def verify(self) -> None:
        if self.face_index < 0:
            raise OptionError(f"face {self.face_index} does not exist.", "Faces are counted from 0, the largest.")


@dataclass(frozen=True)
class Controls:
    """How the person acts. Only controls in an engine's `capabilities` may differ from their defaults.

    blink: blinks relative to normal, 0 (never) to 3. head_motion: sway and nods relative to normal, 0 (still) to 2.
    mouth: lip opening relative to normal, 0.3 to 1.5. gaze_x, gaze_y: where the eyes rest, -1 (viewer's left, up) to 1.
    """

    blink: float = 1.0
    head_motion: float = 1.0
    mouth: float = 1.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0

    def verify(self, capabilities: frozenset[str], engine: str) -> None:
        """Raises OptionError for a value out of range, or for a control `engine` does not honour."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            low, high = CONTROL_RANGES[field.name]
            if not low <= value <= high:  # also catches NaN
                raise OptionError(f"{field.name} is {value}.", f"It must lie between {low:g} and {high:g}.")
            if value != field.default and field.name not in capabilities:
                raise OptionError(f"The {engine} engine does not honour {field.name}.", "Leave it out, or choose another engine.")


CONTROL_RANGES: dict[str, tuple[float, float]] = {
    "blink": (0.0, 3.0),
    "head_motion": (0.0, 2.0),
    "mouth": (0.3, 1.5),
    "gaze_x": (-1.0, 1.0),
    "gaze_y": (-1.0, 1.0),
}

MIN_SIZE_PX, MAX_SIZE_PX = 64, 1920


@dataclass(frozen=True)
class RenderOptions:
    """How the video is made.

    size: side in pixels of the square, face-centred output (even, 64..1920), or "source" for the whole photo at its own size.
    max_size: bound on the longer side when size is "source".
    seed: of everything random (blinks, sway); the same seed gives the same video. 0 .. 2**32 - 1.
    """

    size: int | Literal["source"] = 320
    max_size: int = 1920
    seed: int = 1234

    def verify(self) -> None:
        """Raises OptionError for the first value out of range."""
        for name, value in (("size", self.size), ("max_size", self.max_size)):
            if value == "source" and name == "size":
                continue
            if not isinstance(value, int) or value % 2 or not MIN_SIZE_PX <= value <= MAX_SIZE_PX:
                also = ' or "source"' if name == "size" else ""
                raise OptionError(f"{name} is {value}.", f"It must be an even number from {MIN_SIZE_PX} to {MAX_SIZE_PX}{also}.")
        if not 0 <= self.seed < 2**32:
            raise OptionError(f"seed is {self.seed}.", "It must lie between 0 and 4294967295.")


@dataclass(frozen=True, eq=False)
class Request:
    """One video asked for. `owner` is whoever asks: what is kept of one owner is never used for another."""

    audio: Audio
    photo: Photo
    engine: str = "auto"
    framing: Framing = Framing()
    controls: Controls = Controls()
    options: RenderOptions = RenderOptions()
    owner: str = "local"


@dataclass(frozen=True)
class Progress:
    """Where a job stands: `done` of `total` frames in `stage` (total 0: not known yet)."""

    stage: Literal["queued", "loading", "registering", "animating", "finishing", "done"]
    done: int = 0
    total: int = 0


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True)
class GenerationInfo:
    """What was made, by whom, and how fast.

    engine_reason: why this engine ("no GPU was found"). wall_s: from request to finished file, engine loaded.
    rtf: wall_s / audio_s. first_frame_ms: from the moment audio and avatar are there to the first finished frame.
    register_ms, load_ms: registration of the photo and loading of the engine in this request, else 0.
    """

    engine: str
    engine_reason: str
    frames: int
    fps: int
    width: int
    height: int
    audio_s: float
    wall_s: float
    rtf: float
    first_frame_ms: float
    register_ms: float
    load_ms: float
    seed: int
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**dataclasses.asdict(self), "warnings": list(self.warnings)}


@dataclass(frozen=True)
class Generation:
    """A finished video and what is known about it."""

    path: Path
    info: GenerationInfo
