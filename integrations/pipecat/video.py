"""A Pipecat video service: takes what the bot says, gives pictures and sound in step."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections import deque
from typing import Any

import numpy as np
import soxr
from loguru import logger
from PIL import Image
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.ai_service import AIService
from pipecat.services.settings import ServiceSettings

from integrations.live_client import PICTURE, SOUND, LiveClient, LiveError, Media

CONNECT_S = 10.0
"""How long the start of the pipeline waits for the server at most; then the bot speaks without a picture until it is there."""
QUIET_PICTURES = 3
"""So many pictures of the person listening mean that all is said that the server had taken before."""
DRAIN_S = 5.0
"""How much longer than the speech that is left the end of the pipeline waits for it."""
SESSION_RATES_HZ = 8_000, 96_000
MOST_AHEAD_S = 30.0
"""Of speech at the server that is not said yet; beyond, the pipeline waits. The server would take twice as much, so an interruption never
waits behind sound.
"""


class TalkingHeadVideoService(AIService):
    """Stands between the speech service and the output transport, whose parameters are to have video_out_enabled, and
    video_out_width and video_out_height as the pictures are.

    What the bot says (TTSAudioRawFrame, any rate and number of channels) goes to the server and comes back as OutputImageRawFrame and
    TTSAudioRawFrame, each 40 ms of sound right after its picture; in between the person listens, and pictures come alone. A TTSStoppedFrame
    follows when its speech is over. An InterruptionFrame drops all of it at once. While there is no connection the sound passes by as it
    is, so that the bot is heard; what is wrong goes upstream as an ErrorFrame.

    server, key: of the Talking Head server. avatar: token of the person (`POST /avatars`). engine, options: as in `start` of WS /live.
    """

    def __init__(
        self, *, server: str, avatar: str, key: str = "", engine: str = "auto", options: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(settings=ServiceSettings(model=None), **kwargs)
        self._server, self._key, self._avatar = server, key, avatar
        self._session_start = {"engine": engine, "options": options or {}}
        self._client: LiveClient | None = None
        self._task: asyncio.Task[None] | None = None
        self._rate_hz = 24_000
        self._converter = _Converter(self._rate_hz)
        self._sound_rate_hz = 48_000
        self._generation = 0
        self._marks: deque[tuple[int, TTSStoppedFrame | None]] = deque()  # ends of speech that the server has not confirmed, or not spoken
        self._n_marks = self._n_taken = self._quiet = 0
        self._ahead_s = 0.0
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()  # there is a connection, or it was told why there is none
        self._told = ""

    async def setup(self, setup: FrameProcessorSetup) -> None:
        await super().setup(setup)
        low, high = SESSION_RATES_HZ
        self._rate_hz = min(max(setup.audio_out_sample_rate, low), high)

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._converter = _Converter(self._rate_hz)
        start = {**self._session_start, "rate": self._rate_hz}
        self._client = client = LiveClient(self._server, self._key, self._avatar, start, self._take, self._trouble)
        self._task = self.create_task(self._run(client))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), CONNECT_S)

    async def stop(self, frame: EndFrame) -> None:
        """After all is said, or would have been."""
        await super().stop(frame)
        client = self._client
        if client is not None and client.connected.is_set() and self._ahead_s > 0:
            await self._end_of_speech(client, None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._ahead_s + DRAIN_S):
                    while self._marks and client.connected.is_set():
                        self._changed.clear()
                        await self._changed.wait()
        await self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self._close()

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._close()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            self._interrupt()
        elif self._client is not None and self._client.connected.is_set() and direction == FrameDirection.DOWNSTREAM:
            if isinstance(frame, TTSAudioRawFrame):
                await self._send(self._client, self._converter(frame.audio, frame.sample_rate, frame.num_channels))
                return
            if isinstance(frame, TTSStoppedFrame):
                await self._end_of_speech(self._client, frame)
                return
        await self.push_frame(frame, direction)

    # ---- to the server

    async def _send(self, client: LiveClient, sound: bytes) -> None:
        """In pieces of a second; waits while too much is ahead. An interruption ends the wait, and drops the rest."""
        generation = self._generation
        for start in range(0, len(sound), 2 * self._rate_hz):
            while self._ahead_s > MOST_AHEAD_S and client.connected.is_set():
                self._changed.clear()
                await self._changed.wait()
            if generation != self._generation:
                return
            piece = sound[start : start + 2 * self._rate_hz]
            self._ahead_s += len(piece) / 2 / self._rate_hz
            client.send(piece)

    async def _end_of_speech(self, client: LiveClient, stopped: TTSStoppedFrame | None) -> None:
        await self._send(client, self._converter.rest())
        self._n_marks += 1
        self._marks.append((self._n_marks, stopped))
        client.send({"type": "end"})
        client.send({"type": "ping", "id": self._n_marks})

    def _interrupt(self) -> None:
        self._forget()
        self._generation += 1
        if self._client is not None and self._client.has_session:  # also without a connection: the session goes on, and counts it
            self._client.send({"type": "interrupt"})

    def _forget(self) -> None:
        self._converter.rest()
        self._marks.clear()
        self._ahead_s = 0.0
        self._changed.set()

    # ---- from the server

    async def _take(self, message: Media | dict[str, Any]) -> None:
        if isinstance(message, Media):
            if message.generation >= self._generation:
                await (self._show(message) if message.kind == PICTURE else self._sound(message))
        elif message["type"] == "ready":
            self._sound_rate_hz = message["sound_rate_hz"]
            self._told = ""
            self._settled.set()
            if not message["resumed"]:
                self._generation = message["generation"]
                stopped = [frame for _, frame in self._marks if frame is not None]
                self._forget()
                for frame in stopped:  # of speech that a session took along which is gone
                    await self.push_frame(frame)
        elif message["type"] == "pong":
            self._n_taken, self._quiet = message["id"], 0
        elif message["type"] in ("error", "gap"):
            logger.warning(f"{self}: {message}")

    async def _show(self, picture: Media) -> None:
        size, image = await asyncio.to_thread(_decoded, picture.data)
        if picture.generation < self._generation:  # interrupted meanwhile
            return
        frame = OutputImageRawFrame(image=image, size=size, format="RGB")
        frame.sync_with_audio = True
        await self.push_frame(frame)
        self._quiet = 0 if picture.speaking else self._quiet + 1
        if self._quiet >= QUIET_PICTURES:
            while self._marks and self._marks[0][0] <= self._n_taken:
                _, stopped = self._marks.popleft()
                if not self._marks:
                    self._ahead_s = 0.0
                if stopped is not None:
                    await self.push_frame(stopped)
            self._changed.set()

    async def _sound(self, sound: Media) -> None:
        if sound.kind == SOUND and sound.speaking:
            self._ahead_s = max(0.0, self._ahead_s - sound.duration_s)
            self._changed.set()
            await self.push_frame(TTSAudioRawFrame(audio=sound.data, sample_rate=self._sound_rate_hz, num_channels=1))

    # ---- the connection

    async def _run(self, client: LiveClient) -> None:
        try:
            await client.run()
        except LiveError as error:
            await self.push_error(str(error), exception=error, force_treat_as_permanent=True)
        finally:
            self._changed.set()
            self._settled.set()

    async def _trouble(self, error: LiveError) -> None:
        """Told once, however often it is tried."""
        self._changed.set()
        self._settled.set()
        if str(error) != self._told:
            self._told = str(error)
            await self.push_error(str(error), exception=error)

    async def _close(self) -> None:
        client, task, self._client, self._task = self._client, self._task, None, None
        if client is not None:
            await client.close()
        if task is not None:
            await self.cancel_task(task)


class _Converter:
    """Sound of any rate and number of channels as 16-bit mono samples of one rate, piece by piece; a piece may end within a sample, as what
    comes over a network does.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._from = rate_hz, 1
        self._stream: soxr.ResampleStream | None = None
        self._cut = b""

    def __call__(self, sound: bytes, rate_hz: int, channels: int) -> bytes:
        before = b""
        if (rate_hz, channels) != self._from:
            before = self.rest()
            self._from = rate_hz, channels
        sound = self._cut + sound
        whole = len(sound) - len(sound) % (2 * channels)
        self._cut = sound[whole:]
        samples = np.frombuffer(sound[:whole], "<i2").reshape(-1, channels).astype(np.float32).mean(1)
        if rate_hz == self._rate_hz:
            return before + _pcm16(samples)
        if self._stream is None:
            self._stream = soxr.ResampleStream(rate_hz, self._rate_hz, 1, dtype="float32")
        return before + _pcm16(self._stream.resample_chunk(samples))

    def rest(self) -> bytes:
        """What is kept back of the sound so far, which ends there."""
        stream, self._stream, self._cut = self._stream, None, b""
        return b"" if stream is None else _pcm16(stream.resample_chunk(np.zeros(0, np.float32), last=True))


def _pcm16(samples: Any) -> bytes:
    return bytes(np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes())


def _decoded(jpeg: bytes) -> tuple[tuple[int, int], bytes]:
    """Width and height, and RGB."""
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    return picture.size, picture.tobytes()
