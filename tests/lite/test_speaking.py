"""Lips press and a smile relaxes while somebody speaks, and only then."""

from __future__ import annotations

import numpy as np
import pytest

from core.lite.expression import Expression
from core.lite.speaking import Speaking
from core.types import FPS

LEFT_OF_SMILE = 0.3


def run(loudness: list[float], aperture: float = 0.0, fps: float = FPS) -> list[Expression]:
    face = Speaking(fps)
    return [face.step(Expression(aperture=aperture, smile=LEFT_OF_SMILE), value) for value in loudness]


def test_in_silence_the_lips_are_those_of_the_photo() -> None:
    assert all(lips == Expression(smile=1.0, press=0.0) for lips in run([0.0] * 50))


def test_a_smile_relaxes_within_half_a_second_and_comes_back_slowly() -> None:
    smile = [lips.smile for lips in run([0.5] * 25 + [0.0] * 250)]
    assert smile[12] < 0.5
    assert smile[24] == pytest.approx(LEFT_OF_SMILE, abs=0.05)
    assert smile[37] < 0.6  # a pause between two words is no reason to smile
    assert smile[-1] > 0.99
    assert np.abs(np.diff(smile)).max() < 0.1


def test_only_closed_lips_press_and_they_rest_when_the_voice_stops() -> None:
    press = [lips.press for lips in run([0.5] * 25 + [0.0] * 50)]
    assert press[24] > 0.99
    assert press[27] > 0.5  # a closure within a word is silent
    assert press[-1] < 0.01
    assert all(lips.press == 0.0 for lips in run([0.5] * 25, aperture=0.2))


def test_it_takes_as_long_at_any_rate() -> None:
    slow, fast = (run([0.5] * rate, fps=rate)[-1].smile for rate in (25, 50))
    assert fast == pytest.approx(slow, abs=0.01)
