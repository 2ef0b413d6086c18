"""Interrupts of a live session: nothing of cancelled speech comes out, whenever they fall."""

from __future__ import annotations

import numpy as np
import pytest

from core.request import Controls
from core.streaming import LiveEvent, LiveFrame, LiveOptions, LiveSegment
from tests.support.live_stage import Stage, rustle
from tests.support.streams import pictures


def test_nothing_of_cancelled_speech_comes_after_an_interrupt() -> None:
    stage = Stage()
    stage.live.feed(rustle(5.0), 16_000)
    stage.run(1.0)
    assert stage.spoken
    before = len(stage.out)
    assert stage.live.interrupt() == 1
    stage.live.feed(np.full(8_000, 0.5, np.float32), 16_000)
    stage.live.end_of_utterance()
    stage.run(1.5)
    after = stage.out[before:]
    assert [output.kind for output in after if isinstance(output, LiveEvent)] == ["interrupted", "speaking", "idle"]
    assert {output.generation for output in after} == {1}
    spoken = [output for output in after if isinstance(output, LiveFrame) and output.speaking]
    assert len(spoken) == 13
    assert all(abs(int(frame.frame[0, 0, 0]) - 128) <= 1 for frame in spoken), "only what was said after the interrupt"
    assert stage.session.interrupts == 1
    assert [frame.at_s for frame in stage.frames] == [i / 25 for i in range(len(stage.frames))]


def test_an_interrupt_while_a_frame_is_drawn_discards_it() -> None:
    stage = Stage()
    stage.live.feed(rustle(2.0), 16_000)
    stage.run(0.2)
    before = len(stage.frames)
    stage.session.before_frame = lambda: (setattr(stage.session, "before_frame", lambda: None), stage.live.interrupt())[0]
    stage.run(0.2)
    assert stage.frames[before:]
    assert not any(frame.speaking for frame in stage.frames[before:])


@pytest.mark.parametrize("speaks", [False, True])
def test_an_interrupt_just_before_new_speech_begins_leaves_sound_and_picture_together(speaks: bool) -> None:
    """Between looking at what waits and drawing, one utterance goes and another one comes."""
    stage = Stage(LiveOptions(output="frames", lead_s=0, sound_rate_hz=16_000))
    if speaks:
        stage.live.feed(rustle(1.0), 16_000)
    stage.run(0.2)

    def change(controls: Controls) -> bool:
        stage.live.interrupt()
        stage.live.feed(rustle(1.0, seed=2), 16_000)
        stage.live.end_of_utterance()
        return True

    stage.session.set_controls = change  # type: ignore[method-assign]
    stage.live.set_controls(Controls(mouth=0.5))
    stage.run(2.0)
    assert len([frame for frame in stage.spoken if frame.generation == 1]) == 25
    for frame in stage.spoken:
        assert abs(int(frame.frame[0, 0, 0]) - 255 * np.abs(frame.sound).max()) <= 1.0


def test_an_interrupt_drops_frames_that_wait_for_their_segment() -> None:
    stage = Stage(LiveOptions(lead_s=0, segment_frames=10))
    stage.live.feed(rustle(5.0), 16_000)
    stage.run(0.6)  # one segment out, five frames wait
    stage.live.interrupt()
    stage.run(1.0)
    segments = [output for output in stage.out if isinstance(output, LiveSegment) and output.segment.kind == "media"]
    assert [(segment.generation, segment.speaking) for segment in segments] == [(0, True), (1, False), (1, False), (1, False)]
    assert [segment.segment.start_s for segment in segments] == [0.0, 0.4, 0.8, 1.2]
    decoded = pictures(stage.data)
    assert len(decoded) == 40
    assert all(picture.to_ndarray(format="rgb24")[0, 0, 2] > 200 for picture in decoded[10:]), "blue: listening"


def test_many_interrupts_unread_are_one() -> None:
    stage = Stage()
    for _ in range(1000):
        stage.live.interrupt()
    stage.run(0.2)
    assert stage.events == ["ready", "interrupted"]
    assert {frame.generation for frame in stage.frames} == {1000}
