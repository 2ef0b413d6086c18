"""Live sessions by a clock that the tests own: what comes out, when, and what never does."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from core.errors import OptionError
from core.request import Controls, RenderOptions
from core.streaming import LiveFrame, LiveOptions, LiveOutput, LiveSegment, LiveSession
from core.streaming.live_clock import MOST_LATE_S
from core.studio import Studio
from core.types import Audio, Photo
from tests.support.live_stage import FRAMES, Stage, fake_live, rustle
from tests.support.streams import LOOK_AHEAD, Clock, FakeEngine, pictures, sound


def test_frames_come_at_25_a_second_speech_or_not() -> None:
    stage = Stage()
    at: list[float] = []
    fed = iter(np.array_split(rustle(1.0), 50))  # 20 ms each, as from a microphone

    def each() -> None:
        at.extend([stage.clock()] * (len(stage.frames) - len(at)))
        if 0.5 <= stage.clock() - 1000 - 1e-9 and (chunk := next(fed, None)) is not None:
            stage.live.feed(chunk, 16_000)

    stage.run(3.0, each)
    assert np.abs(np.diff(at) - 0.04).max() < 0.021  # the clock moves in steps of 20 ms
    assert [frame.at_s for frame in stage.frames] == [i / 25 for i in range(76)]  # one at once
    first = stage.spoken[0].at_s
    # the first 40 ms of sound were there at 0.54 s: within 300 ms beyond the look-ahead their frame is out
    assert first + 0.04 - 0.54 <= 0.3 + LOOK_AHEAD / 16_000
    assert len(stage.spoken) >= 25
    assert stage.events == ["ready", "speaking", "idle"]


def test_a_gap_is_silence_and_then_idle_and_speech_resumes() -> None:
    stage = Stage()
    chunks = iter(np.array_split(rustle(0.6), 30))
    stage.run(1.5, lambda: [stage.live.feed(chunk, 16_000) for chunk in [next(chunks, None)] if chunk is not None])
    assert stage.events == ["ready", "speaking", "idle"]
    assert 0 < stage.live.stats()["filled"] <= 5
    assert 15 <= len(stage.spoken) <= 15 + 5
    stage.live.feed(rustle(0.6), 16_000)
    stage.live.end_of_utterance()
    stage.run(1.5)
    assert stage.events == ["ready", "speaking", "idle", "speaking", "idle"]
    assert all(not frame.sound.any() for frame in stage.frames[-10:])


def test_late_sound_shifts_picture_and_sound_alike() -> None:
    """Chunks 120 ms too late, again and again: silence goes in, and every frame still has the sound it was made of."""
    stage = Stage(LiveOptions(output="frames", lead_s=0, jitter_s=0.0, sound_rate_hz=16_000))
    chunks = iter(np.array_split(rustle(2.0), 20))
    waits = iter([0.1, 0.1, 0.22] * 20)
    next_s = stage.clock()

    def each() -> None:
        nonlocal next_s
        if stage.clock() >= next_s - 1e-9 and (chunk := next(chunks, None)) is not None:
            stage.live.feed(chunk, 16_000)
            next_s += next(waits)

    stage.run(5.0, each)
    assert stage.live.stats()["filled"] > 5
    for frame in stage.spoken:
        assert abs(int(frame.frame[0, 0, 0]) - 255 * np.abs(frame.sound).max()) <= 1.0


def test_the_last_piece_completes_the_stream() -> None:
    stage = Stage(LiveOptions(lead_s=0, segment_frames=10))
    stage.live.feed(rustle(5.0), 16_000)
    stage.run(0.6)
    last = stage.live.finish()
    assert last is not None
    assert (last.segment.final, last.segment.n_frames, last.speaking) == (True, 6, True)
    data = stage.data + last.segment.data
    assert len(pictures(data)) == 16
    assert 0 <= sound(data).shape[1] - 16 * 1920 < 1024
    assert stage.live.closed
    assert stage.live.finish() is None
    assert Stage().live.finish() is None


def test_a_reader_that_stops_loses_idle_frames_only() -> None:
    stage = Stage()
    stage.run(1.0)
    stage.clock.advance(3600)
    before = len(stage.frames)
    stage.take()
    burst = len(stage.frames) - before
    assert burst <= MOST_LATE_S * 25 + 1
    assert stage.live.stats()["skipped"] == pytest.approx(3600 * 25 - burst, abs=2)
    stage.live.feed(rustle(3.0), 16_000)
    stage.live.end_of_utterance()
    stage.run(0.4)
    stage.clock.advance(60)
    stage.run(4.0)
    assert len(stage.spoken) == 75
    assert [frame.at_s for frame in stage.frames] == [i / 25 for i in range(len(stage.frames))]


def test_an_engine_that_fails_ends_the_session_with_its_error() -> None:
    stage = Stage()
    stage.live.feed(rustle(1.0), 16_000)
    stage.run(0.2)

    def fail() -> None:
        raise RuntimeError("the device is gone")

    stage.session.before_frame = fail
    with pytest.raises(RuntimeError, match="the device is gone"):
        stage.run(1.0)
    assert stage.live.closed
    assert stage.session.interrupts
    with pytest.raises(RuntimeError, match="the device is gone"):
        stage.live.next_output()
    assert not stage.live.feed(rustle(0.1), 16_000)


def test_close_wakes_all_who_wait_and_frees_the_engine() -> None:
    engine = FakeEngine()
    session = engine.session(None, Controls(), RenderOptions())  # type: ignore[arg-type]
    live = fake_live(engine, session, RenderOptions(), LiveOptions(max_buffer_s=1.0, lead_s=0))
    out: list[LiveOutput] = []

    def read() -> None:
        while not live.closed:
            if (output := live.next_output(timeout_s=60)) is not None:
                out.append(output)

    fed: list[bool] = []
    reader = threading.Thread(target=read)
    feeder = threading.Thread(target=lambda: fed.extend(live.feed(rustle(0.9, seed=i), 16_000, timeout_s=60) for i in range(100)))
    reader.start()
    feeder.start()
    while len(out) < 5:  # by the machine's own clock
        time.sleep(0.01)
    live.close()
    live.close()
    reader.join(5)
    feeder.join(5)
    assert not reader.is_alive()
    assert not feeder.is_alive()
    assert not fed[-1]
    assert session.interrupts
    assert live.next_output(timeout_s=60) is None


def test_controls_are_refused_by_name_and_taken_over_between_utterances() -> None:
    stage = Stage()
    with pytest.raises(OptionError, match="does not honour blink"):
        stage.live.set_controls(Controls(blink=0.5))
    stage.live.feed(rustle(1.0), 16_000)
    stage.live.end_of_utterance()
    stage.run(0.4)
    stage.live.set_controls(Controls(mouth=0.5))
    stage.run(0.4)
    assert stage.engine.sessions == [], "not while it speaks"
    stage.run(1.0)
    assert [session.controls.mouth for session in stage.engine.sessions] == [0.5]
    assert len(stage.spoken) == 25


def test_a_key_frame_for_whoever_joins_late() -> None:
    stage = Stage(LiveOptions(lead_s=0))
    stage.run(1.0)
    before = len(stage.out)
    stage.live.request_keyframe()
    stage.run(1.0)
    late = [output.segment.data for output in stage.out[before:] if isinstance(output, LiveSegment)]
    decoded = pictures(stage.live.initialisation.data + b"".join(late))
    assert decoded[0].key_frame
    assert len(decoded) >= 24


def test_the_label_is_drawn() -> None:
    stage = Stage(label=True)
    stage.run(0.2)
    frame = stage.frames[0].frame
    assert frame[-15:, :25].std() > 0
    assert (frame[:40] == frame[0, 0]).all()


@pytest.mark.parametrize(
    "options", [{"sound_rate_hz": 12_345}, {"segment_frames": 0}, {"segment_frames": 51}, {"gap_s": float("nan")}, {"output": "gif"}]
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        LiveOptions(**options)


@pytest.fixture
def person(studio: Studio, portrait: Photo) -> tuple[LiveSession, Clock]:
    clock = Clock()
    options = RenderOptions(size=128)
    return studio.live(portrait, "local", engine="lite", options=options, live=FRAMES, clock=clock), clock


def test_a_person_never_jumps(person: tuple[LiveSession, Clock], speech: Audio) -> None:
    """Idle, speech, cut off with the mouth open, idle, speech again: no step is larger than speech's own."""
    live, clock = person
    frames: list[LiveFrame] = []

    def run(seconds: float) -> list[float]:
        start = max(len(frames) - 1, 0)
        for _ in range(round(seconds * 25)):
            clock.advance(0.04)
            while (output := live.next_output()) is not None:
                if isinstance(output, LiveFrame):
                    frames.append(output)
        shown = [frame.frame.astype(np.int16) for frame in frames[start:]]
        return [float(np.abs(a - b).mean()) for a, b in zip(shown, shown[1:], strict=False)]

    run(1.0)
    live.feed(speech.samples, 16_000)
    most = max(run(2.9))
    cut_off: list[float] = []
    for at in (0.5, 0.6, 0.7):  # one of these finds the lips apart
        live.interrupt()
        cut_off += run(0.6)
        live.feed(speech.samples, 16_000)
        cut_off += run(at)
    live.set_controls(Controls(head_motion=0.0, gaze_x=0.5))
    eased = run(1.0)
    live.close()
    assert max(cut_off) <= 1.1 * most
    assert max(eased) <= 1.1 * most
    assert len({frame.frame.tobytes() for frame in frames[:25]}) > 20, "alive while it listens"


def test_many_at_once_share_the_device(studio: Studio, speech: Audio, portrait: Photo) -> None:
    """Four readers on threads and a job between them: each session speaks all of its speech."""
    spoken = [0] * 4

    def read(index: int) -> None:
        clock = Clock()
        live = studio.live(portrait, "local", options=RenderOptions(size=64), live=FRAMES, clock=clock)
        live.feed(speech.samples[:16_000], 16_000)
        live.end_of_utterance()
        for _ in range(40):
            clock.advance(0.04)
            while (output := live.next_output()) is not None:
                spoken[index] += isinstance(output, LiveFrame) and output.speaking
        live.close()

    threads = [threading.Thread(target=read, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert spoken == [25] * 4
