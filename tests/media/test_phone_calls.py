"""Recordings of phone calls (AMR), which leave out what nobody says."""

from __future__ import annotations

import pytest

from core.media.audio import load_audio
from core.settings import Settings

SETTINGS = Settings()


@pytest.mark.parametrize(("head", "speech", "pause"), [
    (b"#!AMR\n", b"\x3c" + bytes(31), (b"\x44" + bytes(5), b"\x7c")), (b"#!AMR-WB\n", b"\x44" + bytes(60), (b"\x4c" + bytes(5), b"\x7c")),
])  # fmt: skip
def test_pauses_of_a_phone_call_last_as_long_as_they_did(head: bytes, speech: bytes, pause: tuple[bytes, bytes]) -> None:
    """Phones send next to nothing while nobody speaks: a frame that describes the noise, and empty ones."""
    silence = pause[0] + pause[1] * 7
    audio = load_audio(head + speech * 10 + silence * 5 + speech * 10, SETTINGS)
    assert abs(audio.duration_s - 60 * 0.02) < 0.005
    assert not any("damaged" in each for each in audio.warnings)
    begins_silent = load_audio(head + silence * 5 + speech * 10, SETTINGS)
    assert abs(begins_silent.duration_s - 50 * 0.02) < 0.005
