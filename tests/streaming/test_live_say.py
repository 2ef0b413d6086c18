"""Texts in a live session: spoken in turn with recordings, and how far they were spoken is known to the word."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from core.streaming import LiveEvent
from core.streaming.say import Say
from core.streaming.utterance import Utterance
from core.types import Phone
from tests.support.live_stage import Stage, rustle
from tests.support.serving import wait_for

TEXT = "One two three four."
WORDS = [(0.5, 3), (1.0, 7), (1.5, 13), (2.0, 19)]


def told(stage: Stage, *kinds: str) -> list[tuple[str, Any]]:
    return [(out.kind, out.data) for out in stage.out if isinstance(out, LiveEvent) and out.kind in kinds]


def reserved(stage: Stage, id: str = "0", text: str = TEXT) -> Say:
    say = Say(id, text, len(text))
    stage.live.reserve(say)
    return say


def feed(stage: Stage, say: Say, seconds: float, text: str, words: Any = ()) -> None:
    stage.live.feed_say(say, np.full(round(seconds * 24_000), 0.5, np.float32), 24_000, text, words)


def test_a_text_is_spoken_and_told_where_it_begins_and_ends() -> None:
    stage = Stage()
    say = reserved(stage)
    stage.run(0.5)
    assert stage.spoken == []  # it listens until there is something to say
    feed(stage, say, 2.0, TEXT, WORDS)
    stage.live.end_say(say)
    stage.run(3.0)
    assert len(stage.spoken) == 50
    report = {"id": "0", "text": TEXT, "chars": 19, "complete": True}
    assert told(stage, "saying", "said") == [("saying", {"id": "0", "text": TEXT, "chars": 0}), ("said", report)]
    begun = next(out for out in stage.out if isinstance(out, LiveEvent) and out.kind == "saying")
    assert begun.at_s == stage.spoken[0].at_s


@pytest.mark.parametrize(("after_s", "spoken"), [(0.0, ""), (0.7, "One"), (1.2, "One two"), (1.7, "One two three")])
def test_an_interrupt_tells_how_many_words_were_spoken(after_s: float, spoken: str) -> None:
    stage = Stage()
    say, waiting = reserved(stage), reserved(stage, "1", "Not this.")
    feed(stage, say, 2.0, TEXT, WORDS)
    stage.run(0.02)
    stage.run(after_s)
    stage.live.interrupt()
    stage.run(0.5)
    assert say.cancelled.is_set()
    assert waiting.cancelled.is_set()
    reports = [data for _, data in told(stage, "said")]
    assert reports == [
        {"id": "0", "text": spoken, "chars": len(spoken), "complete": False},
        {"id": "1", "text": "", "chars": 0, "complete": False},
    ]
    assert not any(frame.speaking for frame in stage.frames[-5:])


def test_without_the_times_of_words_it_is_told_in_proportion() -> None:
    stage = Stage()
    say = reserved(stage)
    feed(stage, say, 0.25, TEXT)  # as a speech service sends it: the text with the first of its sound
    for _ in range(7):
        feed(stage, say, 0.25, "")
    stage.run(1.0)
    stage.live.interrupt()
    stage.take()
    assert told(stage, "said")[-1][1]["text"] == "One two"


def test_recordings_and_texts_are_spoken_in_the_order_in_which_they_came() -> None:
    stage = Stage()
    stage.live.feed(np.full(16_000, 0.25, np.float32), 16_000)
    say = reserved(stage)
    stage.live.feed(np.full(16_000, 0.75, np.float32), 16_000)
    stage.live.end_of_utterance()
    stage.run(2.0)
    assert len(stage.spoken) == 25  # what came after the text waits for it
    feed(stage, say, 1.0, TEXT)
    stage.live.end_say(say)
    stage.run(3.0)
    loud = [round(int(frame.frame[0, 0, 0]) / 255 * 4) for frame in stage.spoken]
    assert [loud[at] for at in (12, 37, 62)] == [1, 2, 3]
    assert len(loud) == 75


def test_a_text_that_is_late_in_the_middle_is_silence_and_goes_on() -> None:
    stage = Stage()
    say = reserved(stage)
    feed(stage, say, 1.0, "One two", [(0.5, 3), (1.0, 7)])
    stage.run(2.0)
    feed(stage, say, 1.0, "three four.", [(0.5, 5), (1.0, 11)])
    stage.run(0.8)
    stage.live.interrupt()
    stage.take()
    assert told(stage, "said")[-1][1]["text"] == "One two three"
    assert stage.live.stats()["filled"] > 0


def test_sound_that_waits_behind_a_text_takes_none_of_its_room() -> None:
    stage = Stage()
    say = reserved(stage)
    for _ in range(60):
        assert stage.live.feed(rustle(1.0), 16_000)
    assert not stage.live.feed(rustle(1.0), 16_000)
    feed(stage, say, 2.0, TEXT, WORDS)
    stage.live.end_say(say)
    stage.run(4.0)
    assert told(stage, "said")[-1][1]["complete"]


@pytest.mark.parametrize("end", ["interrupt", "close"])
def test_who_feeds_faster_than_it_is_spoken_waits_until_the_end(end: str) -> None:
    stage = Stage()
    say = reserved(stage)
    for _ in range(2):
        feed(stage, say, 6.0, TEXT)
    feeding = threading.Thread(target=feed, args=(stage, say, 6.0, TEXT))
    feeding.start()
    stage.run(0.1)
    assert feeding.is_alive()
    getattr(stage.live, end)()
    feeding.join(10)
    assert not feeding.is_alive()
    assert say.cancelled.is_set()


def test_there_is_room_again_when_it_is_spoken() -> None:
    stage = Stage()
    say = reserved(stage)
    for _ in range(2):
        feed(stage, say, 6.0, TEXT)
    feeding = threading.Thread(target=feed, args=(stage, say, 6.0, TEXT))
    feeding.start()
    stage.run(3.0)
    wait_for(lambda: not feeding.is_alive())
    feeding.join()
    stage.live.close()


def test_a_text_that_failed_is_over_and_not_complete() -> None:
    stage = Stage()
    say = reserved(stage)
    say.failed = True
    stage.live.end_say(say)
    stage.run(0.1)
    assert told(stage, "said") == [("said", {"id": "0", "text": "", "chars": 0, "complete": False})]


def test_numbers_are_longer_when_spoken_and_cut_at_a_word_of_the_text() -> None:
    text = "It is 1234567 metres long, no more."
    said = "It is one million two hundred thirty-four thousand five hundred sixty-seven metres long, no more."
    say = Say("0", text, len(said))
    say.put(0, 144_000, 24_000, said, [])
    assert say.report(0, False)["text"] == ""
    assert say.report(72_000, False)["text"] == "It is 1234567"
    assert say.report(108_000, False)["text"] == "It is 1234567 metres long,"


def test_phones_move_with_the_silence_that_late_sound_leaves() -> None:
    utterance = Utterance(24_000, 0.0)
    quarter = np.full(6_000, 0.5, np.float32)
    utterance.feed(quarter, 24_000, 0.0, [Phone("a", 0.0, 0.3)])
    assert utterance.next_phones() == [Phone("a", 0.0, 0.3)]
    utterance.fill()
    utterance.feed(quarter, 24_000, 0.0, [Phone("m", 0.05, 0.2)])
    (told,) = utterance.next_phones()
    assert (told.ipa, told.start_s, told.end_s) == ("m", pytest.approx(0.34), pytest.approx(0.49))
    assert utterance.next_phones() == []
