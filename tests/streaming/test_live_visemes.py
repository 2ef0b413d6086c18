"""What live sessions tell of mouth and words: with the frames, one for each, and nothing of speech that was dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.lite.mouth import LOOK_AHEAD_SAMPLES, MouthTracker
from core.media.audio import load_audio
from core.service.live_speech import word_ends
from core.settings import Settings
from core.speech_synthesis.base import Speech
from core.streaming import LiveEvent, LiveFrame, LiveOptions, LiveSegment
from core.streaming.say import Say
from core.types import Phone, Word
from core.visemes.document import viseme_document
from core.visemes.frames import layout
from tests.support.live_stage import FRAMES, Stage
from tests.support.paths import SPEECH


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    return load_audio(SPEECH, Settings()).samples[:32_000]


def stage_of(options: LiveOptions = FRAMES) -> Stage:
    stage = Stage(options, visemes=True)
    stage.session.look_ahead_samples = LOOK_AHEAD_SAMPLES
    return stage


def told(stage: Stage, kind: str) -> list[LiveEvent]:
    return [out for out in stage.out if isinstance(out, LiveEvent) and out.kind == kind]


def test_each_frame_of_speech_has_its_mouth_and_the_lips_close_after_it(spoken: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MouthTracker, "foresee", lambda tracker, samples: None)  # a live session has no sound beforehand
    stage = stage_of()
    stage.live.feed(spoken, 16_000)
    stage.live.end_of_utterance()
    stage.run(3.0)
    events = told(stage, "visemes")
    assert [event.at_s for event in events] == [*(frame.at_s for frame in stage.spoken), stage.spoken[-1].at_s + 0.04]
    assert events[-1].data["frames"][0]["oculus"] == "sil"
    document = viseme_document(load_audio(SPEECH, Settings()))
    mouths = [event.data["frames"][0] for event in events[:-1]]
    np.testing.assert_allclose([mouth["arkit"] for mouth in mouths[:45]], document["arkit"]["frames"][:45], atol=0.01)
    assert all(0 <= weight <= 1 for mouth in mouths for weight in mouth["arkit"])
    assert told(stage, "ready")[0].data["visemes"] == layout()
    assert len(mouths[0]["arkit"]) == len(layout()["arkit"])


def test_an_engine_that_needs_less_sound_changes_no_mouth(spoken: np.ndarray) -> None:
    """Ditto does, for some of its frames: what the mouth does is told a little later then, and of the right frame."""
    told_of = []
    for look_ahead in (LOOK_AHEAD_SAMPLES, 0):
        stage = stage_of()
        stage.session.look_ahead_samples = look_ahead
        stage.live.feed(spoken, 16_000)
        stage.live.end_of_utterance()
        stage.run(3.0)
        began_s = stage.spoken[0].at_s
        frames = [frame for event in told(stage, "visemes") for frame in event.data["frames"]]
        assert [round(event.at_s - began_s, 2) for event in told(stage, "visemes")][0] == 0
        told_of.append(frames[:50])
    assert [frame["oculus"] for frame in told_of[0]] == [frame["oculus"] for frame in told_of[1]]


def test_they_come_right_after_their_frames_and_one_event_tells_of_a_segment(spoken: np.ndarray) -> None:
    stage = stage_of(LiveOptions(segment_frames=5, lead_s=0))
    stage.live.feed(spoken, 16_000)
    stage.run(3.0)
    for before, event in zip(stage.out, stage.out[1:], strict=False):
        if isinstance(event, LiveEvent) and event.kind == "visemes":
            assert isinstance(before, LiveSegment)
            start_s, end_s = before.segment.start_s, before.segment.start_s + before.segment.duration_s
            assert start_s - 1e-6 <= event.at_s < end_s
            assert event.at_s + 0.04 * len(event.data["frames"]) <= end_s + 0.041
    frames = [frame for event in told(stage, "visemes") for frame in event.data["frames"]]
    assert len(frames) == stage.live.stats()["spoken"] + 1


def test_an_interrupt_drops_what_was_not_handed_out(spoken: np.ndarray) -> None:
    stage = stage_of()
    stage.live.feed(spoken, 16_000)
    stage.run(1.0)
    stage.clock.advance(0.2)
    assert isinstance(stage.live.next_output(), LiveFrame | LiveEvent)
    before = len(stage.out)
    stage.live.interrupt()
    stage.run(0.5)
    after = [out for out in stage.out[before:] if isinstance(out, LiveEvent)]
    assert after[0].kind == "interrupted"
    assert [out.data["frames"][0]["oculus"] for out in after if out.kind == "visemes"] == ["sil"]
    assert {out.generation for out in after} == {1}


def test_without_the_option_nothing_is_told(spoken: np.ndarray) -> None:
    stage = Stage()
    stage.live.feed(spoken, 16_000)
    stage.run(1.0)
    assert not told(stage, "visemes")
    assert "visemes" not in told(stage, "ready")[0].data


def test_words_and_phones_of_a_text_come_when_they_are_said() -> None:
    stage = stage_of()
    say = Say("7", "One two.", 8)
    stage.live.reserve(say)
    piece = Speech(np.full(24_000, 0.1, np.float32), 24_000, "One two.", (Word("One", 0.1, 0.4), Word("two.", 0.6, 0.9)))
    phones = [Phone("", 0.0, 0.2), Phone("p", 0.2, 0.4), Phone("θ", 0.4, 0.6), Phone("aɪ", 0.6, 1.0)]
    stage.live.feed_say(say, piece.samples, 24_000, piece.text, word_ends(piece), phones)
    stage.live.end_say(say)
    stage.run(2.0)
    began_s = stage.spoken[0].at_s
    words: list[tuple[dict[str, Any], float]] = [(event.data, event.at_s - began_s) for event in told(stage, "word")]
    assert [data for data, _ in words] == [{"id": "7", "text": "One", "duration_s": 0.3}, {"id": "7", "text": "two.", "duration_s": 0.3}]
    assert [at_s for _, at_s in words] == pytest.approx([0.1, 0.6], abs=0.002)
    mouths = [event.data["frames"][0] for event in told(stage, "visemes")]
    assert [(mouths[at]["oculus"], mouths[at]["azure"]) for at in (2, 7, 12, 17, 23)] == [
        ("sil", 0), ("PP", 21), ("TH", 19), ("aa", 11), ("I", 11)
    ]  # fmt: skip
