"""The data types that all modules share: frames, recordings and sources, with the rates they are counted in. All are frozen."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
"""Rate of the samples an engine hears."""
FPS = 25
"""Frames per second of a video, unless the option `fps` says otherwise (Ditto's own rate)."""
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS
"""640 samples make one video frame."""


def exact_rate(fps: float) -> Fraction:
    """The frames per second that are meant: a whole number, or a broadcast rate such as 30000/1001."""
    return Fraction(fps).limit_denominator(1001)


Frame = NDArray[np.uint8]
"""One picture: (H, W, 3) uint8, RGB."""
Samples = NDArray[np.float32]
"""Mono speech: (n,) float32 at 16 kHz, -1..1."""


@dataclass(frozen=True)
class Word:
    """A word as it is written, and when it is heard: seconds from the start of its recording, 0 <= start_s <= end_s.

    ends_piece: the last of a piece of speech, after which a new caption begins.
    """

    text: str
    start_s: float
    end_s: float
    ends_piece: bool = False


@dataclass(frozen=True)
class Phone:
    """A speech sound and when it is heard: seconds from the start of its recording, 0 <= start_s < end_s.

    ipa: its symbols, as "p", "tʃ" or "iː", without stress; "" is silence.
    """

    ipa: str
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class Audio:
    """One recording: what the engine hears, and the original that is muxed.

    samples: (n,) float32, mono, 16 kHz, -1..1, n >= 1.
    original: the bytes as they came (any container PyAV reads); arrays arrive here as 32-bit float WAV.
    rate_hz, channels: of the original.
    warnings: what a person should know about the recording ("the sound is clipped"), in plain words.
    words: what is said, in order, where it is known. phones: the same by its sounds, in order, with the silences; where they are known.
    """

    samples: Samples
    original: bytes
    rate_hz: int
    channels: int
    warnings: tuple[str, ...] = ()
    words: tuple[Word, ...] = ()
    phones: tuple[Phone, ...] = ()

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ

    @property
    def n_frames(self) -> int:
        """Frames of the finished video: ceil(duration x 25)."""
        return math.ceil(len(self.samples) / SAMPLES_PER_FRAME)

    def steps(self, n_samples: int) -> Iterator[Samples]:
        """What an engine hears, n_samples at a time; the last step may be shorter."""
        for start in range(0, len(self.samples), n_samples):
            yield self.samples[start : start + n_samples]


class AudioStream(Protocol):
    """One recording that is still being made, such as a text that is being spoken (`core.media.coming_audio`).

    Streams take it; a file needs it whole. rate_hz, channels, warnings: as of `Audio`.
    """

    @property
    def rate_hz(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def words(self) -> tuple[Word, ...]:
        """As of `Audio`, of at least what was given out in steps so far."""

    @property
    def phones(self) -> tuple[Phone, ...]:
        """The same of its phones, in which no more is changed than that others follow."""

    @property
    def n_frames(self) -> int | None:
        """As of `Audio`; None while it is not known, at the latest until the last step was given out."""

    @property
    def duration_s(self) -> float:
        """Of what was given out in steps so far."""

    def steps(self, n_samples: int) -> Iterator[Samples]:
        """What the engine hears, n_samples at a time; the last step may be shorter. Waits for what is still to come.

        Raises what ended the recording before its end.
        """

    def sound(self) -> Generator[NDArray[np.float32], None, None]:
        """What is muxed, (channels, n) of rate_hz; waits and raises as `steps`."""


@dataclass(frozen=True, eq=False)
class Photo:
    """One still source, decoded, upright and opaque.

    pixels: (H, W, 3) uint8 RGB. sha256: hex digest of the bytes it came from (of the pixels for an array).
    warnings: as in Audio.
    """

    pixels: Frame
    sha256: str
    warnings: tuple[str, ...] = ()


class Video(Protocol):
    """One moving source, not decoded yet (`core.media.source.Clip`)."""

    @property
    def data(self) -> bytes:
        """Its file, which is what is kept of an avatar."""

    @property
    def sha256(self) -> str: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def n_frames(self) -> int:
        """About how many frames it has, 0 where that is not known beforehand."""

    def frames(self) -> Iterator[Frame]:
        """The frames at 25 a second, (H, W, 3) uint8 RGB, each call from the start."""


Source = Photo | Video
