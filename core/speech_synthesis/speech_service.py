"""Voices of a server with OpenAI's protocol for speech (`POST {base}/audio/speech`): a hosted service or one's own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import threading
import time
from collections.abc import Generator, Iterator
from typing import Literal

import httpx
import numpy as np
import soxr
from anyio.from_thread import BlockingPortal, start_blocking_portal
from numpy.typing import NDArray

from core.errors import AudioError, EngineUnavailable
from core.media.decode import SoundDecoder
from core.openai_service import RemoteService, beginning_of, client_options
from core.speech_synthesis.base import SERVICE_PREFIX as PREFIX
from core.speech_synthesis.base import Speech, Voice, check_cancel, from_int16

RATE_HZ = 24_000
"""Of raw samples (16 bit, little endian, mono), which do not say it; files of other rates are resampled to it."""
CANCEL_POLL_S = 0.05
PIECE_SAMPLES = RATE_HZ // 4
MAX_BYTES = 32 * 2**20
"""Of one sentence's sound; what is longer is no sentence."""
MAX_SECONDS = 120.0
"""The same in time, however slowly it comes."""
_SERVICE = RemoteService(
    "The speech service", "speech", "Check the settings TALKING_HEAD_SPEECH_…, or choose another voice.", EngineUnavailable
)
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
        self._options = client_options(key, timeout_s)
        self._starting = threading.Lock()
        self._loop: tuple[BlockingPortal, httpx.AsyncClient] | None = None
        self._ends = contextlib.ExitStack()
        self.voices = tuple(Voice(f"{PREFIX}{name}", name, "", RATE_HZ, "as the service says", True) for name in voices)
        self.revision = hashlib.sha256(json.dumps([self._url, model, sound_format]).encode()).hexdigest()[:16]

    def warmup(self) -> None:
        """A request would cost money: nothing."""

    def close(self) -> None:
        with self._starting:
            if self._loop is not None:
                portal, client = self._loop
                portal.call(client.aclose)
            self._loop = None
            self._ends.close()

    def _running(self) -> tuple[BlockingPortal, httpx.AsyncClient]:
        """An event loop on a thread of its own, and the client on it: only there a request can be given up while it waits for bytes."""
        with self._starting:
            if self._loop is None:
                portal = self._ends.enter_context(start_blocking_portal())
                self._loop = portal, portal.call(self._connected)
            return self._loop

    async def _connected(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(**self._options)

    def speak(self, text: str, voice: Voice, speed: float, cancel: threading.Event) -> Iterator[Speech]:
        """As `Synthesiser.speak`. BusyError where the service has too much to do."""
        check_cancel(cancel)
        body = {
            "model": self._model, "input": text, "voice": voice.id.removeprefix(PREFIX), "response_format": self._format, "speed": speed,
        }  # fmt: skip
        with contextlib.closing(self._chunks(body, cancel)) as chunks:
            if self._format == "pcm":
                yield from _samples(chunks, text)
            else:
                yield _decoded(b"".join(chunks), text)

    def _chunks(self, body: dict[str, object], cancel: threading.Event) -> Generator[bytes, None, None]:
        """What the service sends. The request ends at once when `cancel` is set or this is closed."""
        portal, client = self._running()
        arrived: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        answer = portal.start_task_soon(_answered, client, self._url, body, arrived)
        answer.add_done_callback(lambda _: arrived.put(None))
        try:
            while True:
                check_cancel(cancel)
                try:
                    chunk = arrived.get(timeout=CANCEL_POLL_S)
                except queue.Empty:
                    continue
                if chunk is None:
                    break
                yield chunk
            try:
                answer.result()
            except httpx.HTTPError as error:
                raise _SERVICE.unreachable(error) from error
        finally:
            answer.cancel()


async def _answered(client: httpx.AsyncClient, url: str, body: dict[str, object], arrived: queue.SimpleQueue[bytes | None]) -> None:
    """Hands over what arrives. Raises httpx.HTTPError, EngineUnavailable, BusyError."""
    total, started = 0, time.monotonic()
    async with client.stream("POST", url, json=body) as response:
        if response.status_code != 200:
            raise _SERVICE.refused(response.status_code, response.headers, await beginning_of(response))
        async for chunk in response.aiter_bytes():
            total += len(chunk)
            if time.monotonic() - started > MAX_SECONDS:
                raise _SERVICE.failed(f"took more than {MAX_SECONDS:g} s for one sentence")
            if total > MAX_BYTES:
                raise _SERVICE.failed(f"sent more than {MAX_BYTES // 2**20} MiB for one sentence")
            arrived.put(chunk)


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
        raise _SERVICE.failed("sent half a sample at the end")
    if waiting:
        yield Speech(_floats(waiting), RATE_HZ, text)
    elif text:
        raise _SERVICE.failed("sent no sound")


def _floats(data: bytes | bytearray) -> NDArray[np.float32]:
    return from_int16(np.frombuffer(bytes(data), "<i2"))


def _decoded(data: bytes, text: str) -> Speech:
    """A whole file, mixed to one channel. The length in a streamed WAV's header is not known to its sender, and not looked at."""
    try:
        with SoundDecoder(data, _NAME) as decoder:
            blocks = [block.mean(axis=0) for block in decoder]
    except AudioError as error:
        raise _SERVICE.failed(f"sent no sound that can be read: {error.message.rstrip('.')}") from error
    if not blocks:
        raise _SERVICE.failed("sent no sound")
    samples: NDArray[np.float32] = np.concatenate(blocks)
    if not np.isfinite(samples).all():
        raise _SERVICE.failed("sent samples that are no numbers")
    samples = soxr.resample(samples, decoder.rate_hz, RATE_HZ) if decoder.rate_hz != RATE_HZ else samples
    return Speech(np.clip(samples, -1.0, 1.0).astype(np.float32), RATE_HZ, text)
