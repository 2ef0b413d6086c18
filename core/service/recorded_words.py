"""Which words a recording says, and when: by the service for speech recognition where one is set, else by PocketSphinx (English)."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet

from core.errors import Cancelled, OptionError
from core.service.errors import TooMany
from core.service.quotas import ConcurrencyLimit
from core.service.speech_recognition import SpeechRecognition
from core.speech_recognition import sphinx
from core.types import Audio, Word

CANCEL_POLL_S = 0.05
MOST_RECORDINGS, MOST_WORDS = 500, 50_000
"""Whose words are kept in memory; those asked for longest ago go first."""

AT_ONCE, OWNER_AT_ONCE = 8, 2
"""Recordings that the service is asked about at the same time. One that nobody waits for any more counts until the service has answered."""

Words = tuple[Word, ...]


class RecordedWords:
    """Remembers the words of each owner's recordings. Thread-safe."""

    def __init__(self, service: SpeechRecognition) -> None:
        self._service = service
        self._known: OrderedDict[tuple[str, bytes], Words] = OrderedDict()
        self._lock = threading.Lock()
        self._places = ConcurrencyLimit(AT_ONCE, OWNER_AT_ONCE, "recordings")

    @property
    def available(self) -> bool:
        return self._service.available or sphinx.is_installed()

    def understands(self, language: str) -> bool:
        """Whether recordings in it are recognised. language: such as "de"; of a service any is expected."""
        return self._service.available or (sphinx.is_installed() and language == sphinx.LANGUAGE)

    def check(self) -> None:
        """Raises OptionError where there is no recogniser."""
        if not self.available:
            raise OptionError(
                "Captions of a recording need a speech recogniser, and there is none here.",
                "Run pip install -r requirements-recognition.txt, or set TALKING_HEAD_RECOGNITION_URL (docs/usage.md).",
                code="captions_no_recogniser",
            )  # fmt: skip

    def known(self, audio: Audio, owner: str) -> Words | None:
        """Of a recording of the owner's that was recognised before; None of others."""
        key = _key(audio, owner)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
            return self._known.get(key)

    def begin(self, audio: Audio, owner: str, cancel: threading.Event | None = None, after: threading.Event | None = None) -> Recognition:
        """On a thread of its own; what computes here does so in a process of lower priority, and not before `after` is set. cancel: ends
        it.
        """
        return Recognition(lambda ended: self._words(audio, owner, ended, after), cancel or threading.Event())

    def _words(self, audio: Audio, owner: str, cancel: threading.Event, after: threading.Event | None) -> Words:
        known = self.known(audio, owner)
        if known is not None:
            return known
        words = self._by_service(audio, owner, cancel) if self._service.available else self._by_machine(audio, cancel, after)
        with self._lock:
            self._known[_key(audio, owner)] = words
            while len(self._known) > MOST_RECORDINGS or sum(map(len, self._known.values())) > MOST_WORDS:
                self._known.popitem(last=False)
        return words

    def _by_machine(self, audio: Audio, cancel: threading.Event, after: threading.Event | None) -> Words:
        while after is not None and not after.wait(CANCEL_POLL_S):
            if cancel.is_set():
                raise _cancelled()
        return sphinx.recognised(audio.samples, cancel)

    def _by_service(self, audio: Audio, owner: str, cancel: threading.Event) -> Words:
        while True:
            if cancel.is_set():
                raise _cancelled()
            try:
                self._places.take(owner)
                break
            except TooMany:
                cancel.wait(CANCEL_POLL_S)
        try:
            return self._service.timed_words(audio.samples)
        finally:
            self._places.give_back(owner)


class Recognition:
    """Of one recording, under way."""

    def __init__(self, work: Callable[[threading.Event], Words], cancel: threading.Event) -> None:
        self._cancel = cancel
        self._result: Future[Words] = Future()
        threading.Thread(target=self._run, args=(work,), name="recognition", daemon=True).start()

    def cancel(self) -> None:
        """Does not wait; whoever waits for the words meets Cancelled at once."""
        self._cancel.set()

    def when_known(self, told: Callable[[Words], None]) -> None:
        """`told` is called once with the words, on any thread; never where there are none."""

        def done(result: Future[Words]) -> None:
            if not self._cancel.is_set() and result.exception() is None:
                told(result.result())

        self._result.add_done_callback(done)

    def words(self) -> Words:
        """Waits. Raises Cancelled, EngineUnavailable, BusyError."""
        while True:
            if self._cancel.is_set():
                raise _cancelled()
            try:
                return self._result.result(CANCEL_POLL_S)
            except NotYet:
                if self._result.done():
                    raise

    def _run(self, work: Callable[[threading.Event], Words]) -> None:
        try:
            self._result.set_result(work(self._cancel))
        except BaseException as error:  # raised to whoever waits
            self._result.set_exception(error)


def _cancelled() -> Cancelled:
    return Cancelled("The recognition was cancelled.", code="cancelled")


def _key(audio: Audio, owner: str) -> tuple[str, bytes]:
    return owner, hashlib.sha256(audio.original).digest()
