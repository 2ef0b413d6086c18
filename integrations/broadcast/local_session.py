"""A live session in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import TalkingHeadError
from core.media.source import load_source
from core.options import Options
from core.service.live_messages import SayRequest
from core.service.live_speech import LiveSpeech
from core.service.quotas import RateLimit
from core.settings import Settings
from core.streaming.live import LiveSession
from core.streaming.outputs import LiveEvent, LiveFrame, LiveOptions
from core.studio import open_studio
from integrations.broadcast.moments import RATE_HZ, Moment
from manager.terminal import ditto_on_terminal, speaker_on_terminal

ROOM_S = 0.5
TEXTS_PER_MINUTE = 10_000
"""There is one owner, who asks by hand or by a program of theirs; what waits is bounded all the same."""


class LocalSession:
    """rate_hz: of the sound that is fed. log: is given lines for people."""

    def __init__(self, live: LiveSession, speech: LiveSpeech, rate_hz: int, voice: str, speed: float, log: Callable[[str], None]) -> None:
        self.metadata = live.metadata
        self._live, self._speech, self._rate_hz, self._voice, self._speed, self._log = live, speech, rate_hz, voice, speed, log

    def next(self, timeout_s: float) -> Moment | None:
        output = self._live.next_output(timeout_s)
        if isinstance(output, LiveFrame):
            return Moment(output.frame, output.sound[0], output.speaking)
        if isinstance(output, LiveEvent) and output.kind == "say_failed":
            self._log(f"not spoken: {output.data['error']['message']}")
        return None

    def feed(self, pcm: bytes) -> bool:
        return self._live.feed(pcm, self._rate_hz, ROOM_S)

    def end(self) -> None:
        self._live.end_of_utterance()

    def say(self, text: str) -> None:
        try:
            self._speech.say(SayRequest(text, self._voice, self._speed))
        except TalkingHeadError as error:
            self._log(f"not spoken: {error}")

    def close(self) -> None:
        self._live.close()


@contextmanager
def local_session(
    source: Path, engine: str, options: Options, settings: Settings, rate_hz: int, voice: str, speed: float, log: Callable[[str], None]
) -> Iterator[LocalSession]:
    """Loads and registers first. Raises TalkingHeadError."""
    cancel = threading.Event()
    studio = open_studio(settings, ditto_on_terminal(settings, cancel))
    try:
        person = load_source(source, settings)
        how = LiveOptions(output="frames", sound_rate_hz=RATE_HZ, lead_s=0.0)
        with speaker_on_terminal(settings) as speaker:
            live = studio.live(person, "local", engine, options.framing, options.controls, options.render, how)
            try:
                speech = LiveSpeech(live, speaker, "local", RateLimit(TEXTS_PER_MINUTE, "texts"), settings.max_text_chars)
                yield LocalSession(live, speech, rate_hz, voice, speed, log)
            finally:
                live.close()
    finally:
        cancel.set()
        studio.close()
