"""One conversation of one owner: messages in; answers as text at once, and spoken over a live session or made into videos."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
import traceback
from collections import deque
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import InputError, TalkingHeadError, TextError
from core.service.chat.clips import Clips
from core.service.chat.event_log import EventLog
from core.service.chat.history import MAX_MESSAGE_CHARS, History
from core.service.chat.latency import Latency
from core.service.chat.options import ChatOptions
from core.service.chat.partner import Partner
from core.service.chat.sentences import Sentences, cleaned
from core.service.chat.voice import LiveVoice
from core.service.held_session import HeldSession
from core.service.job_views import InternalError, error_view
from core.service.service import Service

logger = logging.getLogger(__name__)

REMEMBERED_IDS = 100
"""Of messages that were taken; one of them that comes again is not taken twice."""
Reason = Literal["end", "length", "interrupted", "failed"]


@dataclass(eq=False)
class _Turn:
    """The answer to one message. reason: why its text is over, None while it is not. voice: who speaks it live. job: its video's.
    unwanted: the video's making was given up, perhaps before it had a job.
    """

    number: int
    latency: Latency
    text: str = ""
    reason: Reason | None = None
    error: Exception | None = None
    video_error: dict[str, str] | None = None
    voice: LiveVoice | None = None
    job: str = ""
    unwanted: bool = False


class Conversation:
    """Used on one event loop. live: the session that speaks, which the client may bind anew. used_s: when something was said last.
    idle_job: of the video of the person at rest; "" while there is none.
    """

    def __init__(self, service: Service, owner: str, partner: Partner, options: ChatOptions, live: HeldSession | None = None) -> None:
        self._service, self.owner, self.partner, self.options, self.live = service, owner, partner, options, live
        self.id, self.secret = secrets.token_urlsafe(16), secrets.token_urlsafe(24)
        self.log, self.history = EventLog(), History()
        self.used_s = time.monotonic()
        self._turns = 0
        self._ids: deque[str] = deque(maxlen=REMEMBERED_IDS)
        self._turn: _Turn | None = None
        self._answering: asyncio.Task[None] | None = None
        self._rendering: set[asyncio.Task[None]] = set()
        self._filmed: list[_Turn] = []
        self._clips = Clips(service, owner, options)
        self.idle_job = ""
        self._making_idle = False
        self.shows_idle = False

    @property
    def busy(self) -> bool:
        """Something is written or spoken, or a video is made."""
        return self._answering is not None and not self._answering.done() or bool(self._rendering)

    def say(self, text: str, id: str = "") -> int:
        """A message: what is still being said ends, and the answer to this one begins. The turn's number; -1 for an `id` that was taken
        before. Raises InputError.
        """
        text = cleaned(text).strip()
        if not text:
            raise InputError("The message is empty.", "Write something.", code="message_empty")
        if len(text) > MAX_MESSAGE_CHARS:
            hint = f"At most {MAX_MESSAGE_CHARS} are accepted: shorten it."
            parameters = {"chars": len(text), "max_chars": MAX_MESSAGE_CHARS}
            raise InputError(f"The message has {len(text)} characters.", hint, code="message_too_long", parameters=parameters)
        if id and id in self._ids:
            return -1
        if id:
            self._ids.append(id)
        turn = _Turn(self._turns, Latency())
        self._end_answer()
        self.used_s = time.monotonic()
        self._turns += 1
        self.history.ask(turn.number, text)
        self.log.add("answer", {"turn": turn.number, "message": text})
        before, self._turn = self._answering, turn
        self._answering = asyncio.ensure_future(self._answer(turn, before))
        return turn.number

    async def ended(self) -> dict[str, Any]:
        """Waits for the latest answer: its turn, text, reason, the job that makes its video, and its latency. Raises why it failed."""
        turn, answering = self._turn, self._answering
        assert turn is not None  # noqa: S101 - asked after `say`
        assert answering is not None  # noqa: S101
        await asyncio.wait((answering,))
        if turn.error is not None:
            raise turn.error
        return {"turn": turn.number, "text": turn.text, "reason": turn.reason, "job": turn.job,
                "error": turn.video_error, "latency": turn.latency.view()}  # fmt: skip

    def answering(self) -> dict[str, Any] | None:
        """What is written so far of an answer that is not over."""
        turn = self._turn
        return None if turn is None or turn.reason is not None else {"turn": turn.number, "text": turn.text}

    def interrupt(self) -> None:
        """Ends the answer at once, and videos of answers that are being made: nobody waits for them any more."""
        self._end_answer()
        for turn in self._filmed:
            turn.unwanted = True
            if turn.job:
                self._in_background(self._clips.give_up(turn.job))

    def _end_answer(self) -> None:
        """What was not spoken of it, or where nothing is spoken not written, is cut from the history."""
        turn = self._turn
        if turn is None or self._answering is None or self._answering.done():
            return
        self._answering.cancel()
        kept = turn.text.strip()
        if turn.voice is not None:
            turn.voice.drop()
            kept = turn.voice.heard()
        self.history.answer(turn.number, kept)
        if self.options.mode == "live":
            self.log.add("cut", {"turn": turn.number, "text": kept})
        if turn.reason is None:
            self._done(turn, "interrupted")
        self._turn = None

    async def close(self) -> None:
        self._end_answer()
        for task in [*self._rendering, *filter(None, [self._answering])]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        self.log.close()

    # ---- one answer

    async def _answer(self, turn: _Turn, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        try:
            if self.options.mode == "live" and self.live is not None and not self.live.closed:
                await self._spoken(turn, self.live)
            else:
                await self._written(turn)
        except Exception as error:
            self._failed(turn, error)

    async def _written(self, turn: _Turn) -> None:
        async with aclosing(self._sentences(turn)) as sentences:
            async for _ in sentences:
                pass
        self._finish(turn)
        self.log.add("latency", {"turn": turn.number, **turn.latency.view()})
        if self.options.mode == "clips" and turn.text:
            await asyncio.shield(self._in_background(self._render(turn)))  # else the end of this answer would lose a job that just begins

    async def _spoken(self, turn: _Turn, live: HeldSession) -> None:
        latency = turn.latency

        def on_picture(at_s: float) -> None:
            latency.reached("first_picture", at_s)
            self.log.add("latency", {"turn": turn.number, **latency.view()})

        options = self.options
        voice = turn.voice = LiveVoice(
            live, turn.number, options.voice, options.speed, lambda at_s: latency.reached("first_sound", at_s), on_picture
        )
        waiting: asyncio.Queue[str | None] = asyncio.Queue()
        speaking = asyncio.ensure_future(self._speak(turn, voice, waiting))
        try:
            try:
                async with aclosing(self._sentences(turn)) as sentences:
                    async for sentence in sentences:
                        waiting.put_nowait(sentence)
                self._finish(turn)
            except Exception as error:
                self._failed(turn, error)  # what there is of it is spoken
            waiting.put_nowait(None)
            await speaking
            await voice.all_heard()
            self.log.add("spoken", {"turn": turn.number})
        finally:
            voice.let_go()
            speaking.cancel()
            await asyncio.wait((speaking,))

    async def _speak(self, turn: _Turn, voice: LiveVoice, waiting: asyncio.Queue[str | None]) -> None:
        """The text goes on where it cannot be spoken. What fails is told once."""
        told = ""
        while (sentence := await waiting.get()) is not None:
            try:
                await voice.say(sentence)
            except TalkingHeadError as error:
                if error.message != told:
                    told = error.message
                    self.log.add("error", {"turn": turn.number, "error": error})
                if not isinstance(error, TextError):
                    return

    async def _sentences(self, turn: _Turn) -> AsyncGenerator[str, None]:
        """The sentences of the answer; its text is told piece by piece as it comes."""
        most = self._service.settings.chat_answer_chars
        segmenter = Sentences(self._language())
        async with aclosing(self.partner.answer(self.history.messages())) as pieces:
            async for piece in pieces:
                piece = cleaned(piece)[: most - len(turn.text)]
                if not piece:
                    if len(turn.text) >= most:
                        break
                    continue
                turn.latency.reached("first_token")
                turn.text += piece
                self.log.add("text", {"turn": turn.number, "text": piece})
                for sentence in segmenter.add(piece):
                    turn.latency.reached("first_sentence")
                    yield sentence
        for sentence in segmenter.end():
            turn.latency.reached("first_sentence")
            yield sentence

    def _finish(self, turn: _Turn) -> None:
        self.history.answer(turn.number, turn.text.strip())
        self._done(turn, "length" if len(turn.text) >= self._service.settings.chat_answer_chars else "end")

    def _done(self, turn: _Turn, reason: Reason) -> None:
        turn.reason = reason
        self.used_s = time.monotonic()
        self.log.add("answer_done", {"turn": turn.number, "text": turn.text.strip(), "reason": reason})

    def _failed(self, turn: _Turn, error: Exception) -> None:
        if not isinstance(error, TalkingHeadError):
            where = "".join(traceback.format_tb(error.__traceback__))  # its message may hold what was said
            logger.error("an answer failed: %s\n%s", type(error).__name__, where)
            error = InternalError("An answer failed.")
        turn.error = error
        self.log.add("error", {"turn": turn.number, "error": error})
        if turn.reason is None:
            self.history.answer(turn.number, turn.text.strip())
            self._done(turn, "failed")

    def _language(self) -> str:
        """Of the voice, where there is one."""
        with contextlib.suppress(TalkingHeadError):
            return self._service.speaker.voice(self.options.voice).language
        return ""

    # ---- its video

    def show_idle(self) -> None:
        """Has a video of the person at rest made, where there are clips and it is not there yet. What fails is tried again with the next
        answer, whose own video then tells why.
        """
        self.shows_idle = True
        if self.options.mode == "clips" and not self.idle_job and not self._making_idle:
            self._making_idle = True
            self._in_background(self._idle())

    async def _idle(self) -> None:
        try:
            job = await self._clips.begin_idle()
            await self._clips.made(job)
            self.idle_job = job
            self.log.add("idle_ready", {"job": job})
        except TalkingHeadError as error:
            logger.info("the person at rest cannot be shown: %s", type(error).__name__)
        finally:
            self._making_idle = False

    async def _render(self, turn: _Turn) -> None:
        """Begins the video; it goes on when the next message comes, but not when that is preceded by an interrupt."""
        self._filmed.append(turn)
        try:
            turn.job = await self._clips.begin(turn.text)
        except BaseException as error:
            self._filmed.remove(turn)
            if not isinstance(error, TalkingHeadError):
                raise
            turn.video_error = error_view(error)
            self.log.add("error", {"turn": turn.number, "error": error})
            return
        if turn.unwanted:
            self._in_background(self._clips.give_up(turn.job))
        self._in_background(self._rendered(turn))
        if self.shows_idle:
            self.show_idle()

    async def _rendered(self, turn: _Turn) -> None:
        try:
            await self._clips.made(turn.job)
            self.log.add("video_ready", {"turn": turn.number, "job": turn.job, "after_s": turn.latency.elapsed_s()})
        except TalkingHeadError as error:
            if not turn.unwanted:
                self.log.add("error", {"turn": turn.number, "error": error})
        finally:
            self._filmed.remove(turn)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._rendering.add(task)
        task.add_done_callback(self._rendering.discard)
        return task
