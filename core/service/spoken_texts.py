"""Texts in place of recordings: checked when a video of one is asked for, and spoken when its job runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import OptionError
from core.generation import Progress
from core.settings import Settings
from core.speech_synthesis.base import Speech
from core.speech_synthesis.recording import SpokenAudio, spoken
from core.speech_synthesis.speaker import Speaker
from core.types import FPS, Audio


@dataclass(frozen=True)
class SpokenText:
    """What a job says, as its record has it: the same values give the same sound at any time.

    voice: a voice's id. captions: the words are kept with their times, where the voice tells them.
    """

    text: str
    voice: str
    speed: float
    captions: bool

    def __repr__(self) -> str:
        return f"SpokenText({len(self.text)} characters, {self.voice})"  # the text must not get into a log


class SpokenTexts:
    """Thread-safe."""

    def __init__(self, speaker: Speaker, settings: Settings) -> None:
        self._speaker, self._settings = speaker, settings

    def settled(self, text: str, voice: str, speed: Any, captions: bool, burned: bool = False) -> SpokenText:
        """The text as it will be spoken, with the voice written out; nothing is loaded. voice: "" is the default. burned: captions will be
        drawn into the frames.

        Raises TextError, OptionError, and EngineUnavailable where there are no voices.
        """
        chosen = self._speaker.voice(voice)
        number = _speed(speed)
        self._speaker.check(text, chosen, number)
        if burned:
            self._speaker.check_captions(text, chosen)
        return SpokenText(text, chosen.id, number, captions)

    def pieces(self, said: SpokenText, owner: str, cancel: threading.Event) -> Iterator[Speech]:
        """As `Speaker.speak`."""
        return self._speaker.speak(said.text, self._speaker.voice(said.voice), said.speed, owner, cancel)

    def coming(self, said: SpokenText, owner: str, told: Callable[[SpokenAudio], None] = lambda audio: None) -> SpokenAudio:
        """The text as a recording that is heard while it is spoken. told: as in `SpokenAudio`."""
        return SpokenAudio(self._speaker, said.text, self._speaker.voice(said.voice), said.speed, owner, told)

    def speak(self, said: SpokenText, owner: str, cancel: threading.Event, report: Callable[[Progress], None]) -> tuple[Audio, Speech]:
        """The whole text as a recording, and as one piece of speech. Raises as `Speaker.speak`."""

        def told(spoken_s: float) -> None:
            report(Progress("speech", round(spoken_s * FPS)))

        told(0.0)
        return spoken(self._speaker, self._settings, said.text, self._speaker.voice(said.voice), said.speed, owner, cancel, told)


def in_record(request: Mapping[str, Any]) -> SpokenText | None:
    """What the recorded request says in place of a recording; None where it has one."""
    values = request.get("speech")
    return None if values is None else SpokenText(**values)


def _speed(value: Any) -> float:
    try:
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise OptionError(
        f"speed is {str(value)[:40]!r}.", "It must be a number.", code="bad_number", parameters={"name": "speed", "value": str(value)[:40]}
    )
