"""Speaks the sentences of an answer over a live session, and knows how much of them was heard."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from core.errors import TextError
from core.service.chat.sentences import speakable
from core.service.errors import TooMany
from core.service.held_session import HeldSession, Report
from core.service.live_messages import MediaPiece, SayRequest, Watched
from core.service.threads import on_thread
from core.streaming.outputs import LivePacket

RETRY_S = 0.25
"""How often a sentence is offered again to a session that has no room for more texts."""


class LiveVoice:
    """One answer's. Used on one event loop; `turn` tells the session's texts of this answer from others. on_sound, on_picture: called on
    the event loop when the first sound was synthesised, and when the first picture of the person speaking was made; by time.monotonic.
    """

    def __init__(
        self, session: HeldSession, turn: int, voice: str, speed: float, on_sound: Callable[[float], None],
        on_picture: Callable[[float], None],
    ) -> None:  # fmt: skip
        self._session, self._turn, self._voice, self._speed = session, turn, voice, speed
        self._on_sound, self._on_picture = on_sound, on_picture
        self._loop = asyncio.get_running_loop()
        self._sentences: list[str] = []
        self._heard: dict[int, str] = {}
        self._begun = False
        self._dropped = False
        self._all_heard = asyncio.Event()
        session.watchers.append(self._watch)

    async def say(self, sentence: str) -> None:
        """Returns when the session has taken it; waits for room. Raises TextError for what the voice cannot say (it counts as heard, for
        it was read), EngineUnavailable, OptionError.
        """
        number = len(self._sentences)
        self._sentences.append(sentence)
        request = SayRequest(speakable(sentence), self._voice, self._speed, f"chat-{self._turn}-{number}", keep=False)
        while not self._session.closed:
            try:
                await on_thread(self._taken, request, number)
                return
            except TooMany:
                await asyncio.sleep(RETRY_S)
            except TextError as error:
                self._heard[number] = sentence
                if error.code == "text_empty":  # such as a line of dashes
                    return
                raise
            finally:
                if self._dropped:
                    self._session.interrupt()  # it was taken in the moment of the interrupt

    def drop(self) -> None:
        """Ends speaking now. What was heard is known when this returns."""
        self._dropped = True
        self._session.interrupt()

    def heard(self) -> str:
        """Of all sentences so far what was spoken, joined by spaces."""
        return " ".join(filter(None, (self._heard.get(number, "").strip() for number in range(len(self._sentences)))))

    async def all_heard(self) -> None:
        """Waits until every sentence was spoken, or the session is over."""
        while len(self._heard) < len(self._sentences) and not self._session.closed:
            self._all_heard.clear()
            if len(self._heard) < len(self._sentences):
                try:
                    await asyncio.wait_for(self._all_heard.wait(), 1.0)
                except TimeoutError:
                    continue

    def let_go(self) -> None:
        if self._watch in self._session.watchers:
            self._session.watchers.remove(self._watch)

    def _taken(self, request: SayRequest, number: int) -> None:
        def ended(report: Report) -> None:
            self._heard[number] = self._sentences[number][: report["chars"]]
            self._on_loop(self._all_heard.set)

        self._session.say(request, ended, self._sound)

    def _sound(self) -> None:
        self._on_loop(self._on_sound, time.monotonic())

    def _on_loop(self, call: Callable[..., None], *arguments: float) -> None:
        with contextlib.suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(call, *arguments)

    def _watch(self, message: Watched) -> None:
        """On the thread that makes the session's video."""
        if isinstance(message, MediaPiece | LivePacket):
            if self._begun and message.speaking and (isinstance(message, LivePacket) or message.kind in ("segment", "picture")):
                self._on_loop(self._on_picture, time.monotonic())
                self.let_go()
        elif message.kind == "saying" and str(message.data["id"]).startswith(f"chat-{self._turn}-"):
            self._begun = True
