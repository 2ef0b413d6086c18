"""All voices of this process behind one object: which there are, and a text spoken by one of them.

speaker = Speaker(settings, CacheFolder(settings.cache_dir))
for piece in speaker.speak("Hello.", speaker.voice("af_heart")):
    ...
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from core.errors import AudioError, EngineUnavailable, OptionError, TextError
from core.optimization.cache_folder import CacheFolder
from core.settings import Settings
from core.speech_synthesis import espeak, kokoro
from core.speech_synthesis.base import MAX_SPEED, MIN_SPEED, SERVICE_PREFIX, Speech, Synthesiser, Voice, check_cancel
from core.speech_synthesis.kokoro_network import NetworkFile
from core.speech_synthesis.speech_cache import SpeechCache, rounded
from core.speech_synthesis.ssml import Pause
from core.speech_synthesis.text import read_text
from core.types import Phone

if TYPE_CHECKING:
    from core.speech_synthesis.speech_service import SpeechService

log = logging.getLogger(__name__)

CANCEL_POLL_S = 0.05
NAMED = 6
"""Voices that an error names where another one is asked for."""
Family = Literal["kokoro", "espeak", "service"]


@dataclass(frozen=True)
class Offer:
    """A voice, which synthesiser speaks it, and whether it can be used here."""

    voice: Voice
    synthesiser: Family
    installed: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, those of the voice beside the others."""
        return {**asdict(self.voice), "synthesiser": self.synthesiser, "installed": self.installed}


class Speaker:
    """Thread-safe. A synthesiser is loaded when a voice of its is first used, once. folder: None keeps no speech."""

    def __init__(self, settings: Settings, folder: CacheFolder | None, kokoro_file: NetworkFile | None = None) -> None:
        """kokoro_file: of the Kokoro voices' network, for where its packages are not installed (manager/kokoro.py)."""
        self._settings = settings
        self._kokoro_file = kokoro_file
        self.cache = SpeechCache(folder, settings.speech_bytes) if folder is not None else None
        self._makers: dict[Family, Callable[[threading.Event], Synthesiser]] = {
            "kokoro": lambda cancel: kokoro.Kokoro(settings.speech_threads, kokoro_file, cancel),
            "espeak": lambda _: espeak.Espeak(),
            "service": lambda _: _service(settings),
        }
        self._made: dict[Family, Synthesiser] = {}
        self._locks: dict[Family, threading.Lock] = {name: threading.Lock() for name in self._makers}

    def offers(self) -> tuple[Offer, ...]:
        """All voices that are known here, the default first, then the natural ones; of what is not installed, those known without it."""
        installed = {language: kokoro.is_installed(self._kokoro_file, language) for language in ("", kokoro.JAPANESE)}
        found = [Offer(voice, "kokoro", installed.get(voice.language, installed[""])) for voice in kokoro.VOICES]
        for name in ("service", "espeak"):
            try:
                found += [Offer(voice, name, True) for voice in self._synthesiser(name).voices]
            except EngineUnavailable as error:
                log.debug("no voices of %s: %s", name, error)
        default = self._settings.voice
        return tuple(sorted(found, key=lambda offer: (offer.voice.id != default, not offer.voice.natural)))

    def voices(self) -> tuple[Voice, ...]:
        """Those that can be used here, in the same order. Empty where nothing is installed or set."""
        return tuple(offer.voice for offer in self.offers() if offer.installed)

    def voice(self, id: str = "") -> Voice:
        """The voice of this id; "": the default. Raises OptionError (code voice_unknown), EngineUnavailable where there are none at all."""
        voices = self.voices()
        if not voices:
            kokoro.check_installed(self._kokoro_file)
            raise EngineUnavailable("There are no voices here.", "Run ./setup.sh speech (docs/usage.md).", code="speech_not_installed")
        wanted = id or self._settings.voice
        found = next((voice for voice in voices if voice.id == wanted), None) if wanted else voices[0]
        if found is None:
            for known in (each for each in kokoro.VOICES if each.id == wanted):
                kokoro.check_installed(self._kokoro_file, known.language)
            some = ", ".join(voice.id for voice in voices[:NAMED])
            raise OptionError(
                f"There is no voice {wanted[:100]!r}.", f"The command line's --list_voices and GET /voices show them, such as {some}.",
                code="voice_unknown", parameters={"voice": wanted[:100]},
            )  # fmt: skip
        return found

    def check(self, text: str, voice: Voice, speed: float = 1.0) -> None:
        """Raises TextError or OptionError for what `speak` would refuse; loads nothing."""
        check_speed(speed)
        read_text(text, voice.language, self._settings.max_text_chars)

    def check_captions(self, text: str, voice: Voice) -> None:
        """Raises OptionError where the words of the text cannot be drawn into a video: the voice does not tell when it says them, or no
        font has their letters. text: as checked.
        """
        from core.media.burned_captions import BurnedCaptions, check_letters  # who only speaks loads nothing that draws

        if _family(voice) == "service":
            BurnedCaptions.check(())
        said = read_text(text, voice.language, self._settings.max_text_chars)
        check_letters(" ".join(part.text for part in said if not isinstance(part, Pause)))

    def warmup(self, voice: Voice) -> None:
        """Loads what the voice needs. Raises EngineUnavailable."""
        self._synthesiser(_family(voice)).warmup()

    def speak(
        self, text: str, voice: Voice, speed: float = 1.0, owner: str = "local", cancel: threading.Event | None = None, keep: bool = True
    ) -> Generator[Speech, None, None]:
        """The text piece by piece, in order; all pieces have one sampling rate. Closing the iterator ends the work.

        speed: MIN_SPEED to MAX_SPEED, relative to the voice's usual one. The same of one owner comes from the cache once it was spoken
        to its end, unless `keep` is False: then the cache is not used. Raises before the first piece: TextError, OptionError; at any
        piece: EngineUnavailable, BusyError, Cancelled, and AudioError where the speech gets longer than a recording may be.
        """
        check_speed(speed)
        parts = read_text(text, voice.language, self._settings.max_text_chars)
        cancel = cancel or threading.Event()
        synthesiser = self._synthesiser(_family(voice), cancel)
        key = self.cache.key(text, voice, speed, synthesiser.revision) if self.cache and keep else None
        kept = self.cache.find(owner, key) if self.cache and key else None
        if kept is not None:
            yield from kept
            return
        pieces: list[Speech] = []
        total_s = 0.0
        for part in parts:
            check_cancel(cancel)
            if isinstance(part, Pause):
                fresh = _silence(part.seconds, voice.sample_rate_hz)
            else:
                fresh = synthesiser.speak(part.text, voice, min(MAX_SPEED, max(MIN_SPEED, speed * part.rate)), cancel)
            for piece in fresh:
                total_s += piece.duration_s
                if total_s > self._settings.max_audio_s:
                    limit_s = f"{self._settings.max_audio_s:g}"
                    hint = f"At most {limit_s} s are accepted: shorten the text."
                    raise AudioError(
                        f"The speech is longer than {limit_s} s.", hint, code="speech_too_long", parameters={"limit_s": limit_s}
                    )
                piece = rounded(piece)
                pieces.append(piece)
                yield piece
        if not pieces:
            raise TextError("The voice finds nothing to say in the text.", "Write words of its language.", code="text_empty")
        if self.cache and key:
            self.cache.put(owner, key, pieces)

    def close(self) -> None:
        """Ends connections. Nothing may be spoken any more."""
        service = cast("SpeechService | None", self._made.get("service"))
        if service is not None:
            service.close()

    def _synthesiser(self, family: Family, cancel: threading.Event | None = None) -> Synthesiser:
        cancel = cancel or threading.Event()
        lock = self._locks[family]
        while not lock.acquire(timeout=CANCEL_POLL_S):  # somebody else loads it, which may include a download
            check_cancel(cancel)
        try:
            if family not in self._made:
                self._made[family] = self._makers[family](cancel)
            return self._made[family]
        finally:
            lock.release()


def check_speed(speed: float) -> None:
    """Raises OptionError."""
    if not MIN_SPEED <= speed <= MAX_SPEED:  # also catches NaN
        raise OptionError(
            f"speed is {speed}.", f"It must lie between {MIN_SPEED:g} and {MAX_SPEED:g}.", code="speed_range",
            parameters={"speed": str(speed), "min": MIN_SPEED, "max": MAX_SPEED},
        )  # fmt: skip


def _family(voice: Voice) -> Family:
    if voice.id.startswith(espeak.PREFIX):
        return "espeak"
    return "service" if voice.id.startswith(SERVICE_PREFIX) else "kokoro"


def _service(settings: Settings) -> SpeechService:
    if settings.speech_url is None:
        raise EngineUnavailable("No speech service is set.", "Set TALKING_HEAD_SPEECH_URL (docs/usage.md).", code="speech_not_installed")
    from core.speech_synthesis.speech_service import SpeechService  # it brings an HTTP client

    key = settings.speech_key.get_secret_value() if settings.speech_key else ""
    return SpeechService(
        settings.speech_url, key, settings.speech_model, settings.speech_voices, settings.speech_format, settings.speech_timeout_s
    )


def _silence(seconds: float, rate_hz: int) -> Iterator[Speech]:
    n = round(seconds * rate_hz)
    if n:
        yield Speech(np.zeros(n, np.float32), rate_hz, phones=(Phone("", 0.0, n / rate_hz),))
