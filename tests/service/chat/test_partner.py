"""The language model on a real server with OpenAI's protocol: its stream, its failures in clear words, and what must not be told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import SecretStr

from core.errors import BusyError, TalkingHeadError
from core.service.chat import partner as partner_module
from core.service.chat.partner import Echo, LanguageModel, Message, partner_of
from core.service.errors import ModelUnavailable
from core.settings import Settings
from tests.support.chat_server import ANSWER, KEY, ChatServer, chat_server
from tests.support.serving import wait_for

CODEWORD = "The codeword is plum."


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with chat_server() as server:
        yield server


def settings_of(server: ChatServer, **more: Any) -> Settings:
    usual = {"chat_url": server.url, "chat_key": SecretStr(KEY), "chat_model": "ada", "chat_prompt": "Be Ada."}
    return Settings(**{**usual, **more})


def asked(server: ChatServer, text: str, before: tuple[Message, ...] = (), **more: Any) -> str:
    async def ask() -> str:
        model = partner_of(settings_of(server, **more), echo=False)
        try:
            return "".join([piece async for piece in model.answer([*before, Message("user", text)])])
        finally:
            await model.close()

    return asyncio.run(ask())


def test_the_answer_comes_as_it_is_written(server: ChatServer) -> None:
    before = (Message("user", "Hello"), Message("assistant", "Yes?"))
    assert asked(server, "Who are you?", before) == ANSWER
    request = server.requests[-1]
    assert (request["path"], request["model"], request["stream"]) == ("/v1/chat/completions", "ada", True)
    assert [(message["role"], message["content"]) for message in request["messages"]] == [
        ("system", "Be Ada."), ("user", "Hello"), ("assistant", "Yes?"), ("user", "Who are you?"),
    ]  # fmt: skip


def test_a_server_that_does_not_stream_will_do(server: ChatServer) -> None:
    assert asked(server, "whole") == ANSWER


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("busy", BusyError, "The language model has too much to do."),
        ("broken", ModelUnavailable, "The language model answered 500: The server had an error."),
        ("strange", ModelUnavailable, "The language model answered 400."),
        ("redirect", ModelUnavailable, "The language model answered 307."),
        ("dropping", ModelUnavailable, "The language model broke off in the middle of an answer."),
        ("silent", ModelUnavailable, "The language model sent no answer."),
        ("long line", ModelUnavailable, "The language model sent something other than an answer."),
        ("error inside", ModelUnavailable, "The language model answered 500: Overloaded."),
    ],
)
def test_a_failure_is_told_in_a_sentence(server: ChatServer, text: str, kind: type[TalkingHeadError], words: str) -> None:
    with pytest.raises(kind) as error:
        asked(server, text)
    assert error.value.message == words
    assert error.value.hint
    if kind is BusyError:
        assert error.value.parameters == {"retry_after_s": 7}
    assert "/v1/elsewhere" not in [request["path"] for request in server.requests]


def test_a_server_that_is_silent_or_slow_is_given_up(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.go_on.clear()
    with pytest.raises(ModelUnavailable, match="took too long for one answer"):  # it sends signs of life, and no words
        asked(server, "stalling", chat_answer_s=0.3)
    server.go_on.set()
    with pytest.raises(ModelUnavailable, match=r"cannot be reached or broke off \(ConnectError\)"):
        asked(ChatServer(url="http://127.0.0.1:9/v1"), "Hello")
    monkeypatch.setattr(partner_module, "MAX_STREAM_BYTES", 100_000)
    with pytest.raises(ModelUnavailable, match="sent more than"):
        asked(server, "endless")


def test_the_key_and_what_is_said_are_in_no_message_and_no_log(server: ChatServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert asked(server, CODEWORD) == ANSWER
    with pytest.raises(ModelUnavailable) as error:
        asked(server, CODEWORD, chat_key=SecretStr("a wrong but secret key"))
    assert error.value.message == "The language model refused the key (401)."
    told = f"{caplog.text} {error.value!r} {error.value.hint} {Message('user', CODEWORD)!r} {settings_of(server)!r}"
    for secret in (KEY, "wrong but secret", CODEWORD, "born in London"):
        assert secret not in told


def test_who_stops_listening_ends_the_request_at_once(server: ChatServer) -> None:
    async def leave() -> None:
        server.go_on.clear()
        hung_up = server.hung_up
        model = LanguageModel(settings_of(server), server.url)
        async with aclosing(model.answer([Message("user", "stalling")])) as pieces:
            async for _ in pieces:
                break
        await asyncio.to_thread(wait_for, lambda: server.hung_up > hung_up)
        waiting = asyncio.ensure_future(anext(model.answer([Message("user", "stalling")])))
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await model.close()
        server.go_on.set()

    asyncio.run(leave())


def test_without_a_model_it_is_said_how_to_set_one_or_the_echo_answers() -> None:
    for settings, echo in ((Settings(), False), (Settings(chat_echo=False), True)):
        with pytest.raises(ModelUnavailable, match="No language model is set") as error:
            partner_of(settings, echo)
        assert "TALKING_HEAD_CHAT_URL" in error.value.hint
    echo = partner_of(Settings(), echo=True)
    assert (echo.name, echo.echo) == ("Echo", True)

    async def answer(*messages: Message) -> str:
        return "".join([piece async for piece in Echo().answer(messages)]).strip()

    first = Message("user", "Good\nmorning")
    assert asyncio.run(answer(first)) == "I am the built-in echo, because no language model is set. You said: Good morning"
    assert asyncio.run(answer(first, Message("assistant", "Yes."), Message("user", "x" * 500))) == f"You said: {'x' * 400} and so on"


def test_the_server_of_these_tests_speaks_the_protocol_that_openais_client_knows(server: ChatServer) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "Who are you?"}]
        events = client.chat.completions.create(model="ada", messages=messages, stream=True)
        assert "".join(event.choices[0].delta.content or "" for event in events if event.choices) == ANSWER
        messages = [{"role": "user", "content": "busy"}]
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="ada", messages=messages, stream=True)
