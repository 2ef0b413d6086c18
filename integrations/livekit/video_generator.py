"""A live session as the video generator that LiveKit's AvatarRunner runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, VideoGenerator
from numpy.typing import NDArray

from core.errors import OptionError
from core.streaming import LiveEvent, LiveFrame, LiveOptions, LiveSession
from core.types import FPS

DEFAULT_RATE_HZ = 24_000
"""Of the sound that is published: what most voices of agents have."""
WAIT_S = 0.25
"""How long one wait for output lasts, and so how long the thread lives on after the end."""
ROOM_S = 0.02
"""Between two tries to hand over sound while too much waits."""
PUT_S = 0.5
"""How long what was just handed out may take until the runner has put it into the room's queues."""
QUEUED_S = 0.06
"""Sound is handed out while no more than this waits in the room's queue, which is longer: no frame hangs before the queue when speech is
interrupted.
"""


def live_options(sound_rate_hz: int = DEFAULT_RATE_HZ) -> LiveOptions:
    """Of a session for a LiveVideoGenerator. sound_rate_hz: of what is published, whatever the agent sends."""
    return LiveOptions(output="frames", sound_rate_hz=sound_rate_hz, lead_s=0, fill=False)


class LiveVideoGenerator(VideoGenerator):
    """Pictures all the time, 25 a second; sound only while the person speaks, each 40 ms right after their picture, and no sample that was
    not pushed: what the runner counts as played is the place in the agent's speech. Used on one event loop.

    live: with `live_options`; it is closed by `aclose`. options: what the runner is to be given. warnings: sentences on the person's photo.
    Raises OptionError for a session with other options.
    """

    def __init__(self, live: LiveSession) -> None:
        if live.options.output != "frames" or live.options.fill:
            raise OptionError("The live session is not made for LiveKit.", "Give it live=live_options().")
        self._live = live
        self._thread = ThreadPoolExecutor(1, "livekit-avatar")
        self._av_sync: rtc.AVSynchronizer | None = None
        self._generation = live.generation
        self._n_pushed = 0  # chunks that the session took
        self._ends: deque[int] = deque()  # n_pushed at the end of each segment that is not over
        self._open = False  # a segment has sound and no end
        self._asked = asyncio.Event()  # the runner waits for more: what it was given lies in the room's queues
        self._asked.set()
        self._emptying = 0  # calls under way
        self.unheard_s = 0.0
        """Of the speech that was interrupted last: how much was handed out and never heard."""
        ready = live.next_output()
        if not isinstance(ready, LiveEvent) or ready.kind != "ready":
            raise OptionError("Output of the live session was read already.", "Make a new one.")
        self.options = AvatarOptions(ready.data["width"], ready.data["height"], FPS, live.options.sound_rate_hz, 1)
        self.warnings: list[str] = ready.data["warnings"]

    def attach(self, av_sync: rtc.AVSynchronizer) -> None:
        """Of the runner that plays this: its queues are emptied, too, when speech is interrupted."""
        self._av_sync = av_sync

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Sound of 8 to 96 kHz, any number of channels and any length; waits while a minute of it is ahead. What is pushed after the end of
        the session, or belongs to a segment that is interrupted meanwhile, is dropped.

        Raises AudioError for other rates.
        """
        if isinstance(frame, AudioSegmentEnd):
            self._live.end_of_utterance()
            if self._open:  # else nobody waits for its end: it had no sound, or was interrupted
                self._ends.append(self._n_pushed)
                self._open = False
            return
        generation = self._generation
        for chunk in _mono_chunks(frame):
            while not self._live.feed(chunk, frame.sample_rate):
                await asyncio.sleep(ROOM_S)
                if self._live.closed or generation != self._generation:
                    return
            self._n_pushed += 1
            self._open = True

    def clear_buffer(self) -> Coroutine[None, None, None] | None:
        """All speech is forgotten at once, also what lies in the runner's queues; the person listens. Await what it returns: then the
        runner has counted all it was given, and no sound of later speech.
        """
        self._generation = self._live.interrupt()
        self._ends.clear()
        self._open = False
        if self._av_sync is None:
            return None
        return self._emptied(self._av_sync)

    async def _emptied(self, av_sync: rtc.AVSynchronizer) -> None:
        self._emptying += 1
        try:
            self.unheard_s = self._queued_s()
            await av_sync.clear_queue()
            if not self._asked.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._asked.wait(), PUT_S)
                self.unheard_s = max(self.unheard_s, self._queued_s())  # emptying does not shorten what the queue says of itself
                await av_sync.clear_queue()
        finally:
            self._emptying -= 1

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:  # type: ignore[override]
        """Until the session is closed. Raises what made the engine fail."""
        async for given in self._outputs():
            self._asked.clear()
            yield given
            self._asked.set()

    async def _outputs(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        loop = asyncio.get_running_loop()
        while not self._live.closed:
            made = await loop.run_in_executor(self._thread, self._live.next_output, WAIT_S)
            if not isinstance(made, LiveFrame):
                continue
            while self._ends and self._ends[0] <= made.n_over:
                self._ends.popleft()
                yield AudioSegmentEnd()
            if made.generation != self._generation:
                continue
            yield _video_frame(made)
            if made.n_speech:
                while (wait_s := self._queued_s() - QUEUED_S) > 0 or self._emptying:
                    await asyncio.sleep(max(wait_s, 0.001))
                if made.generation == self._generation:
                    yield _audio_frame(made, self.options.audio_sample_rate)

    async def aclose(self) -> None:
        """Ends the session. May be called again."""
        await asyncio.to_thread(self._live.close)  # waits for the frame that is being made
        self._thread.shutdown(wait=False)

    def _queued_s(self) -> float:
        """Of sound in the runner's queue. The time that it gives for its last sound is that of the push, 0 here, less this."""
        return 0.0 if self._av_sync is None else max(0.0, -self._av_sync.last_audio_time)


def _mono_chunks(frame: rtc.AudioFrame) -> Iterator[NDArray[np.int16]]:
    """The sound in chunks of a second at most, its channels mixed."""
    samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
    for start in range(0, len(samples), frame.sample_rate):
        part = samples[start : start + frame.sample_rate]
        yield part[:, 0].copy() if frame.num_channels == 1 else np.rint(part.mean(1)).astype(np.int16)


def _video_frame(made: LiveFrame) -> rtc.VideoFrame:
    height, width, _ = made.frame.shape
    return rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, made.frame.tobytes())


def _audio_frame(made: LiveFrame, rate_hz: int) -> rtc.AudioFrame:
    samples = np.rint(made.sound[0, : made.n_speech] * 32767).astype("<i2")
    return rtc.AudioFrame(samples.tobytes(), rate_hz, 1, len(samples))
