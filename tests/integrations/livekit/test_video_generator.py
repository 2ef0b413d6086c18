"""The video generator over a live session on the fake engine, whose picture tells what was heard: in step, cut off, for half an hour."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, VideoGenerator
from numpy.typing import NDArray

from core.errors import AudioError, OptionError
from core.request import Controls, RenderOptions
from core.streaming import LiveOptions, LiveSession
from integrations.livekit.video_generator import LiveVideoGenerator, live_options
from tests.support.live_stage import fake_renderer, rustle
from tests.support.streams import Clock, FakeEngine, FakeSession

pytestmark = pytest.mark.slow  # for the packages that it needs
RATE_HZ = 16_000


class Avatar:
    """A generator by a clock that moves with each picture, and all it gave: pictures as how loud they are and whether they listen, sound,
    and None for the end of a segment."""

    def __init__(self, rate_hz: int = RATE_HZ, options: LiveOptions | None = None) -> None:
        self.clock, self.session = Clock(), FakeSession(Controls())
        options = options or live_options(rate_hz)
        renderer = fake_renderer(FakeEngine(), self.session, RenderOptions(), options)
        self.live = LiveSession(renderer, options, clock=self.clock)
        self.generator = LiveVideoGenerator(self.live)
        self._output = aiter(self.generator)
        self.n_pictures = 0
        self.forget()

    def forget(self) -> None:
        self.given: list[Any] = []
        self.n_ends = self.n_samples = 0

    async def play(self, until: Callable[[], bool], each: Callable[[], None] = lambda: None) -> None:
        async for given in self._output:
            if isinstance(given, rtc.VideoFrame):
                assert (given.width, given.height, given.type) == (64, 64, rtc.VideoBufferType.RGB24)
                self.n_pictures += 1
                self.given.append(("picture", int(given.data[0]), int(given.data[2]) == 255))
                self.clock.advance(0.04)
                each()
            elif isinstance(given, AudioSegmentEnd):
                self.n_ends += 1
                self.given.append(None)
            else:
                self.n_samples += given.samples_per_channel
                self.given.append(np.frombuffer(given.data, np.int16))
            if until():
                return

    def sound(self) -> NDArray[np.int16]:
        return np.concatenate([each for each in self.given if isinstance(each, np.ndarray)] or [np.zeros(0, np.int16)])

    async def push(self, samples: NDArray[np.int16], rate_hz: int = RATE_HZ, channels: int = 1, end: bool = True) -> None:
        shaped = np.repeat(samples, channels)
        await self.generator.push_audio(rtc.AudioFrame(shaped.tobytes(), rate_hz, channels, len(samples)))
        if end:
            await self.generator.push_audio(AudioSegmentEnd())


@contextlib.asynccontextmanager
async def avatar(**options: Any):  # noqa: ANN201 - an iterator
    made = Avatar(**options)

    async def go_on() -> None:
        """A picture that was made while speech was interrupted is never shown, and moves no clock."""
        while True:
            n = made.n_pictures
            await asyncio.sleep(0.1)
            if made.n_pictures == n:
                made.clock.advance(0.04)

    going_on = asyncio.create_task(go_on())
    try:
        yield made
    finally:
        going_on.cancel()
        await made.generator.aclose()


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def in_step(given: list[Any]) -> int:
    """How many pictures speak. Each is as loud as the sound right after it; those without sound listen."""
    spoken = 0
    for before, after in zip(given, [*given[1:], None], strict=True):
        if not isinstance(before, tuple):
            continue
        _, loudness, listens = before
        if isinstance(after, np.ndarray):
            assert not listens
            assert abs(loudness - 255 * np.abs(after.astype(float)).max(initial=0) / 32767) <= 1.5
            spoken += 1
        else:
            assert listens
    return spoken


def test_it_is_what_a_runner_takes() -> None:
    async def test() -> None:
        async with avatar(rate_hz=24_000) as made:
            assert isinstance(made.generator, VideoGenerator)
            about = made.generator.options
            assert (about.video_width, about.video_height, about.video_fps) == (64, 64, 25)
            assert (about.audio_sample_rate, about.audio_channels) == (24_000, 1)

    run(test)


def test_a_segment_comes_sample_by_sample_each_with_its_picture_and_then_its_end() -> None:
    async def test() -> None:
        async with avatar() as made:
            speech = rustle(1.23)  # 30.75 frames
            await made.push(speech)
            await made.play(lambda: made.n_ends == 1)
            assert np.abs(made.sound().astype(int) - speech).max() <= 1
            assert in_step(made.given[:-1]) == 31
            await made.play(lambda: made.n_pictures >= 60)
            assert made.n_ends == 1
            assert in_step(made.given) == 31

    run(test)


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (22_050, 2), (44_100, 6), (48_000, 2), (96_000, 1)])
def test_any_rate_and_number_of_channels_is_as_long_as_it_was(rate_hz: int, channels: int) -> None:
    async def test() -> None:
        async with avatar(rate_hz=24_000) as made:
            await made.push(rustle(0.7, rate_hz), rate_hz, channels)
            await made.play(lambda: made.n_ends == 1)
            assert abs(made.n_samples - 0.7 * 24_000) <= 1

    run(test)


def test_a_rate_that_is_none_is_named() -> None:
    async def test() -> None:
        async with avatar() as made:
            with pytest.raises(AudioError, match="4000"):
                await made.push(rustle(0.1, 4_000), 4_000)

    run(test)


@pytest.mark.parametrize("n", [1, 2, 639, 640, 641])
def test_the_shortest_segments_end_too_once_each(n: int) -> None:
    async def test() -> None:
        async with avatar() as made:
            for _ in range(3):
                await made.push(rustle(1.0)[:n])
            await made.play(lambda: made.n_pictures == 20)
            assert made.n_ends == 3
            assert made.n_samples == 3 * n

    run(test)


def test_a_segment_without_sound_has_no_end_of_its_own() -> None:
    async def test() -> None:
        async with avatar() as made:
            await made.generator.push_audio(AudioSegmentEnd())
            await made.push(np.zeros(0, np.int16))
            await made.push(rustle(0.2))
            await made.play(lambda: made.n_pictures == 20)
            assert made.n_ends == 1

    run(test)


def test_sound_that_is_late_leaves_a_gap_and_adds_nothing() -> None:
    async def test() -> None:
        async with avatar() as made:
            parts = iter(np.array_split(rustle(1.6), 4))
            pushed: list[NDArray[np.int16]] = []

            async def speak() -> None:
                for part in parts:
                    pushed.append(part)
                    n = made.n_pictures
                    await made.push(part, end=False)
                    while made.n_pictures < n + 30:  # 1.2 s for 0.4 s of sound
                        await asyncio.sleep(0.001)
                await made.generator.push_audio(AudioSegmentEnd())

            speaking = asyncio.create_task(speak())
            await made.play(lambda: made.n_ends == 1)
            await speaking
            assert np.abs(made.sound().astype(int) - np.concatenate(pushed)).max() <= 1
            assert in_step(made.given[:-1]) == 40
            assert made.live.stats()["filled"] == 0

    run(test)


def test_nothing_of_the_old_speech_after_an_interruption() -> None:
    """Old speech is loud, new speech is quiet: at the very moment of `clear_buffer`, and wherever the reader is."""

    async def test() -> None:
        for n in range(3, 12):
            async with avatar() as made:
                await made.push(np.full(32_000, 20_000, np.int16))
                await made.push(np.full(32_000, 20_000, np.int16), end=False)

                def loud(made: Avatar = made, n: int = n) -> bool:
                    return made.n_samples >= 640 * n or made.n_pictures >= 2 * n

                await made.play(loud)
                assert made.generator.clear_buffer() is None
                made.forget()
                await made.generator.push_audio(AudioSegmentEnd())  # of the segment that was interrupted
                quiet = np.full(8_000, 2_000, np.int16)
                await made.push(quiet)
                await made.play(lambda made=made: made.n_ends == 1)
                assert np.array_equal(made.sound(), quiet)
                assert all(picture[1] < 20 for picture in made.given if isinstance(picture, tuple))

    run(test)


def test_speech_beyond_a_minute_waits_and_is_dropped_by_an_interruption() -> None:
    async def test() -> None:
        async with avatar() as made:
            pushing = asyncio.create_task(made.push(np.full(75 * RATE_HZ, 20_000, np.int16)))
            while made.live.stats()["buffered_s"] < 59.9:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            assert not pushing.done()
            made.generator.clear_buffer()
            await pushing
            assert made.live.stats()["buffered_s"] == 0
            await made.push(rustle(0.4))
            await made.play(lambda: made.n_ends == 1)
            assert made.n_samples == 6_400

    run(test)


def test_a_segment_of_minutes_goes_through_whole() -> None:
    async def test() -> None:
        async with avatar() as made:
            pushing = asyncio.create_task(made.push(rustle(150.0)))
            await made.play(lambda: made.n_ends == 1)
            await pushing
            assert made.n_samples == 150 * RATE_HZ

    run(test)


def test_the_end_of_the_session_ends_everything() -> None:
    async def test() -> None:
        async with avatar() as made:
            pushing = asyncio.create_task(made.push(rustle(75.0)))
            playing = asyncio.create_task(made.play(lambda: False))
            await asyncio.sleep(0.1)
            await made.generator.aclose()
            await asyncio.gather(pushing, playing)
            await made.push(rustle(0.1))
            made.generator.clear_buffer()
            assert [each async for each in made.generator] == []
            await made.generator.aclose()

    run(test)


def test_a_session_for_something_else_is_refused() -> None:
    for options in (LiveOptions(), LiveOptions(output="frames")):
        with pytest.raises(OptionError, match="not made for LiveKit"):
            Avatar(options=options)


def test_half_an_hour_of_segments_without_drift() -> None:
    """1800 s of video: segments of 0.3 to 12 s with pauses, every fifth interrupted. Sound and picture stay together to the sample."""

    async def test() -> None:
        random = np.random.default_rng(5)
        async with avatar() as made:
            n_segments, lengths, played, interrupted = 0, [], [], 0
            pause = 0

            def each() -> None:
                nonlocal pause
                pause -= 1

            async def speak() -> None:
                nonlocal n_segments, interrupted, pause
                while made.n_pictures < 45_000:
                    n = int(random.integers(4_800, 192_000))
                    made.forget()
                    await made.push(rustle(n / RATE_HZ, seed=n_segments))
                    n_segments += 1
                    if n_segments % 5 == 0:
                        while made.n_samples < min(n, 40_000):
                            await asyncio.sleep(0.001)
                        made.generator.clear_buffer()
                        interrupted += 1
                    else:
                        while not made.n_ends:
                            await asyncio.sleep(0.001)
                        lengths.append(n)
                        played.append(made.n_samples)
                        n_spoken = in_step(made.given)
                        assert n_spoken == -(-n // 640)
                    pause = int(random.integers(1, 30))
                    while pause > 0:
                        await asyncio.sleep(0.001)

            speaking = asyncio.create_task(speak())
            await made.play(speaking.done, each)
            await speaking
            assert played == lengths
            assert min(len(lengths), interrupted) > 40
            assert made.n_pictures >= 45_000
            assert made.live.stats()["lost_s"] == 0

    asyncio.run(asyncio.wait_for(test(), 300))
