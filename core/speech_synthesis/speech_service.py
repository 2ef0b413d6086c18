"""Voices of a server with OpenAI's protocol for speech (`POST {base}/audio/speech`): a hosted service or one's own."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Literal

import httpx
import numpy as np
import soxr
from numpy.typing import NDArray

from core.errors import AudioError, BusyError, EngineUnavailable
from core.media.decode import SoundDecoder
from core.speech_synthesis.base import SERVICE_PREFIX as PREFIX
from core.speech_synthesis.base import Speech, Voice, check_cancel, from_int16

RATE_HZ = 24_000
"""Of raw samples (16 bit, little endian, mono), which do not say it; files of other rates are resampled to it."""
PIECE_SAMPLES = RATE_HZ // 4
MAX_BYTES = 32 * 2**20
"""Of one sentence's sound; what is longer is no sentence."""
MAX_SECONDS = 120.0
"""The same in time, however slowly it comes."""
_MAX_ERROR_BYTES = 4096
_NAME = "The sound of the speech service"

SoundFormat = Literal["wav", "mp3", "pcm"]


class SpeechService:
    """Thread-safe; nothing is sent before `speak`.

    base_url: up to the version, such as https://api.example.org/v1. key: "" sends none. model, voices: as the service names them.
    sound_format: pcm is heard while it arrives; wav and mp3 when a sentence is whole. timeout_s: without any byte from the service.
    """

    def __init__(self, base_url: str, key: str, model: str, voices: tuple[str, ...], sound_format: SoundFormat, timeout_s: float) -> None:
        self._url = f"{base_url.rstrip('/')}/audio/speech"
        self._model, self._format = model, sound_format
        headers = {"Accept-Encoding": "identity"}  # sound does not get smaller, and what is unpacked is not bounded by what arrives
        if key:
            headers["Authorization"] = f"Bearer {key}"
        # The environment's proxies are the operator's word on how to get out; a redirect could carry the key elsewhere.
        self._client = httpx.Client(headers=headers, timeout=timeout_s, follow_redirects=False)
        self.voices = tuple(Voice(f"{PREFIX}{name}", name, "", RATE_HZ, "as the service says", True) for name in voices)
        self.revision = hashlib.sha256(json.dumps([self._url, model, sound_format]).encode()).hexdigest()[:16]

    def warmup(self) -> None:
        """A request would cost money: nothing."""

    def close(self) -> None:
        self._client.close()

    def speak(self, text: str, voice: Voice, speed: float, cancel: threading.Event) -> Iterator[Speech]:
        """As `Synthesiser.speak`. BusyError where the service has too much to do."""
        check_cancel(cancel)
        body = {
            "model": self._model, "input": text, "voice": voice.id.removeprefix(PREFIX), "response_format": self._format, "speed": speed,
        }  # fmt: skip
        try:
            with self._client.stream("POST", self._url, json=body) as response:
                if response.status_code != 200:
                    raise _refused(response)
                chunks = _bounded(response, cancel)
                if self._format == "pcm":
                    yield from _samples(chunks, text)
                else:
                    yield _decoded(b"".join(chunks), text)
        except httpx.HTTPError as error:
            raise _failed(f"The speech service cannot be reached or broke off ({type(error).__name__}).") from error


def _bounded(response: httpx.Response, cancel: threading.Event) -> Iterator[bytes]:
    total, started = 0, time.monotonic()
    for chunk in response.iter_bytes():
        check_cancel(cancel)
        total += len(chunk)
        if time.monotonic() - started > MAX_SECONDS:
            raise _failed(f"The speech service took more than {MAX_SECONDS:g} s for one sentence.")
        if total > MAX_BYTES:
            raise _failed(f"The speech service sent more than {MAX_BYTES // 2**20} MiB for one sentence.")
        yield chunk


def _samples(chunks: Iterator[bytes], text: str) -> Iterator[Speech]:
    """Raw samples as they come, a quarter of a second at a time. The text is told with the first piece."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= 2 * PIECE_SAMPLES:
            yield Speech(_floats(waiting[: 2 * PIECE_SAMPLES]), RATE_HZ, text)
            del waiting[: 2 * PIECE_SAMPLES]
            text = ""
    if len(waiting) % 2:
        raise _failed("The speech service sent half a sample at the end.")
    if waiting:
        yield Speech(_floats(waiting), RATE_HZ, text)
    elif text:
        raise _failed("The speech service sent no sound.")


def _floats(data: bytes | bytearray) -> NDArray[np.float32]:
    return from_int16(np.frombuffer(bytes(data), "<i2"))


def _decoded(data: bytes, text: str) -> Speech:
    """A whole file, mixed to one channel. The length in a streamed WAV's header is not known to its sender, and not looked at."""
    try:
        with SoundDecoder(data, _NAME) as decoder:
            blocks = [block.mean(axis=0) for block in decoder]
    except AudioError as error:
        raise _failed(f"{error.message}") from error
    if not blocks:
        raise _failed("The speech service sent no sound.")
    samples: NDArray[np.float32] = np.concatenate(blocks)
    if not np.isfinite(samples).all():
        raise _failed("The speech service sent samples that are no numbers.")
    samples = soxr.resample(samples, decoder.rate_hz, RATE_HZ) if decoder.rate_hz != RATE_HZ else samples
    return Speech(np.clip(samples, -1.0, 1.0).astype(np.float32), RATE_HZ, text)


def _refused(response: httpx.Response) -> EngineUnavailable | BusyError:
    """What the service says is in the message as far as it is short; the key is in no answer."""
    status = response.status_code
    if status == 429:
        wait = response.headers.get("Retry-After", "")
        parameters: dict[str, object] = {"retry_after_s": min(int(wait), 3600)} if wait.isdecimal() and len(wait) < 9 else {}
        return BusyError("The speech service has too much to do.", "Try again in a minute.", code="speech_busy", parameters=parameters)
    if status in (401, 403):
        return _failed(f"The speech service refused the key ({status}).")
    return _failed(f"The speech service answered {status}{_said(response)}.")


def _said(response: httpx.Response) -> str:
    """The message of OpenAI's kind of error, on one line; "" where it is of another kind."""
    data = b""
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) > _MAX_ERROR_BYTES:
            return ""
    try:
        message = " ".join(str(json.loads(data)["error"]["message"]).split())
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {message[:200].rstrip('.')}" if message.isprintable() else ""


def _failed(message: str) -> EngineUnavailable:
    return EngineUnavailable(message, "Check the settings TALKING_HEAD_SPEECH_…, or choose another voice.", code="speech_service_failed")
