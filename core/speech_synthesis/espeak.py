"""espeak-ng as a synthesiser: a hundred languages, small and quick, plainly a machine's voice; with exact word times."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from core.speech_synthesis.base import Speech, Voice, from_int16
from core.speech_synthesis.espeak_library import espeak_library
from core.speech_synthesis.phone_times import espeak_phones
from core.speech_synthesis.word_times import word_times

PREFIX = "espeak-"


class Espeak:
    """Raises EngineUnavailable where the library is not installed."""

    def __init__(self) -> None:
        self._library = espeak_library()
        self.revision = f"espeak-ng {self._library.version} 1"
        self.voices = tuple(
            Voice(f"{PREFIX}{code}", f"espeak-ng {name}", code, self._library.rate_hz, "GPL-3.0-or-later", False)
            for code, name in self._library.languages.items()
        )

    def warmup(self) -> None:
        """It is as fast at the first time."""

    def speak(self, text: str, voice: Voice, speed: float, cancel: threading.Event) -> Iterator[Speech]:
        """As `Synthesiser.speak`."""
        spoken = self._library.read(text, voice.language, speed, cancel)
        if not spoken.words:
            return
        rate = spoken.rate_hz
        starts = [word.start_sample / rate for word in spoken.words] + [len(spoken.samples) / rate]
        heard = [(word.start, starts[index], starts[index + 1]) for index, word in enumerate(spoken.words)]
        samples = from_int16(spoken.samples)
        yield Speech(samples, rate, text.strip(), word_times(text, heard), espeak_phones(spoken.phones, samples, rate))
