"""WS /chat and POST /chat as text: streamed, remembered, resumed, refused; with the echo where there is no model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.service.chat import conversation, conversations, history
from core.studio import Studio
from core.web.live import chat_socket
from tests.support.chat_caller import chatting, resume
from tests.support.chat_server import ANSWER, ChatServer
from tests.support.live_caller import run
from tests.support.serving import OTHER_KEY, Serving, error, serving

START = {"type": "start", "mode": "text"}


def test_an_answer_is_told_as_it_is_written(server: Serving, model: ChatServer) -> None:
    async def test() -> None:
        async with chatting(server, **START) as caller:
            ready = await caller.event("ready")
            assert ready["partner"] == {"name": "gpt-4o-mini", "echo": False}
            assert (ready["messages"], ready["answering"], ready["resumed"]) == ([], None, False)
            await caller.say("Who are you?")
            done = await caller.event("answer_done")
            assert (done["text"], done["reason"], done["turn"]) == (ANSWER, "end", 0)
            pieces = [event["text"] for event in caller.of("text")]
            assert len(pieces) > 10
            assert "".join(pieces) == ANSWER
            latency = await caller.event("latency")
            assert 0 < latency["first_token_s"] <= latency["first_sentence_s"]
            assert latency["first_picture_s"] is None
            await caller.say("And who else?")
            await caller.event("answer_done", turn=1)
            assert [message["content"] for message in model.requests[-1]["messages"]][1:] == ["Who are you?", ANSWER, "And who else?"]
            numbers = [event["event"] for event in caller.events if "event" in event]
            assert numbers == list(range(len(numbers)))
            await caller.send(type="close")
            assert await caller.closed() == 1000
        async with chatting(server, **resume(ready)) as again:
            assert (await again.event("error"))["error"]["type"] == "UnknownChat"

    run(test)


def test_a_client_that_comes_back_misses_nothing_and_is_told_nothing_twice(server: Serving, model: ChatServer) -> None:
    async def test() -> None:
        model.go_on.clear()
        async with chatting(server, **START) as caller:
            ready = await caller.event("ready")
            await caller.say("stalling", id="m1")
            await caller.until(lambda: len(caller.of("text")) == 9)
            caller.socket.transport.abort()
        model.go_on.set()
        last = caller.events[-1]["event"]
        async with chatting(server, **resume(ready, event=last)) as again:
            await again.say("stalling", id="m1")  # it does not know whether it arrived
            await again.event("latency")
            told = [event for event in (*caller.events, *again.events) if "event" in event]
            assert [event["event"] for event in told] == list(range(len(told)))
            assert "".join(event["text"] for event in told if event["type"] == "text") == ANSWER
            assert len([event for event in told if event["type"] == "answer"]) == 1
        async with chatting(server, **resume(ready)) as reloaded:  # such as a page that was loaded again
            messages = (await reloaded.event("ready"))["messages"]
            assert [(message["role"], message["text"]) for message in messages] == [("user", "stalling"), ("assistant", ANSWER)]

    run(test)


def test_a_page_that_is_loaded_again_in_the_middle_sees_what_is_there(server: Serving, model: ChatServer) -> None:
    async def test() -> None:
        model.go_on.clear()
        async with chatting(server, **START) as caller:
            ready = await caller.event("ready")
            await caller.say("stalling")
            await caller.until(lambda: len(caller.of("text")) == 9)
        async with chatting(server, **resume(ready)) as again:
            answering = (await again.event("ready"))["answering"]
            model.go_on.set()
            await again.event("answer_done")
            assert answering["text"] + "".join(event["text"] for event in again.of("text")) == ANSWER

    run(test)


def test_where_too_much_was_missed_all_is_told_anew(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.service.chat.event_log.MAX_EVENTS", 5)

    async def test() -> None:
        async with chatting(server, **START) as caller:
            ready = await caller.event("ready")
            await caller.say("Hello")
            await caller.event("latency")
        async with chatting(server, **resume(ready, event=2)) as again:
            await again.until(lambda: len(again.of("ready")) == 2)
            assert again.of("ready")[1]["messages"][1]["text"] == ANSWER

    run(test)


def test_a_new_message_ends_the_answer_before(server: Serving, model: ChatServer) -> None:
    async def test() -> None:
        model.go_on.clear()
        async with chatting(server, **START) as caller:
            hung_up = model.hung_up
            await caller.say("stalling")
            await caller.until(lambda: len(caller.of("text")) == 9)
            await caller.say("Stop. Who are you?")
            done = await caller.event("answer_done", turn=1)
            assert caller.of("answer_done")[0]["reason"] == "interrupted"
            written = " ".join(ANSWER.split(" ")[:9])
            assert caller.of("answer_done")[0]["text"] == written
            assert done["reason"] == "end"
            said = [message["content"].strip() for message in model.requests[-1]["messages"]]
            assert said[1:] == ["stalling", written, "Stop. Who are you?"]
            while model.hung_up == hung_up:
                await asyncio.sleep(0.02)
        model.go_on.set()

    run(test)


@pytest.mark.parametrize(
    ("text", "kind"), [("busy", "BusyError"), ("broken", "ModelUnavailable"), ("dropping", "ModelUnavailable"), ("", "InputError"),
                       (" \x07", "InputError"), ("x" * 4001, "InputError")]
)  # fmt: skip
def test_a_failure_is_told_and_the_conversation_goes_on(server: Serving, text: str, kind: str) -> None:
    async def test() -> None:
        async with chatting(server, **START) as caller:
            await caller.say(text)
            failed = await caller.event("error")
            assert failed["error"]["type"] == kind
            await caller.say("Hello")
            await caller.event("answer_done", text=ANSWER)

    run(test)


def test_an_answer_without_end_is_cut_and_the_request_ends(server: Serving, model: ChatServer) -> None:
    async def test() -> None:
        async with chatting(server, **START) as caller:
            hung_up = model.hung_up
            await caller.say("endless")
            done = await caller.event("answer_done")
            assert (len(done["text"]), done["reason"]) == (999, "length")  # and a space at the end
            while model.hung_up == hung_up:
                await asyncio.sleep(0.02)

    run(test)


@pytest.mark.parametrize(
    "first",
    ["garbage", "[1]", '{"type": "start"}', '{"type": "start", "mode": "live"}', '{"type": "message", "text": "x"}', "1" * 70_000,
     '{"type": "start", "mode": "live", "live": {"session": "x", "secret": "y"}}', '{"type": "start", "mode": "clips", "avatar": "x"}',
     '{"type": "start", "mode": "clips", "avatar": "TOKEN", "voice": "x"}', '{"type": "resume", "chat": "x", "secret": "y"}'],
)  # fmt: skip
def test_a_bad_first_message_is_explained(server: Serving, token: str, first: str) -> None:
    async def test() -> None:
        async with chatting(server) as caller:
            await caller.socket.send(first.replace("TOKEN", token))
            assert (await caller.event("error"))["error"]["message"]
            assert await caller.closed() == 1008

    run(test)


def test_a_conversation_is_its_owners_alone(server: Serving) -> None:
    async def test() -> None:
        async with chatting(server, **START) as caller:
            ready = await caller.event("ready")
            for key, about in ((OTHER_KEY, {}), (None, {"secret": "wrong"})):
                async with chatting(server, **({"key": key} if key else {}), **{**resume(ready), **about}) as other:
                    assert (await other.event("error"))["error"]["type"] == "UnknownChat"

    run(test)


def test_idle_conversations_make_room_and_old_ones_are_forgotten(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "MAX_OF_OWNER", 2)

    async def test() -> None:
        known = []
        for _ in range(3):
            async with chatting(server, **START) as caller:
                known.append(await caller.event("ready"))
        async with chatting(server, **resume(known[0])) as caller:
            await caller.event("error")
        async with chatting(server, **resume(known[2])) as caller:
            await caller.event("ready")
        monkeypatch.setattr(conversations, "KEPT_S", -1.0)
        async with chatting(server, **resume(known[2])) as caller:
            await caller.event("error")

    run(test)


def test_the_client_is_pinged(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chat_socket.PING_S == 30.0
    monkeypatch.setattr(chat_socket, "PING_S", 0.05)

    async def test() -> None:
        async with chatting(server, **START) as caller:
            await caller.until(lambda: len(caller.of("ping")) == 2)
            await caller.send(type="ping", id=7)
            assert (await caller.event("pong"))["id"] == 7

    run(test)


def test_history_is_bounded_and_begins_with_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_MESSAGES", 4)
    said = history.History()
    for turn in range(5):
        said.ask(turn, f"question {turn}")
        said.answer(turn, f"answer {turn}")
    said.ask(5, "question 5")
    assert [message.text for message in said.messages()] == ["question 4", "answer 4", "question 5"]
    said.answer(4, "answ")
    assert [message.text for message in said.messages()] == ["question 4", "answ", "question 5"]
    said.answer(4, "")
    assert [message.text for message in said.messages()] == ["question 4", "…", "question 5"]
    monkeypatch.setattr(history, "MAX_CHARS", 20)
    said.ask(6, "x" * 30)
    assert [len(message.text) for message in said.messages()] == [30]


# ---- POST /chat


def test_a_program_posts_a_message_and_goes_on(server: Serving, model: ChatServer) -> None:
    with server.client() as client:
        first = client.post("/chat", json={"message": "Who are you?"}).json()
        assert (first["text"], first["reason"], first["turn"], first["job"], first["error"]) == (ANSWER, "end", 0, "", None)
        more = {"chat": first["chat"], "secret": first["secret"]}
        assert client.post("/chat", json={"message": "And then?", **more}).json()["turn"] == 1
        assert len(model.requests[-1]["messages"]) == 4
        assert error(client.post("/chat", json={"message": "x", **more, "secret": "wrong"}), 404)["type"] == "UnknownChat"
        assert error(client.post("/chat", json={"message": "busy"}), 503)["message"] == "The language model has too much to do."
        assert client.post("/chat", json={"message": "busy"}).headers["Retry-After"] == "7"
        assert error(client.post("/chat", json={"message": "broken"}), 502)["type"] == "ModelUnavailable"
        for wrong in ({"message": ""}, {"message": "x" * 4001}, {}, {"message": "x", "surprise": 1}):
            error(client.post("/chat", json=wrong), 422)


def test_too_many_messages_are_refused(studio: Studio, model: ChatServer, tmp_path: Any) -> None:
    from tests.support.chat_server import KEY as CHAT_KEY

    with serving(studio, tmp_path, chat_url=model.url, chat_key=CHAT_KEY, chats_per_minute=1) as server, server.client() as client:
        assert client.post("/chat", json={"message": "Hello"}).status_code == 200
        told = error(client.post("/chat", json={"message": "Hello"}), 429)
        assert told["message"] == "More than 1 messages of conversations in a minute."


def test_without_a_model_posts_are_told_how_to_set_one_and_the_echo_answers_live(studio: Studio, tmp_path: Any) -> None:
    with serving(studio, tmp_path) as server:
        with server.client() as client:
            told = error(client.post("/chat", json={"message": "Hello"}), 501)
            assert told["message"] == "No language model is set."
            assert "TALKING_HEAD_CHAT_URL" in told["hint"]

        async def test() -> None:
            async with chatting(server, **START) as caller:
                assert (await caller.event("ready"))["partner"] == {"name": "Echo", "echo": True}
                await caller.say("Hello")
                done = await caller.event("answer_done")
                assert done["text"] == "I am the built-in echo, because no language model is set. You said: Hello"

        run(test)


def test_a_defect_in_an_answer_is_told_and_logged_without_what_was_said(
    server: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(language: str) -> None:
        raise ValueError(f"the codeword is {'mulp'[::-1]}")  # the line itself may be in the log

    monkeypatch.setattr(conversation, "Sentences", fails)
    with server.client() as client:
        assert error(client.post("/chat", json={"message": "Hello"}), 500)["type"] == "InternalError"
    assert "an answer failed: ValueError" in caplog.text
    assert "plum" not in caplog.text
