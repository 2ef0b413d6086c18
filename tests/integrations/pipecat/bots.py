"""Bots with an avatar, in Pipecat's own environment: `bots.py SERVER KEY AVATAR SPEECH.wav BOT...` prints what each gave, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import wave
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np
from loguru import logger
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.workers.runner import WorkerRunner

from integrations import live_client
from integrations.pipecat.video import TalkingHeadVideoService

SERVER, KEY, AVATAR, SPEECH = sys.argv[1:5]
RATE_HZ = 16_000


class RecordedVoice(TTSService):
    """A speech service that says every text with the same recorded voice, as fast as it is read."""

    def __init__(self) -> None:
        settings = TTSSettings(model=None, voice="recorded", language=None)
        super().__init__(push_start_frame=True, push_stop_frames=True, stop_frame_timeout_s=0.3, settings=settings)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        with wave.open(SPEECH) as file:
            while data := file.readframes(1_600):
                yield TTSAudioRawFrame(data, file.getframerate(), file.getnchannels(), context_id=context_id)


class Sink(FrameProcessor):
    """What an output transport would be given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Frame] = []
        self.changed = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, OutputImageRawFrame | TTSAudioRawFrame | TTSStoppedFrame):
            self.given.append(frame)
            self.changed.set()
        await self.push_frame(frame, direction)

    async def until(self, true: Callable[[], Any], within_s: float = 30.0) -> None:
        async with asyncio.timeout(within_s):
            while not true():
                self.changed.clear()
                await self.changed.wait()

    def of(self, kind: type[Frame]) -> list[Any]:
        return [frame for frame in self.given if isinstance(frame, kind)]

    def sound(self) -> np.ndarray[Any, Any]:
        return np.frombuffer(b"".join(frame.audio for frame in self.of(TTSAudioRawFrame)), np.int16)

    def report(self) -> dict[str, Any]:
        pictures, sounds = self.of(OutputImageRawFrame), self.of(TTSAudioRawFrame)
        kinds = [type(frame) for frame in self.given]
        spoken = [i for i, kind in enumerate(kinds) if kind is TTSAudioRawFrame]
        return {
            "pictures": len(pictures),
            "sizes": sorted({(*picture.size, len(picture.image), picture.format, picture.sync_with_audio) for picture in pictures}),
            "rates": sorted({sound.sample_rate for sound in sounds}),
            "sound_s": sum(len(sound.audio) / 2 / sound.num_channels / sound.sample_rate for sound in sounds),
            "each_after_its_picture": all(i and kinds[i - 1] is OutputImageRawFrame for i in spoken),
            "stopped": len(self.of(TTSStoppedFrame)),
            "stopped_last": not spoken or TTSStoppedFrame in kinds[spoken[-1] :],
        }


class Bot:
    """A pipeline of voice, avatar and output, and what went wrong in it."""

    def __init__(self, voice: bool = False, **more: Any) -> None:
        asked = {"server": SERVER, "key": KEY, "avatar": AVATAR, "engine": "lite", "options": {"size": 64}, **more}
        self.avatar, self.sink = TalkingHeadVideoService(**asked), Sink()
        self.errors: list[str] = []

        async def wrong(_: Any, error: ErrorFrame) -> None:
            self.errors.append(error.error)

        self.avatar.add_event_handler("on_error", wrong)
        steps = [*([RecordedVoice()] if voice else []), self.avatar, self.sink]
        self.worker = PipelineWorker(Pipeline(steps), params=PipelineParams(audio_out_sample_rate=RATE_HZ), cancel_on_idle_timeout=False)

    async def run(self, play: Callable[[Bot], Awaitable[dict[str, Any] | None]]) -> dict[str, Any]:
        """What `play` says besides, and what came out. The pipeline ends with an EndFrame."""
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        running = asyncio.create_task(runner.run())
        said = await play(self) or {}
        await self.worker.queue_frame(EndFrame())
        began_s = time.monotonic()
        await asyncio.wait_for(running, 60)
        return {**self.sink.report(), "errors": self.errors, "ended_within_s": time.monotonic() - began_s, **said}

    async def say(self, samples: np.ndarray[Any, Any], rate_hz: int = RATE_HZ, channels: int = 1, stop: bool = True) -> None:
        sound = np.repeat(samples.astype(np.int16), channels).tobytes()
        await self.worker.queue_frame(TTSAudioRawFrame(sound, rate_hz, channels))
        if stop:
            await self.worker.queue_frame(TTSStoppedFrame())

    async def picture(self) -> None:
        await self.sink.until(lambda: self.sink.of(OutputImageRawFrame))

    async def stopped(self, n: int = 1) -> None:
        await self.sink.until(lambda: len(self.sink.of(TTSStoppedFrame)) >= n)


def noise(seconds: float, loudness: float, rate_hz: int = RATE_HZ) -> np.ndarray[Any, Any]:
    return loudness * np.sin(np.arange(round(seconds * rate_hz)) * 440 * 2 * np.pi / rate_hz)


async def speaks() -> dict[str, Any]:
    async def play(bot: Bot) -> None:
        await bot.picture()
        await bot.worker.queue_frame(TTSSpeakFrame("A text."))
        await bot.stopped()

    return await Bot(voice=True).run(play)


async def is_interrupted() -> dict[str, Any]:
    async def play(bot: Bot) -> dict[str, Any]:
        await bot.picture()
        await bot.say(noise(50.0, 20_000), stop=False)  # more than may be ahead: the pipeline waits
        await bot.sink.until(lambda: len(bot.sink.sound()) > 24_000)
        await bot.worker.queue_frame(InterruptionFrame())
        await asyncio.sleep(0.3)
        before = len(bot.sink.sound())
        await bot.say(noise(0.5, 2_000))
        await bot.stopped()
        after = bot.sink.sound()[before:]
        return {"new_s": len(after) / 48_000, "loudest": int(np.abs(after.astype(int)).max())}

    return await Bot().run(play)


async def is_interrupted_without_a_connection() -> dict[str, Any]:
    async def play(bot: Bot) -> dict[str, Any]:
        await bot.picture()
        await bot.say(noise(5.0, 20_000), stop=False)
        await bot.sink.until(lambda: len(bot.sink.sound()) > 12_000)
        client = bot.avatar._client
        client._socket.transport.abort()
        while client.connected.is_set():
            await asyncio.sleep(0.01)
        await bot.worker.queue_frame(InterruptionFrame())
        before, shown = len(bot.sink.sound()), len(bot.sink.of(OutputImageRawFrame))
        await bot.sink.until(lambda: len(bot.sink.of(OutputImageRawFrame)) > shown + 5)
        await bot.say(noise(0.5, 2_000))
        await bot.stopped()
        after = bot.sink.sound()[before:]
        return {"new_s": len(after) / 48_000, "loudest": int(np.abs(after.astype(int)).max())}

    return await Bot().run(play)


async def takes_any_sound() -> dict[str, Any]:
    async def play(bot: Bot) -> None:
        await bot.picture()
        for n, (rate_hz, channels) in enumerate([(44_100, 2), (8_000, 1), (96_000, 1), (24_000, 6)], 1):
            await bot.say(noise(0.3, 8_000, rate_hz), rate_hz, channels)
            await bot.stopped(n)
        await bot.say(noise(1.0, 8_000)[:1])
        await bot.stopped(5)

    return await Bot().run(play)


async def takes_sound_cut_anywhere() -> dict[str, Any]:
    async def play(bot: Bot) -> dict[str, Any]:
        await bot.picture()
        for n, (rate_hz, channels) in enumerate([(RATE_HZ, 1), (24_000, 2)], 1):
            sound = np.repeat(noise(0.5, 8_000, rate_hz).astype(np.int16), channels).tobytes()
            for cut in (sound[:4_001], sound[4_001:9_004], sound[9_004:-1], sound[-1:]):
                await bot.worker.queue_frame(TTSAudioRawFrame(cut, rate_hz, channels))
            await bot.worker.queue_frame(TTSStoppedFrame())
            await bot.stopped(n)
        return {"loudest": int(np.abs(bot.sink.sound().astype(int)).max())}

    return await Bot().run(play)


async def ends_after_it_has_said_all() -> dict[str, Any]:
    async def play(bot: Bot) -> None:
        await bot.picture()
        await bot.say(noise(1.5, 8_000), stop=False)

    return await Bot().run(play)


async def loses_its_connection() -> dict[str, Any]:
    async def play(bot: Bot) -> None:
        await bot.picture()
        await bot.say(noise(1.5, 8_000))
        await bot.sink.until(lambda: len(bot.sink.sound()) > 12_000)
        bot.avatar._client._socket.transport.abort()
        await bot.stopped()

    return await Bot().run(play)


async def loses_its_session() -> dict[str, Any]:
    """The server knows nothing of it any more: as after a restart."""

    async def play(bot: Bot) -> None:
        await bot.picture()
        await bot.say(noise(5.0, 8_000))
        await bot.sink.until(lambda: len(bot.sink.sound()) > 12_000)
        client = bot.avatar._client
        client._session = {**client._session, "secret": "of nobody"}
        client._socket.transport.abort()
        await bot.stopped()
        await bot.sink.until(client.connected.is_set)
        await bot.say(noise(0.3, 8_000))
        await bot.stopped(2)

    return await Bot().run(play)


async def has_a_wrong_key() -> dict[str, Any]:
    async def play(bot: Bot) -> None:
        await bot.say(noise(0.5, 8_000))
        await bot.stopped()

    return await Bot(key="wrong").run(play)


async def has_no_server() -> dict[str, Any]:
    async def play(bot: Bot) -> None:
        await bot.say(noise(0.5, 8_000))
        await bot.stopped()

    return await Bot(server="http://127.0.0.1:9").run(play)


async def waits_for_a_place() -> dict[str, Any]:
    """Of two bots of an owner that may have one session."""
    second = Bot()

    async def wait(bot: Bot) -> None:
        await bot.say(noise(0.3, 8_000))
        await bot.stopped()
        first_may_end.set()
        await bot.picture()

    async def hold(bot: Bot) -> None:
        await bot.picture()
        waiting.append(asyncio.create_task(second.run(wait)))
        await first_may_end.wait()

    first_may_end, waiting = asyncio.Event(), []
    await Bot().run(hold)
    return await waiting[0]


async def main() -> None:
    logger.remove()
    live_client.RETRY_S = 0.3
    given = {}
    for name in sys.argv[5:]:
        given[name] = await asyncio.wait_for(globals()[name](), 90)
    print(json.dumps(given))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
