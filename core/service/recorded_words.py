"""Which words a recording says, and when: by the service for speech recognition where one is set, else by PocketSphinx (English)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet

from core.errors import Cancelled, OptionError
from core.service.speech_recognition import SpeechRecognition
from core.speech_recognition import sphinx
from core.thread_priority import PATIENT_SPEECH, be_patient
from core.types import Audio, Word

CANCEL_POLL_S = 0.05


class RecordedWords:
    """Thread-safe."""

    def __init__(self, service: SpeechRecognition) -> None:
        self._service = service

    @property
    def available(self) -> bool:
        return self._service.available or sphinx.is_installed()

    def check(self) -> None:
        """Raises OptionError where there is no recogniser."""
        if not self.available:
            raise OptionError(
                "Captions of a recording need a speech recogniser, and there is none here.",
                "Run pip install -r requirements-recognition.txt, or set TALKING_HEAD_RECOGNITION_URL (docs/usage.md).",
                code="captions_no_recogniser",
            )  # fmt: skip

    def begin(self, audio: Audio, cancel: threading.Event | None = None) -> Recognition:
        """On a thread of its own, of lower priority where it computes here. cancel: ends it."""
        return Recognition(lambda ended: self._words(audio, ended), cancel or threading.Event())

    def _words(self, audio: Audio, cancel: threading.Event) -> tuple[Word, ...]:
        if self._service.available:
            return self._service.timed_words(audio.samples)
        be_patient(PATIENT_SPEECH)
        return sphinx.recognised(audio.samples, cancel)


class Recognition:
    """Of one recording, under way."""

    def __init__(self, work: Callable[[threading.Event], tuple[Word, ...]], cancel: threading.Event) -> None:
        self._cancel = cancel
        self._result: Future[tuple[Word, ...]] = Future()
        threading.Thread(target=self._run, args=(work,), name="recognition", daemon=True).start()

    def cancel(self) -> None:
        """Does not wait; whoever waits for the words meets Cancelled at once."""
        self._cancel.set()

    def words(self) -> tuple[Word, ...]:
        """Waits. Raises Cancelled, EngineUnavailable, BusyError."""
        while True:
            if self._cancel.is_set():
                raise Cancelled("The recognition was cancelled.", code="cancelled")
            try:
                return self._result.result(CANCEL_POLL_S)
            except NotYet:
                if self._result.done():
                    raise

    def _run(self, work: Callable[[threading.Event], tuple[Word, ...]]) -> None:
        try:
            self._result.set_result(work(self._cancel))
        except BaseException as error:  # raised to whoever waits
            self._result.set_exception(error)
