"""The pitch of the voice: found, and the same however the sound is cut."""

from __future__ import annotations

import numpy as np
import pytest

from core.lite.pitch import MARGIN, PitchTracker, pitch_hz
from core.types import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Audio, Samples


def voice(hz: float, seconds: float, level: float = 0.1) -> Samples:
    """A buzz with the harmonics of a voice."""
    t = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (level * sum(np.sin(2 * np.pi * hz * n * t + n) / n for n in range(1, 12))).astype(np.float32)


def test_the_pitch_of_a_voice() -> None:
    heights_hz = [65, 110, 180, 240, 390]
    assert pitch_hz(np.stack([voice(hz, 0.08) for hz in heights_hz])) == pytest.approx(heights_hz, rel=0.01)


def test_hiss_and_silence_have_none() -> None:
    hiss = np.random.default_rng(0).standard_normal(1280).astype(np.float32)
    assert pitch_hz(np.stack([0.1 * hiss, voice(120, 0.08, 1e-5), np.zeros(1280, np.float32)])).tolist() == [0, 0, 0]


def test_a_syllable_said_higher_rises_and_the_rest_does_not() -> None:
    samples = np.concatenate([voice(110, 1.2), voice(150, 0.2), voice(110, 0.8)])
    rises = PitchTracker().push(samples, len(samples) // SAMPLES_PER_FRAME)
    assert rises[31:34].min() > 0.8
    assert np.delete(rises, np.arange(28, 37)).max() < 0.1


def test_an_octave_error_is_no_rise() -> None:
    samples = np.concatenate([voice(110, 1.0), voice(220, 0.12), voice(110, 0.6)])
    rises = PitchTracker().push(samples, len(samples) // SAMPLES_PER_FRAME)
    assert rises.max() < 0.2


def test_how_the_sound_is_cut_changes_nothing(speech: Audio) -> None:
    samples = speech.samples
    n = -(-len(samples) // SAMPLES_PER_FRAME)
    whole = PitchTracker().push(samples, n)
    assert whole.max() > 0.5
    pieces, rises, told = PitchTracker(), [], 0
    for start in range(0, len(samples), 777):
        heard = min(start + 777, len(samples))
        certain = max(0, (heard - MARGIN) // SAMPLES_PER_FRAME)
        rises.append(pieces.push(samples[start:heard], certain - told))
        told = certain
    rises.append(pieces.push(np.zeros(0, np.float32), n - told))
    np.testing.assert_array_equal(np.concatenate(rises), whole)
    pieces.reset()
    np.testing.assert_array_equal(pieces.push(samples, n), whole)
