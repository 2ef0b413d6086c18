"""WS /live with texts: spoken while they are synthesised, in turn, interruptible, refused without an end of the session, and said once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from core.service import live_speech
from core.studio import Studio
from core.web.live.live_protocol import SOUND, SPEAKS
from tests.support.live_caller import START, Caller, call, run, speech
from tests.support.paths import PORTRAIT, ROOT
from tests.support.serving import KEY, Serving, serving, wait_for
from tests.support.speech_server import KEY as SPEECH_KEY
from tests.support.speech_server import SpeechServer

TEXT = "One two three. And four more words. The last of them."
SOUND_MS = 20
"""Of each character, as the speech server of the tests speaks."""


@pytest.fixture(scope="module")
def server(studio: Studio, voices: SpeechServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    settings: dict[str, Any] = {
        "speech_url": voices.url, "speech_key": SPEECH_KEY, "voice": "service-alloy", "max_text_chars": 200, "says_per_minute": 1000,
        "speech_voices": "alloy,busy,broken,dropping,stalling",
    }  # fmt: skip
    with serving(studio, tmp_path_factory.mktemp("server"), max_live=3, owner_max_live=2, **settings) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_session_is_refused(never_too_busy: None) -> None:
    pass


async def begin(caller: Caller) -> dict[str, Any]:
    await caller.say(**START, format="jpeg")
    return await caller.event("ready")


def of(kind: str, *callers: Caller) -> list[dict[str, Any]]:
    return [event for caller in callers for event in caller.events if event["type"] == kind]


def sound(caller: Caller) -> np.ndarray[Any, np.dtype[np.int16]]:
    """All that was spoken."""
    return np.frombuffer(b"".join(data for head, data in caller.media if head[1] == SOUND and head[2] & SPEAKS), "<i2")


def test_a_text_is_spoken_sentence_by_sentence(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            ready = await begin(caller)
            await caller.say(type="say", text=TEXT, id="mine")
            said = await caller.event("said")
            assert {name: said[name] for name in ("id", "text", "chars", "complete")} == {
                "id": "mine", "text": TEXT, "chars": len(TEXT), "complete": True,
            }  # fmt: skip
            sentences = ["One two three.", "And four more words.", "The last of them."]
            assert [event["text"] for event in of("saying", caller)] == sentences
            length_s = len(sound(caller)) / ready["sound_rate_hz"]
            assert length_s == pytest.approx(sum(map(len, sentences)) * SOUND_MS / 1000, abs=0.1)
            await caller.say(type="close")

    run(test)


def test_it_is_spoken_while_the_rest_is_still_synthesised(server: Serving, voices: SpeechServer, token: str) -> None:
    """The voice stops in the middle of the first sentence; what it said by then is heard."""

    async def test() -> None:
        voices.go_on.clear()
        async with call(server, token) as caller:
            await begin(caller)
            await caller.say(type="say", text="This is a sentence of a length that is long enough for it.", voice="service-stalling")
            await caller.event("saying")
            await caller.say(type="interrupt")
            said = await caller.event("said")
            assert not said["complete"]
            assert caller.events.index(said) > [event["type"] for event in caller.events].index("interrupted")
            await caller.say(type="say", text="And then this.", speed=1)
            await caller.until(lambda: len(of("said", caller)) == 2)
            assert of("said", caller)[1]["complete"]
            assert not voices.go_on.is_set()  # the voice that stopped keeps nobody waiting
            await caller.say(type="close")
        voices.go_on.set()

    run(test)


def test_an_interrupt_drops_the_texts_that_wait(server: Serving, voices: SpeechServer, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await begin(caller)
            for number in range(5):
                await caller.say(type="say", text=f"This is the long text number {number}, of which nothing comes after the interrupt.")
            await caller.event("saying")
            await caller.say(type="interrupt")
            await caller.until(lambda: len(of("said", caller)) == 5)
            assert [event["id"] for event in of("said", caller)] == ["0", "1", "2", "3", "4"]
            assert [event["chars"] for event in of("said", caller)][1:] == [0, 0, 0, 0]
            seen = len(caller.media)
            asked = len(voices.requests)
            await caller.until(lambda: len(caller.media) > seen + 20)
            assert not any(head[2] & SPEAKS for head, _ in caller.media[seen:])
            await asyncio.sleep(0.1)
            assert len(voices.requests) == asked
            await caller.say(type="close")

    run(test)


def test_sound_and_texts_are_heard_in_turn(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            ready = await begin(caller)
            await caller.socket.send(speech(1.0))
            await caller.say(type="say", text="Some words in between.")
            await caller.socket.send(speech(1.0))
            await caller.say(type="end")
            await caller.event("said")
            await caller.until(lambda: len(sound(caller)) >= (2.0 + 22 * SOUND_MS / 1000 - 0.1) * ready["sound_rate_hz"])
            rate, tone = ready["sound_rate_hz"], sound(caller)[round(1.1 * ready["sound_rate_hz"]) :][:4096]
            assert np.argmax(np.abs(np.fft.rfft(tone))) * rate / 4096 == pytest.approx(220, abs=15)
            await caller.say(type="close")

    run(test)


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        ({"text": ""}, "TextError", "empty"),
        ({"text": "x" * 201}, "TextError", "201 characters"),
        ({"text": "\x07"}, "TextError", "control character"),
        ({"text": "Hello.", "voice": "nobody"}, "OptionError", "nobody"),
        ({"text": "Hello.", "speed": 9}, "OptionError", "speed is 9"),
        ({"text": "<speak>Hello"}, "TextError", "SSML"),
        ({"text": "Hello.", "voice": "service-busy"}, "BusyError", "too much to do"),
        ({"text": "Hello.", "voice": "service-broken"}, "EngineUnavailable", "500"),
    ],
)
def test_what_cannot_be_said_is_told_and_the_session_goes_on(
    server: Serving, token: str, message: dict[str, Any], kind: str, words: str
) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await begin(caller)
            await caller.say(type="say", id="bad", **message)
            failed = await caller.event("say_failed")
            assert (failed["id"], failed["error"]["type"]) == ("bad", kind)
            assert words in failed["error"]["message"]
            await caller.say(type="say", id="good", text="All is well.")
            await caller.until(lambda: any(event["id"] == "good" for event in of("said", caller)))
            await caller.say(type="close")

    run(test)


def test_speech_that_breaks_off_is_told_with_what_was_spoken(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await begin(caller)
            await caller.say(type="say", text=TEXT, voice="service-dropping")
            said = await caller.event("said")
            assert of("say_failed", caller)[0]["id"] == said["id"]
            assert not said["complete"]
            await caller.say(type="close")

    run(test)


def test_only_so_many_texts_wait(server: Serving, voices: SpeechServer, token: str) -> None:
    async def test() -> None:
        voices.go_on.clear()
        async with call(server, token) as caller:
            await begin(caller)
            for _ in range(live_speech.MAX_WAITING + 2):
                await caller.say(type="say", text="Much to say here.", voice="service-stalling")
            failed = await caller.event("say_failed")
            assert (failed["error"]["type"], failed["id"]) == ("TooMany", str(live_speech.MAX_WAITING + 1))
            await caller.say(type="interrupt")
            await caller.until(lambda: len(of("said", caller)) == live_speech.MAX_WAITING + 1)
            await caller.say(type="close")
        voices.go_on.set()

    run(test)


def test_who_says_too_much_in_a_minute_is_told_to_wait(studio: Studio, voices: SpeechServer, server: Serving, token: str) -> None:
    async def test() -> None:
        limit = server.context.live._source._says
        async with call(server, token) as caller:
            await begin(caller)
            limit._per_minute = 2
            limit._left.clear()
            for _ in range(3):
                await caller.say(type="say", text="Hello.")
            failed = await caller.event("say_failed")
            assert (failed["id"], failed["error"]["message"]) == ("2", "More than 2 texts to say in a minute.")
            await caller.say(type="close")
        limit._per_minute = 1000
        limit._left.clear()

    run(test)


def test_a_client_that_comes_back_misses_no_event_and_nothing_is_said_twice(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            ready = await begin(caller)
            await caller.say(type="say", text=TEXT, id="first")
            await caller.say(type="say", text="Only once.", id="second")
            await caller.event("saying")
            caller.socket.transport.abort()
        session = server.context.live._sessions[ready["session"]]
        await asyncio.to_thread(wait_for, session.free.is_set)
        got = [event["event"] for event in caller.events if "event" in event]
        async with call(server, token) as again:
            await again.say(type="resume", session=ready["session"], secret=ready["secret"], received=caller.sequences()[-1],
                            event=got[-1], next=0)  # fmt: skip
            await again.say(type="say", text=TEXT, id="first")
            await again.say(type="say", text="Only once.", id="second")
            await again.say(type="say", text="A third.", id="third")
            await again.until(lambda: any(event.get("id") == "third" for event in of("said", again)))
            assert [event["id"] for event in of("said", caller, again)] == ["first", "second", "third"]
            assert [event["text"] for event in of("saying", caller, again)].count("Only once.") == 1
            numbers = [event["event"] for one in (caller, again) for event in one.events if "event" in event]
            assert numbers == list(range(len(numbers)))
            await again.say(type="close")

    run(test)


def test_no_thread_is_left_of_a_session_that_ends_in_the_middle_of_a_text(server: Serving, voices: SpeechServer, token: str) -> None:
    async def test() -> None:
        voices.go_on.clear()
        async with call(server, token) as caller:
            ready = await begin(caller)
            await caller.say(type="say", text="This is a sentence of a length that is long enough for it.", voice="service-stalling")
            await caller.event("saying")
            speech_of_it = server.context.live._sessions[ready["session"]].speech
            await caller.say(type="close")
        voices.go_on.set()
        await asyncio.to_thread(wait_for, lambda: not speech_of_it._works)

    run(test)


def test_the_example_says_a_text(server: Serving, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "client_live.py"), str(PORTRAIT), str(tmp_path / "video.mp4")]
    environment = {**os.environ, "TALKING_HEAD_KEY": KEY, "NO_PROXY": "127.0.0.1"}
    options = ["--server", server.url, "--say", TEXT]
    ended = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "saying, saying, saying, said" in ended.stdout.replace("idle, ", "").replace("speaking, ", "").replace("ack, ", "")
    with av.open(str(tmp_path / "video.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) >= len(TEXT) * SOUND_MS // 40
