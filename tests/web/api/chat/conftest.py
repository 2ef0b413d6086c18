"""A server with a language model and a voice of the tests, and an avatar on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from core.studio import Studio
from tests.support import chat_server as chat
from tests.support import speech_server as speech
from tests.support.serving import Serving, serving


@pytest.fixture(scope="module")
def model() -> Iterator[chat.ChatServer]:
    with chat.chat_server() as server:
        yield server


@pytest.fixture(scope="module")
def server(
    studio: Studio, model: chat.ChatServer, voices: speech.SpeechServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    settings: dict[str, Any] = {
        "chat_url": model.url, "chat_key": chat.KEY, "chats_per_minute": 1000, "says_per_minute": 1000, "chat_answer_chars": 1000,
        "speech_url": voices.url, "speech_key": speech.KEY, "voice": "service-alloy", "speech_voices": "alloy,busy", "keep_results": False,
    }  # fmt: skip
    with serving(studio, tmp_path_factory.mktemp("server"), **settings) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_session_is_refused(never_too_busy: None) -> None:
    pass
