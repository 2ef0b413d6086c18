"""Makes the recording of a text: what a request for a video takes instead of an uploaded one."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from functools import partial

from core.media.audio import load_audio
from core.media.coming_audio import ComingAudio
from core.settings import Settings
from core.speech_synthesis.base import Speech, Voice, joined, phones_at, words_at
from core.speech_synthesis.speaker import Speaker
from core.types import Audio, Samples


def spoken(
    speaker: Speaker, settings: Settings, text: str, voice: Voice, speed: float = 1.0, owner: str = "local",
    cancel: threading.Event | None = None, told: Callable[[float], None] = lambda spoken_s: None,
) -> tuple[Audio, Speech]:  # fmt: skip
    """The whole text as a recording, and as one piece of speech, both with the times of words and phones. Raises as `Speaker.speak`.

    told: is given the seconds spoken so far after each piece.
    """

    def pieces() -> Iterator[Speech]:
        spoken_s = 0.0
        for piece in speaker.speak(text, voice, speed, owner, cancel):
            spoken_s += piece.duration_s
            told(spoken_s)
            yield piece

    speech = joined(pieces())
    audio = load_audio((speech.sample_rate_hz, speech.samples), settings)
    return dataclasses.replace(audio, words=speech.words, phones=speech.phones), speech


class SpokenAudio(ComingAudio):
    """A recording of a text that is heard while the rest is spoken. told: is given it after each piece, on the thread that speaks."""

    def __init__(
        self, speaker: Speaker, text: str, voice: Voice, speed: float = 1.0, owner: str = "local",
        told: Callable[[SpokenAudio], None] = lambda audio: None,
    ) -> None:  # fmt: skip
        super().__init__(voice.sample_rate_hz, self._spoken)
        self.spoken_s = 0.0
        self._speak, self._told = partial(speaker.speak, text, voice, speed, owner), told

    def _spoken(self, cancel: threading.Event) -> Iterator[Samples]:
        for piece in self._speak(cancel):
            self.words += words_at(piece, self.spoken_s)
            self.phones += phones_at(piece, self.spoken_s)
            self.spoken_s += piece.duration_s
            self._told(self)
            yield piece.samples
