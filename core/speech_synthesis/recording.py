"""Makes the recording of a text: what a request for a video takes instead of an uploaded one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from core.media.audio import load_audio
from core.settings import Settings
from core.speech_synthesis.base import Speech, Voice, joined
from core.speech_synthesis.speaker import Speaker
from core.types import Audio


def spoken(
    speaker: Speaker, settings: Settings, text: str, voice: Voice, speed: float = 1.0, owner: str = "local",
    cancel: threading.Event | None = None, told: Callable[[float], None] = lambda spoken_s: None,
) -> tuple[Audio, Speech]:  # fmt: skip
    """The whole text as a recording, and as one piece of speech with the times of its words. Raises as `Speaker.speak`.

    told: is given the seconds spoken so far after each piece.
    """

    def pieces() -> Iterator[Speech]:
        spoken_s = 0.0
        for piece in speaker.speak(text, voice, speed, owner, cancel):
            spoken_s += piece.duration_s
            told(spoken_s)
            yield piece

    speech = joined(pieces())
    return load_audio((speech.sample_rate_hz, speech.samples), settings), speech
