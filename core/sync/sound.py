"""What the sound of a video asks of the lips: the mouth networks of the lite engine on its sound track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.lite.mouth import APERTURE, LOUDNESS, SPREAD, MouthTracker
from core.media.audio import load_audio
from core.media.decode import SoundDecoder
from core.settings import Settings
from core.sync.correlation import Curves, Mask
from core.types import Samples

SPOKEN_REACH = 5
"""Rows (0.2 s) beside a sound that count as speech, too: lips open before it and close after it."""
LEAST_OPENING, LEAST_LOUDNESS = 0.1, 0.2


@dataclass(frozen=True, eq=False)
class Asked:
    """curves: (n, 2), row i of the 40 ms from start_s + i x 40 ms on. speech: (n,) bool. start_s: of the sound, by the file's clock."""

    curves: Curves
    speech: Mask
    start_s: float = 0.0


def asked_by(samples: Samples, start_s: float = 0.0) -> Asked:
    """samples: (n,) float32, mono, 16 kHz."""
    tracker = MouthTracker()
    rows = np.concatenate((tracker.push(samples), tracker.flush())).astype(np.float64)
    sounding = (rows[:, APERTURE] > LEAST_OPENING) & (rows[:, LOUDNESS] > LEAST_LOUDNESS)
    reach = np.ones(2 * SPOKEN_REACH + 1)
    speech = np.convolve(sounding, reach)[SPOKEN_REACH : SPOKEN_REACH + len(rows)] > 0
    return Asked(rows[:, [APERTURE, SPREAD]], speech, start_s)


def asked_by_file(data: bytes, name: str, settings: Settings) -> Asked:
    """Of the first sound track. Raises AudioError where there is none, or it is longer than `settings` allow."""
    audio = load_audio(data, settings.model_copy(update={"max_audio_bytes": settings.max_video_bytes}))
    with SoundDecoder(data, name) as decoder:
        next(iter(decoder))
        return asked_by(audio.samples, decoder.start_s or 0.0)
