"""Recognises what somebody said, by a service with OpenAI's protocol for transcriptions (`POST {base}/audio/transcriptions`)."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import httpx

from core.errors import AudioError, EngineUnavailable
from core.media.audio import load_audio
from core.media.sound_file import wav_file
from core.openai_service import MAX_ERROR_BYTES, RemoteService, client_options
from core.service.chat.history import MAX_MESSAGE_CHARS
from core.service.chat.sentences import cleaned
from core.service.quotas import ConcurrencyLimit, RateLimit, SharedRates
from core.service.threads import on_thread
from core.settings import Settings
from core.types import SAMPLE_RATE_HZ, Samples, Word

MAX_SPOKEN_S = 60.0
MIN_SPOKEN_S = 0.1
MAX_SPOKEN_BYTES = 2**20
"""Of one recording, as a browser compresses it."""
MAX_ANSWER_BYTES, MAX_WORDS_BYTES = 2**18, 2**22
MAX_WORD_CHARS = 100
AT_ONCE, OWNER_AT_ONCE = 8, 2
"""Recordings that are recognised at the same time."""
_NO_SOUND = ("recording_too_short", "recording_empty", "recording_mute")
_LANGUAGE = re.compile(r"[a-z]{2}(?=-|$)")
_SERVICE = RemoteService(
    "The speech recognition", "recognition", "Check the settings TALKING_HEAD_RECOGNITION_…, or try again.", EngineUnavailable
)


class SpeechRecognition:
    """Thread-safe. Nothing of what is said is kept, and nothing of it is in a log."""

    def __init__(self, settings: Settings, shared: SharedRates | None = None) -> None:
        self._limits = settings.model_copy(
            update={"max_audio_s": MAX_SPOKEN_S, "max_audio_bytes": MAX_SPOKEN_BYTES, "min_audio_s": MIN_SPOKEN_S}
        )
        self._rate = RateLimit(settings.chats_per_minute, "recordings to recognise", shared)
        self._places = ConcurrencyLimit(AT_ONCE, OWNER_AT_ONCE, "recordings")
        self._model, self._longest_s = settings.recognition_model, settings.recognition_answer_s
        self._timeout_s = settings.recognition_timeout_s
        self._url, self._client = "", None
        if settings.recognition_url is not None:
            key = settings.recognition_key.get_secret_value() if settings.recognition_key else ""
            self._url = f"{settings.recognition_url.rstrip('/')}/audio/transcriptions"
            self._client = httpx.Client(**client_options(key, settings.recognition_timeout_s))

    @property
    def available(self) -> bool:
        """A service is set."""
        return self._client is not None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    async def recognise(self, recording: bytes, language: str, owner: str) -> str:
        """The words, "" where there are none. recording: any kind that `load_audio` takes, MAX_SPOKEN_BYTES and MAX_SPOKEN_S at most; the
        service gets its sound only, as WAV. language: BCP 47 of what is spoken; "" leaves it to the service.

        Raises AudioError, TooMany, BusyError, EngineUnavailable.
        """
        if self._client is None:
            raise _not_set()
        self._rate.take(owner)
        with self._places.slot(owner):
            return await on_thread(self._recognise, self._client, recording, language)

    def _recognise(self, client: httpx.Client, recording: bytes, language: str) -> str:
        try:
            samples = load_audio(recording, self._limits).samples
        except AudioError as error:
            if error.code in _NO_SOUND:
                return ""
            raise
        known = _LANGUAGE.match(language.lower())
        about = {"response_format": "json", **({"language": known[0]} if known else {})}
        return _text_in(self._answer(client, samples, about, self._timeout_s, MAX_ANSWER_BYTES))

    def timed_words(self, samples: Samples) -> tuple[Word, ...]:
        """The words of a recording of any length, with their times, in order. Waits; raises EngineUnavailable, BusyError."""
        if self._client is None:
            raise _not_set()
        about = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
        answer = self._answer(self._client, samples, about, self._timeout_s + len(samples) / SAMPLE_RATE_HZ, MAX_WORDS_BYTES)
        return _words_in(answer, len(samples) / SAMPLE_RATE_HZ)

    def _answer(self, client: httpx.Client, samples: Samples, about: dict[str, str], timeout_s: float, most: int) -> bytes:
        file = ("speech.wav", wav_file(samples, SAMPLE_RATE_HZ), "audio/wav")
        data = {"model": self._model, **about}
        try:
            with client.stream("POST", self._url, data=data, files={"file": file}, timeout=timeout_s) as response:
                if response.status_code != 200:
                    raise _SERVICE.refused(response.status_code, response.headers, self._read(response, MAX_ERROR_BYTES))
                answer = self._read(response, most)
        except httpx.HTTPError as error:
            raise _SERVICE.unreachable(error) from error
        if len(answer) > most:
            raise _SERVICE.failed(f"sent more than {most // 2**10} KiB for one recording")
        return answer

    def _read(self, response: httpx.Response, most: int) -> bytes:
        """The body; no more than a chunk beyond `most` bytes of it."""
        body, until_s = b"", time.monotonic() + self._longest_s
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > most:
                break
            if time.monotonic() > until_s:
                raise _SERVICE.failed("took too long for one recording")
        return body


def _not_set() -> EngineUnavailable:
    hint = "Set TALKING_HEAD_RECOGNITION_URL, TALKING_HEAD_RECOGNITION_KEY and TALKING_HEAD_RECOGNITION_MODEL (docs/chat.md)."
    return EngineUnavailable("No speech recognition is set.", hint, code="recognition_not_set")


def _words_in(answer: bytes, duration_s: float) -> tuple[Word, ...]:
    """Times are put in order and within the recording, whatever the service says."""
    words: list[Word] = []
    at_s = 0.0
    try:
        for each in json.loads(answer)["words"]:
            text = cleaned(each["word"]).strip()[:MAX_WORD_CHARS]
            start_s = min(max(float(each["start"]), at_s), duration_s)
            at_s = min(max(float(each["end"]), start_s), duration_s)
            if text:
                words.append(Word(text, start_s, at_s))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise _SERVICE.failed("sent no words with their times") from None
    return tuple(words)


def _text_in(answer: bytes) -> str:
    try:
        said: Any = json.loads(answer)["text"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said = None
    if not isinstance(said, str):
        raise _SERVICE.failed("sent something other than words")
    return cleaned(said).strip()[:MAX_MESSAGE_CHARS]
