"""Live sessions that leave gaps where sound is late, and what their frames tell of the sound that was fed."""

from __future__ import annotations

import numpy as np

from core.streaming import LiveOptions
from core.streaming.say import Say
from tests.support.live_stage import Stage, joined, rustle

GAPS = LiveOptions(output="frames", lead_s=0, sound_rate_hz=16_000, fill=False)


def test_late_sound_ends_an_utterance_and_begins_another() -> None:
    stage = Stage(GAPS)
    speech = rustle(1.0)
    chunks = iter([*np.array_split(speech, 2), None])
    stage.live.feed(next(chunks), 16_000)
    stage.run(1.0)
    stage.live.feed(next(chunks), 16_000)
    stage.live.end_of_utterance()
    stage.run(1.0)
    assert stage.events == ["ready", "speaking", "idle", "speaking", "idle"]
    assert stage.live.stats()["filled"] == 0
    spoken = np.concatenate([frame.sound[0, : frame.n_speech] for frame in stage.frames])
    assert np.abs(spoken - speech / 32768).max() < 1e-6
    assert np.abs(joined(stage.frames)).sum() >= np.abs(spoken).sum()  # what follows is silence


def test_a_text_goes_on_when_its_sound_is_late() -> None:
    stage = Stage(GAPS)
    say = Say("0", "One two.", 8)
    stage.live.reserve(say)
    for piece in ("One", "two."):
        stage.live.feed_say(say, np.full(16_000, 0.5, np.float32), 16_000, piece, ())
        stage.run(1.2)
    stage.live.end_say(say)
    stage.run(0.2)
    assert stage.events == ["ready", "speaking", "saying", "saying", "said", "idle"]
    assert len(stage.spoken) >= 50


def test_frames_tell_how_many_chunks_are_over() -> None:
    stage = Stage(GAPS)
    for seconds in (0.2, 0.1):
        stage.live.feed(rustle(seconds), 16_000)
        stage.live.end_of_utterance()
    stage.live.feed(rustle(1.0)[:1], 16_000)  # too short to be seen
    stage.live.end_of_utterance()
    stage.run(0.8)
    assert [frame.n_over for frame in stage.spoken] == [0] * 5 + [1] * 3 + [2] * (len(stage.spoken) - 8)
    assert stage.frames[-1].n_over == 3
    stage.live.feed(rustle(1.0), 16_000)
    stage.run(0.2)
    stage.live.interrupt()
    stage.run(0.1)
    assert stage.frames[-1].n_over == 4
    assert stage.frames[-1].n_speech == 0


def test_silence_that_is_filled_in_is_spoken() -> None:
    stage = Stage(LiveOptions(output="frames", lead_s=0, sound_rate_hz=16_000))
    stage.live.feed(rustle(0.2), 16_000)
    stage.run(1.0)
    assert stage.live.stats()["filled"] > 0
    assert sum(frame.n_speech for frame in stage.frames) == sum(frame.sound.shape[1] for frame in stage.spoken)
