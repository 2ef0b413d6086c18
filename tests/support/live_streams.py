"""What the tests of live sessions over several processes look at: a client's stream, each frame once, and the speech in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.streaming.utterance import Utterance
from tests.support.live_caller import Caller, speech
from tests.support.streams import pictures, sound

SPEECH_S = 3.0


def stream_of(*callers: Caller) -> bytes:
    """Of the stream, each piece once."""
    pieces = {head[4]: piece for caller in callers for head, piece in caller.media}
    assert sorted(pieces) == list(range(len(pieces))), "no piece is missing"
    return b"".join(pieces[number] for number in sorted(pieces))


async def spoken(caller: Caller, times: int = 1) -> None:
    """To the end, with what the encoder keeps back of it. times: how often something was spoken by then."""
    await caller.until(lambda: sum(event["type"] == "idle" for event in caller.events) >= times)
    n = len(caller.media)
    await caller.until(lambda: len(caller.media) >= n + 3)


def last_event(caller: Caller) -> int:
    return max((event["event"] for event in caller.events if "event" in event), default=-1)


async def speak(caller: Caller, seconds: float = SPEECH_S) -> None:
    await caller.socket.send(speech(seconds))
    await caller.say(type="end")


def check_sound(stream: bytes, events: list[dict[str, Any]], seconds: float = SPEECH_S) -> int:
    """All of the speech is in the stream, from the frame on with which it began, without a gap; each time that it was spoken. How often."""
    utterance = Utterance(48_000, 0.0)
    utterance.feed(np.frombuffer(speech(seconds), "<i2").astype(np.float32) / 32768, 16_000, 0.0)
    utterance.end()
    expected = utterance.sent.take(len(utterance.sent))
    all_of_it = sound(stream)[0]
    began = [round(event["at_s"] * 48_000) for event in events if event["type"] == "speaking"]
    assert began
    for first in began:
        heard = all_of_it[first : first + len(expected)]
        assert len(heard) == len(expected)
        assert np.abs(heard - expected).max() < 0.1
        assert np.corrcoef(heard, expected)[0, 1] > 0.99
    return len(began)


def check_frames(stream: bytes) -> int:
    """Every frame once, in time. How many."""
    shown = pictures(stream)
    assert [frame.pts for frame in shown] == [600 * i for i in range(len(shown))]
    return len(shown)
