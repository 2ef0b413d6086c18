"""Lips of a drawn video whose phones are known, measured with the face mesh."""

from __future__ import annotations

import numpy as np
import pytest

from core.aux_models.face_finder import FaceFinder
from core.engines.lite import LiteEngine
from core.lite.phones import TABLE, expand
from core.request import Controls, Framing, RenderOptions
from core.settings import Settings
from core.speech_synthesis.recording import spoken
from core.speech_synthesis.speaker import Speaker
from core.types import Photo

TEXT = "Maybe Peter, my big brother, moves five boxes to the pub."


@pytest.mark.slow
def test_lips_meet_in_the_video_for_every_bilabial(lite: LiteEngine, portrait: Photo, finder: FaceFinder, settings: Settings) -> None:
    speaker = Speaker(settings, None)
    audio, _ = spoken(speaker, settings, TEXT, speaker.voice("espeak-en-us"))
    session = lite.session(lite.register(portrait, Framing()), Controls(blink=0.0, head_motion=0.0), RenderOptions(size=256))
    session.expect(audio.phones)
    gaps = []
    for frame in (*session.push(audio.samples), *session.flush()):
        points = finder.largest_mesh(frame)
        assert points is not None
        gaps.append(float(np.linalg.norm(points[13, :2] - points[14, :2]) / np.linalg.norm(points[33, :2] - points[263, :2])))
    closed = np.array(gaps) <= 0.1 * np.percentile(gaps, 95)
    parts = expand([(phone.ipa, phone.start_s, phone.end_s) for phone in audio.phones])
    lips = [(start_s, end_s) for ipa, start_s, end_s in parts if TABLE[ipa].group in ("p", "b", "m")]
    met = [closed[max(0, int(start_s * 25) - 1) : int(np.ceil(end_s * 25)) + 1].any() for start_s, end_s in lips]
    assert len(lips) >= 10
    assert np.mean(met) >= 0.95
