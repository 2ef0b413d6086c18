"""A live session that lies in another process, here on threads: all that it and its connections tell each other is pickled."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from core.service.live_messages import LiveMessage, LiveRequest
from core.service.live_source import wanted
from core.service.quotas import RateLimit
from core.service.shared.remote_session import RemoteSession
from core.service.shared.remote_speaker import RemoteSpeaker, SpeechHost
from core.service.shared.session_server import Reply, SessionServer
from core.settings import Settings
from core.speech_synthesis.base import Speech, Voice
from core.speech_synthesis.speaker import Speaker
from core.streaming.outputs import LiveEvent
from core.streaming.render_link import RenderLink
from core.types import Word
from tests.support.live_stage import rustle
from tests.support.pickled import pickled
from tests.support.render_threads import RenderThreads

VOICE = Voice("a", "A", "en-US", 16_000, "", True)
SENTENCES = ("One two.", "And three.", "The last.")
TEXT = " ".join(SENTENCES)


class Speaking(Speaker):
    """Where sessions are drawn: half a second for each sentence. spoken: texts begun."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, None)
        self.spoken = 0

    def speak(self, *request: Any) -> Iterator[Speech]:  # type: ignore[override]
        self.spoken += 1
        for number, sentence in enumerate(SENTENCES):
            words = tuple(Word(word, 0.25 * i, 0.25 * (i + 1)) for i, word in enumerate(sentence.split()))
            yield Speech(rustle(0.5, seed=number).astype("float32") / 32768, 16_000, sentence, words)


class Here:
    """A session and what draws it, in this process; all that they tell each other is pickled. It is a Line to itself.

    n_calls: by name.
    """

    def __init__(self, settings: Settings, request: LiveRequest = LiveRequest()) -> None:  # noqa: B008 - frozen
        self.request = request
        self.n_calls: Counter[str] = Counter()
        self._goes_on = threading.Event()
        self._goes_on.set()
        self.link, self.speaking = RenderLink(), Speaking(settings)
        self.speaker = RemoteSpeaker(settings, None, self.link)
        self.threads = RenderThreads(self.link, wanted(request, settings).live)
        self.threads.speech = lambda renderer: SpeechHost(
            self.speaking, lambda number, n, piece: self.speaker.take(renderer, number, n, piece)
        )
        self.server = SessionServer(settings, self.link, self.threads, self.speaker, RateLimit(1000, "texts"), 100.0)

    def begun(self, owner: str = "me") -> RemoteSession:
        reply = self.open(owner)
        assert reply.error is None
        session = RemoteSession(self, owner, self.request, "an id", "a secret", reply.value)
        session.attach()
        return session

    def open(self, owner: str) -> Reply:
        how = wanted(self.request, Settings())
        return self.server.open(owner, self.request, how.live, how.render.visemes, "an id", "a secret")

    def attach(self, owner: str, secret: str) -> Reply:
        return pickled(self.server.attach(owner, secret))

    def call(self, holder: int, name: str, *arguments: Any) -> Reply:
        self.n_calls[name] += 1
        if name == "take":
            assert self._goes_on.wait(10)
        return pickled(self.server.call(holder, name, *pickled(arguments)))

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        """What its client gives is on the way until the block ends."""
        self._goes_on.clear()
        try:
            yield
        finally:
            self._goes_on.set()

    def post(self, holder: int, name: str, *arguments: Any) -> None:
        self.call(holder, name, *arguments)


class At:
    next_number = 0


def until(session: RemoteSession, kind: str) -> list[LiveMessage]:
    """All that comes up to an event, with it."""
    messages: list[LiveMessage] = []
    deadline = time.monotonic() + 20
    while not any(isinstance(message, LiveEvent) and message.kind == kind for message in messages):
        assert time.monotonic() < deadline
        messages += session.produce(0.25)
    return messages


def wait_until(true: Any) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
