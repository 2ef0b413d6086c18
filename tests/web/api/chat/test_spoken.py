"""WS /chat with a live session: answers are spoken while they are written, and cut from the history where they were interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.service.live_speech import LiveSpeech
from core.web.live.live_protocol import SPEAKS
from tests.support.chat_caller import ChatCaller, chatting, resume
from tests.support.chat_server import ANSWER, ChatServer
from tests.support.live_caller import START, Caller, call, run
from tests.support.serving import Serving
from tests.support.speech_server import SpeechServer

SENTENCES = ["I am Ada, the first of them.", "I was born in London.", "What else would you like to know?"]


@contextlib.asynccontextmanager
async def talking(server: Serving, token: str, **options: Any) -> AsyncIterator[tuple[ChatCaller, Caller]]:
    """A conversation over a live session whose video somebody watches."""
    async with call(server, token) as live:
        await live.say(**START)
        ready = await live.event("ready")
        watching = asyncio.ensure_future(_watch(live))
        binding = {"session": ready["session"], "secret": ready["secret"]}
        async with chatting(server, type="start", mode="live", live=binding, **options) as caller:
            await caller.event("ready")
            yield caller, live
            await caller.send(type="close")
            await caller.closed()
        watching.cancel()
        await live.say(type="close")


async def _watch(live: Caller) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            await live.until(lambda: False)


async def eventually(true: Any) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.02)


def of(live: Caller, kind: str) -> list[dict[str, Any]]:
    return [event for event in live.events if event["type"] == kind]


def test_an_answer_is_spoken_sentence_by_sentence(server: Serving, token: str) -> None:
    async def test() -> None:
        async with talking(server, token) as (caller, live):
            await caller.say("Who are you?")
            latency = await caller.event("latency")
            stages = [latency[f"{stage}_s"] for stage in ("first_token", "first_sentence", "first_sound", "first_picture")]
            assert stages == sorted(stages)
            await eventually(lambda: len(of(live, "said")) == 3)
            assert [event["text"] for event in of(live, "saying")] == SENTENCES
            assert [event["id"] for event in of(live, "said")] == ["chat-0-0", "chat-0-1", "chat-0-2"]
            assert all(event["complete"] for event in of(live, "said"))
            await caller.event("spoken", turn=0)
            assert caller.of("cut") == []

    run(test)


def test_it_is_spoken_while_the_model_still_writes(server: Serving, model: ChatServer, token: str) -> None:
    async def test() -> None:
        model.go_on.clear()
        async with talking(server, token) as (caller, live):
            await caller.say("stalling")
            await caller.event("latency")
            assert caller.of("answer_done") == []
            model.go_on.set()
            await caller.event("answer_done")
            await eventually(lambda: len(of(live, "said")) == 3)

    run(test)


@pytest.mark.parametrize("how", ["interrupt", "message"])
def test_what_was_not_spoken_is_cut_from_the_history(server: Serving, model: ChatServer, token: str, how: str) -> None:
    async def test() -> None:
        async with talking(server, token) as (caller, live):
            await caller.say("Who are you?")
            await caller.event("answer_done")
            await eventually(lambda: len(of(live, "saying")) == 2)
            seen = len(live.media)
            if how == "interrupt":
                await caller.send(type="interrupt")
            else:
                await caller.say("And who else?")
            cut = await caller.event("cut")
            assert cut["text"].startswith(SENTENCES[0])
            assert ANSWER.startswith(cut["text"])
            assert len(cut["text"]) < len(ANSWER)
            if how == "interrupt":
                await eventually(lambda: of(live, "interrupted"))
                silent_from = next(at for at in range(seen, len(live.media) + 1) if at == len(live.media) or live.media[at][0][3] == 1)
                await eventually(lambda: len(live.media) > silent_from + 10)
                assert not any(head[2] & SPEAKS for head, _ in live.media[silent_from:])
                await caller.say("And who else?")
            await caller.event("answer_done", turn=1)
            said = [message["content"] for message in model.requests[-1]["messages"]][1:]
            assert said == ["Who are you?", cut["text"], "And who else?"]

    run(test)


def test_an_interrupt_before_anything_is_heard_leaves_nothing_of_the_answer(server: Serving, model: ChatServer, token: str) -> None:
    async def test() -> None:
        model.go_on.clear()
        async with talking(server, token) as (caller, _):
            await caller.say("stalling")
            await caller.until(lambda: caller.of("text"))
            await caller.send(type="interrupt")
            assert (await caller.event("answer_done"))["reason"] == "interrupted"
            assert caller.of("cut")[0]["text"] == ""
            await caller.say("Hello")
            await caller.event("answer_done", turn=1)
            assert [message["content"] for message in model.requests[-1]["messages"]][1:] == ["stalling", "…", "Hello"]
        model.go_on.set()

    run(test)


def test_an_interrupt_without_an_answer_leaves_the_session_alone(server: Serving, token: str) -> None:
    async def test() -> None:
        async with talking(server, token) as (caller, live):
            await caller.send(type="interrupt")
            await live.say(type="say", text="Something of the client's own.")
            await eventually(lambda: of(live, "said"))
            assert of(live, "said")[0]["complete"]

    run(test)


def test_what_a_model_writes_is_text_and_no_markup(server: Serving, voices: SpeechServer, token: str) -> None:
    async def test() -> None:
        async with talking(server, token) as (caller, live):
            await caller.say("markup")
            done = await caller.event("answer_done")
            assert done["text"] == "<speak><break time='9s'/>Look, <b>markup</b> & more.</speak> The end."
            await eventually(lambda: of(live, "said") and of(live, "said")[-1]["text"].endswith("The end."))
            assert not any("<" in request["input"] for request in voices.requests)
            assert caller.of("error") == []

    run(test)


def test_a_voice_that_fails_is_told_and_the_text_goes_on(server: Serving, token: str) -> None:
    async def test() -> None:
        async with talking(server, token, voice="service-busy") as (caller, live):
            await caller.say("Who are you?")
            assert (await caller.event("answer_done"))["text"] == ANSWER
            await eventually(lambda: len(of(live, "say_failed")) == 3)
            assert of(live, "say_failed")[0]["error"]["message"] == "The speech service has too much to do."

    run(test)


def test_the_conversation_goes_on_over_another_live_session(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as first, call(server, token) as second:
            ready = []
            for live in (first, second):
                await live.say(**START)
                ready.append(await live.event("ready"))
            bindings = [{"session": about["session"], "secret": about["secret"]} for about in ready]
            async with chatting(server, type="start", mode="live", live=bindings[0]) as caller:
                chat = await caller.event("ready")
            await first.say(type="close")
            async with chatting(server, **resume(chat, live=bindings[1])) as caller:
                await caller.say("Who are you?")
                await second.event("saying")
                await caller.event("answer_done")
            async with chatting(server, **resume(chat, live=bindings[0])) as caller:
                assert (await caller.event("error"))["error"]["type"] == "UnknownLiveSession"
            await second.say(type="close")

    run(test)


def test_without_its_live_session_an_answer_is_text(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as live:
            await live.say(**START)
            ready = await live.event("ready")
            binding = {"session": ready["session"], "secret": ready["secret"]}
            async with chatting(server, type="start", mode="live", live=binding) as caller:
                await live.say(type="close")
                await eventually(lambda: ready["session"] not in server.context.live._sessions)
                await caller.say("Who are you?")
                assert (await caller.event("answer_done"))["text"] == ANSWER
                assert (await caller.event("latency"))["first_picture_s"] is None

    run(test)


def test_a_sentence_that_is_taken_while_the_user_interrupts_is_not_spoken(
    server: Serving, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    say = LiveSpeech.say

    def slow(self: LiveSpeech, *arguments: Any) -> Any:
        begun.set()
        go_on.wait(30)
        return say(self, *arguments)

    monkeypatch.setattr(LiveSpeech, "say", slow)

    async def test() -> None:
        async with talking(server, token) as (caller, live):
            await caller.say("Who are you?")
            await asyncio.to_thread(begun.wait, 30)
            await caller.send(type="interrupt")
            assert (await caller.event("cut"))["text"] == ""
            go_on.set()
            await eventually(lambda: of(live, "said"))
            assert of(live, "said")[0]["chars"] == 0
            await caller.say("Hello")
            await eventually(lambda: [event for event in of(live, "said") if event["id"] == "chat-1-2"])
            assert [event["id"] for event in of(live, "saying")] == ["chat-1-0", "chat-1-1", "chat-1-2"]

    run(test)


def test_a_sentence_that_the_voice_cannot_say_is_told_and_the_others_are_spoken(server: Serving, token: str) -> None:
    async def test() -> None:
        async with talking(server, token, voice="espeak-en") as (caller, live):
            await caller.say("foreign")
            told = await caller.event("error")
            assert told["error"]["type"] == "TextError"
            await eventually(lambda: of(live, "said"))
            assert of(live, "said")[0]["text"] == "I say it in English."
            assert of(live, "said")[0]["id"] == "chat-0-1"

    run(test)


def test_an_answer_that_breaks_off_is_spoken_as_far_as_it_came_and_can_be_interrupted(server: Serving, token: str) -> None:
    async def test() -> None:
        async with talking(server, token) as (caller, live):
            await caller.say("dropping")
            assert (await caller.event("answer_done"))["reason"] == "failed"
            await caller.event("spoken", turn=0)
            assert [event["text"] for event in of(live, "saying")] == SENTENCES[:1]
            await caller.say("dropping")
            await caller.event("answer_done", turn=1)
            await caller.send(type="interrupt")
            cut = await caller.event("cut", turn=1)
            assert len(cut["text"]) < len(SENTENCES[0])

    run(test)
