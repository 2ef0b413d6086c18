"""Videos whose lips and sound are apart by a known time: frames that the lite engine drew, under the sound moved against them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.engines.base import Engine
from core.media.audio import load_audio
from core.media.video import encode
from core.request import Controls, Framing, RenderOptions
from core.settings import Settings
from core.types import SAMPLE_RATE_HZ, Audio, Frame, Photo, Samples
from tests.support.paths import ASSETS

MakeVideo = Callable[..., Path]


def drawn_for(lite: Engine, portrait: Photo, audio: Audio) -> list[Frame]:
    """What the lite engine shows while `audio` is heard."""
    session = lite.session(lite.register(portrait, Framing()), Controls(), RenderOptions())
    return [*session.push(audio.samples), *session.flush()]


def moved(samples: Samples, ms: float) -> Samples:
    """The sound, heard `ms` earlier; what is missing then is silence."""
    by = round(ms * SAMPLE_RATE_HZ / 1000)
    if by >= 0:
        return np.concatenate((samples[by:], np.zeros(by, np.float32)))
    return np.concatenate((np.zeros(-by, np.float32), samples[:by]))


@pytest.fixture(scope="session")
def speech_7s(settings: Settings) -> Audio:
    return load_audio(ASSETS / "speech_7s.wav", settings)


@pytest.fixture(scope="session")
def other_speech(settings: Settings) -> Audio:
    """Other words of the same length: speech_16s.wav begins with those of speech_7s.wav."""
    whole = load_audio(ASSETS / "speech_16s.wav", settings)
    return load_audio((SAMPLE_RATE_HZ, whole.samples[8 * SAMPLE_RATE_HZ : 15 * SAMPLE_RATE_HZ]), settings)


@pytest.fixture(scope="session")
def frames(lite: Engine, portrait: Photo, speech: Audio) -> list[Frame]:
    """Of the recording of three seconds."""
    return drawn_for(lite, portrait, speech)


@pytest.fixture(scope="session")
def frames_7s(lite: Engine, portrait: Photo, speech_7s: Audio) -> list[Frame]:
    return drawn_for(lite, portrait, speech_7s)


@pytest.fixture
def make_video(tmp_path: Path, settings: Settings) -> MakeVideo:
    """Writes frames under a sound, (n,) float32 of 16 kHz."""

    def make(frames: list[Frame], samples: Samples, name: str = "video.mp4") -> Path:
        height, width = frames[0].shape[:2]
        encode(frames, tmp_path / name, load_audio((SAMPLE_RATE_HZ, samples), settings), width, height)
        return tmp_path / name

    return make
