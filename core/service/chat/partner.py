"""Who answers in a conversation: a language model on a server with OpenAI's protocol, or the built-in echo."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import httpx

from core.openai_service import RemoteService, beginning_of, client_options
from core.service.errors import ModelUnavailable
from core.settings import Settings

MAX_STREAM_BYTES = 8 * 2**20
"""Of one answer as it is sent, with all that stands around its words."""
MAX_LINE_BYTES = 2**18
ECHO_WORD_S = 0.02
ECHO_CHARS = 400
"""Of a message, so many are echoed."""
_DONE = b"[DONE]"
_SERVICE = RemoteService("The language model", "chat", "Check the settings TALKING_HEAD_CHAT_…, or try again.", ModelUnavailable)

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """role: who says it. text: not empty."""

    role: Role
    text: str

    def __repr__(self) -> str:
        return f"Message({self.role}, {len(self.text)} characters)"  # what is talked about must not get into a log


class Partner(Protocol):
    """name: as people are shown it. echo: it is no language model and only repeats."""

    name: str
    echo: bool

    def answer(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """The answer to the last message, piece by piece as it comes. Closing the iterator, or cancelling who waits for it, ends it at
        once.

        Raises ModelUnavailable, BusyError.
        """

    async def close(self) -> None:
        """Ends connections."""


def partner_of(settings: Settings, echo: bool) -> Partner:
    """The model of the settings; without one the echo, where `echo` and the settings allow it. Raises ModelUnavailable."""
    if settings.chat_url is not None:
        return LanguageModel(settings, settings.chat_url)
    if echo and settings.chat_echo:
        return Echo()
    hint = "Set TALKING_HEAD_CHAT_URL, TALKING_HEAD_CHAT_KEY and TALKING_HEAD_CHAT_MODEL on the server (docs/chat.md)."
    raise ModelUnavailable("No language model is set.", hint, code="chat_not_set")


class Echo:
    """Repeats up to ECHO_CHARS of the last message, a word each ECHO_WORD_S, where no language model is set."""

    name = "Echo"
    echo = True

    async def answer(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        said = " ".join(messages[-1].text.split())
        if len(said) > ECHO_CHARS:
            said = f"{said[:ECHO_CHARS]} and so on"
        first = sum(message.role == "user" for message in messages) == 1
        about = "I am the built-in echo, because no language model is set. " if first else ""
        for word in f"{about}You said: {said}".split(" "):
            yield f"{word} "
            await asyncio.sleep(ECHO_WORD_S)

    async def close(self) -> None:
        pass


class LanguageModel:
    """Used on one event loop; nothing is sent before `answer`. url: up to the version, such as https://api.example.org/v1."""

    echo = False

    def __init__(self, settings: Settings, url: str) -> None:
        self.name = settings.chat_model
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._prompt, self._model, self._longest_s = settings.chat_prompt, settings.chat_model, settings.chat_answer_s
        key = settings.chat_key.get_secret_value() if settings.chat_key else ""
        self._client = httpx.AsyncClient(**client_options(key, settings.chat_timeout_s))

    async def close(self) -> None:
        await self._client.aclose()

    async def answer(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        prompt = [Message("system", self._prompt)] if self._prompt else []
        body = {
            "model": self._model,
            "messages": [{"role": message.role, "content": message.text} for message in (*prompt, *messages)],
            "stream": True,
        }
        until_s = time.monotonic() + self._longest_s
        try:
            async with self._client.stream("POST", self._url, json=body) as response:
                if response.status_code != 200:
                    raise _SERVICE.refused(response.status_code, response.headers, await beginning_of(response))
                words = False
                async for text in _texts(response, until_s):
                    words = words or bool(text)
                    yield text
                if not words:
                    raise _SERVICE.failed("sent no answer")
        except httpx.HTTPError as error:
            raise _SERVICE.unreachable(error) from error


async def _texts(response: httpx.Response, until_s: float) -> AsyncIterator[str]:
    """What the events of the stream carry; of a service that does not stream, the whole answer."""
    if response.headers.get("Content-Type", "").startswith("application/json"):
        whole = b""
        async for line in _lines(response, until_s, MAX_STREAM_BYTES):
            whole += line
        yield _text_in(whole, "message")[0]
        return
    async for line in _lines(response, until_s, MAX_LINE_BYTES):
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == _DONE:
            return
        text, finished = _text_in(data, "delta")
        if text:
            yield text
        if finished:
            return
    raise _SERVICE.failed("broke off in the middle of an answer")


async def _lines(response: httpx.Response, until_s: float, most: int) -> AsyncIterator[bytes]:
    """Lines of at most `most` bytes."""
    waiting, total = b"", 0
    async for chunk in response.aiter_bytes():
        total += len(chunk)
        if total > MAX_STREAM_BYTES:
            raise _SERVICE.failed(f"sent more than {MAX_STREAM_BYTES // 2**20} MiB for one answer")
        if time.monotonic() > until_s:
            raise _SERVICE.failed("took too long for one answer")
        *lines, waiting = (waiting + chunk).split(b"\n")
        if len(waiting) > most:
            raise _SERVICE.failed("sent something other than an answer")
        for line in lines:
            yield line
    if waiting:
        yield waiting


def _text_in(data: bytes, field: str) -> tuple[str, bool]:
    """The text of the first choice, and whether it is the last of it."""
    try:
        event: Any = json.loads(data)
        if "error" in event:
            raise _SERVICE.refused(500, {}, data)
        if not event.get("choices"):
            return "", False  # such as the count of tokens
        choice = event["choices"][0]
        text = (choice.get(field) or {}).get("content")
        return text if isinstance(text, str) else "", choice.get("finish_reason") is not None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _SERVICE.failed("sent something other than an answer") from None
