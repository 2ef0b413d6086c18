"""The texts that a live session was asked to say: checked, bounded, and synthesised one after the other while the first is spoken."""

from __future__ import annotations

import contextlib
import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import Cancelled, TalkingHeadError
from core.service.errors import TooMany
from core.service.job_views import error_view
from core.service.live_messages import SayRequest
from core.service.quotas import RateLimit
from core.speech_synthesis.base import Speech, Voice
from core.speech_synthesis.speaker import Speaker
from core.speech_synthesis.ssml import Pause, is_ssml
from core.speech_synthesis.text import read_text
from core.streaming.live import LiveSession
from core.streaming.say import Say
from core.thread_priority import PATIENT_SOON, be_patient
from core.types import Phone

logger = logging.getLogger(__name__)

MAX_WAITING = 32
"""Texts of one session that wait to be synthesised."""
MAX_WAITING_TEXTS_OF_FULL_LENGTH = 4
"""The same in characters: so many of the longest that is taken."""
MAX_THREADS = 4
"""Of one session: one synthesises, the others were interrupted and have not noticed yet, such as by a speech service that sends nothing."""
SLICE_S = 0.25
"""Of speech that is handed over at once."""
WAIT_S = 5.0
"""After so long there may be room for another text."""


@dataclass(frozen=True, eq=False)
class _Waiting:
    """over: set when it is synthesised, or not wanted any more."""

    say: Say
    request: SayRequest
    voice: Voice
    over: threading.Event


class LiveSpeech:
    """One session's. Thread-safe. rate: how often an owner may say something. max_chars: of one text.

    A session that is interrupted or closed cancels the texts itself; the synthesis ends with them.
    """

    def __init__(self, session: LiveSession, speaker: Speaker, owner: str, rate: RateLimit, max_chars: int) -> None:
        self._session, self._speaker, self._owner, self._rate, self._max_chars = session, speaker, owner, rate, max_chars
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._works = False
        self._threads = threading.Semaphore(MAX_THREADS)

    def say(
        self, request: SayRequest, on_end: Callable[[Mapping[str, Any]], None] = lambda report: None,
        on_sound: Callable[[], None] = lambda: None,
    ) -> Say:  # fmt: skip
        """Takes a text: it is spoken after all that the session was given before. on_end, on_sound: as in `Say`.

        Raises TextError, OptionError, EngineUnavailable, TooMany.
        """
        self._rate.take(self._owner)
        voice = self._speaker.voice(request.voice)
        self._speaker.check(request.text, voice, request.speed)
        said = [part.text for part in read_text(request.text, voice.language, self._max_chars) if not isinstance(part, Pause)]
        written = request.text if not is_ssml(request.text) else " ".join(said)
        over = threading.Event()

        def ended(report: dict[str, Any]) -> None:
            over.set()
            on_end(report)

        say = Say(request.id, written, len(" ".join(said)), on_end=ended, on_sound=on_sound)
        with self._lock:
            self._waiting = deque(waiting for waiting in self._waiting if not waiting.say.cancelled.is_set())
            chars = sum(len(waiting.request.text) for waiting in self._waiting) + len(request.text)
            if len(self._waiting) >= MAX_WAITING or chars > MAX_WAITING_TEXTS_OF_FULL_LENGTH * self._max_chars:
                raise TooMany(
                    f"{len(self._waiting)} texts of this session wait to be spoken.", "Send the next when one of them was said.", WAIT_S,
                    code="too_many_texts",
                )  # fmt: skip
            self._session.reserve(say)
            self._waiting.append(_Waiting(say, request, voice, over))
            if not self._works:
                self._works = True
                threading.Thread(target=self._work, name="live-speech", daemon=True).start()
        return say

    def tell_failed(self, id: str, error: BaseException) -> None:
        """Tells the client why a text is not (all) spoken; the session goes on."""
        self._session.tell("say_failed", {"id": id, "error": error_view(error)})

    def _work(self) -> None:
        """One text after the other, until none waits."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._works = False
                    return
                waiting = self._waiting.popleft()
            self._threads.acquire()
            threading.Thread(target=self._synthesise, args=(waiting,), name="speech", daemon=True).start()
            waiting.over.wait()

    def _synthesise(self, waiting: _Waiting) -> None:
        be_patient(PATIENT_SOON)
        say, request = waiting.say, waiting.request
        try:
            speaking = self._speaker.speak(request.text, waiting.voice, request.speed, self._owner, say.cancelled, request.keep)
            with contextlib.closing(speaking) as pieces:
                for piece in pieces:
                    self._feed(say, piece)
        except Cancelled:
            pass
        except Exception as error:
            if not say.cancelled.is_set():
                self._failed(say, error)
        finally:
            self._session.end_say(say)
            waiting.over.set()
            self._threads.release()

    def _feed(self, say: Say, piece: Speech) -> None:
        """In slices: the session's lock is held for each, and frames that are due must not wait for a patient thread."""
        text, words, n = piece.text, word_ends(piece), round(SLICE_S * piece.sample_rate_hz)
        for at in range(0, len(piece.samples), n):
            phones = phones_between(piece, at / piece.sample_rate_hz, (at + n) / piece.sample_rate_hz)
            self._session.feed_say(say, piece.samples[at : at + n], piece.sample_rate_hz, text, words, phones)
            text, words = "", ()

    def _failed(self, say: Say, error: Exception) -> None:
        if not isinstance(error, TalkingHeadError):
            where = "".join(traceback.format_tb(error.__traceback__))  # its message may hold the text
            logger.error("a text was not spoken: %s\n%s", type(error).__name__, where)
        say.failed = True
        self.tell_failed(say.id, error)


def phones_between(piece: Speech, start_s: float, end_s: float) -> list[Phone]:
    """The phones of the piece that begin from `start_s` on and before `end_s`, seconds from `start_s`."""
    begun = [phone for phone in piece.phones if start_s <= phone.start_s < end_s]
    return [Phone(phone.ipa, phone.start_s - start_s, phone.end_s - start_s) for phone in begun]


def word_ends(piece: Speech) -> Sequence[tuple[float, int]]:
    """Of each word of the piece: when it begins, and how many characters of the piece's text are over then; when it ends, and how many end
    with it.
    """
    ends, at = [], 0
    for word in piece.words:
        found = piece.text.find(word.text, at)
        if found >= 0:
            ends.append((word.start_s, at))
            at = found + len(word.text)
            ends.append((word.end_s, at))
    return ends
