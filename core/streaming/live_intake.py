"""What a live session is given to speak: sound and texts, from any thread, until the thread that makes frames takes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from core.streaming.live_clock import LiveClock
from core.streaming.output_queue import OutputQueue
from core.streaming.outputs import LiveOptions
from core.streaming.say import Say
from core.streaming.utterance import Utterance, as_mono
from core.streaming.utterance_queue import UtteranceQueue
from core.types import Phone, Samples


class LiveIntake:
    """Utterances one after the other. `_changed` guards all of it; what begins with an underscore below is asked with it held."""

    def __init__(self, options: LiveOptions, clock: LiveClock) -> None:
        self.options = options
        self._clock = clock
        self._changed = threading.Condition()
        self._utterances = UtteranceQueue(options.sound_rate_hz)
        self._outputs = OutputQueue(clock)
        self._odd = b""  # half a sample that a chunk ended with
        self._n_fed = self._n_over = 0  # chunks
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    def feed(self, chunk: bytes | NDArray[Any], rate_hz: int, timeout_s: float = 0.0) -> bool:
        """More of the utterance; begins one where none is open.

        chunk: bytes of 16-bit little-endian samples, cut anywhere, or (n,) int16 or float samples; one channel. Waits up to `timeout_s`
        (of the machine's clock) for room. False: there was none, or the session is closed, and nothing was taken.
        Raises AudioError for what is not sound, or is longer than `max_buffer_s` by itself.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            odd = b""
            if isinstance(chunk, bytes):
                chunk = self._odd + chunk
                chunk, odd = chunk[: len(chunk) // 2 * 2], chunk[len(chunk) // 2 * 2 :]
            samples = as_mono(chunk, rate_hz, self.options.max_buffer_s)
            while not self._closed and not self._utterances.has_room(len(samples) / rate_hz, self.options.max_buffer_s):
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return False
            if self._closed:
                return False
            self._odd = odd
            if not len(samples):
                return True
            self._n_fed += 1
            utterance = self._utterances.open_recording(self._clock.now())
            utterance.last_chunk = self._n_fed
            utterance.feed(samples, rate_hz, self._clock.now())
            return True

    def end_of_utterance(self) -> None:
        """What was fed is all: it is spoken to its end without waiting for more. Sound fed from now on begins another one."""
        with self._changed:
            self._odd = b""
            self._utterances.end_recording()

    def reserve(self, say: Say) -> None:
        """A place for a text, after all that came so far and before all that comes now. It is spoken as it is fed; the person listens until
        it begins.
        """
        with self._changed:
            if self._closed:
                say.cancelled.set()
                return
            self._odd = b""
            self._utterances.reserve(say, self._clock.now())

    def feed_say(
        self, say: Say, samples: Samples, rate_hz: int, text: str, words: Sequence[tuple[float, int]], phones: Sequence[Phone] = ()
    ) -> None:
        """More of the speech of a text; waits for room, or until the text is cancelled. Arguments as in `Say.put` and `Utterance.feed`.

        Raises AudioError for a piece longer than `max_buffer_s`.
        """
        samples = as_mono(samples, rate_hz, self.options.max_buffer_s)
        with self._changed:
            while not say.cancelled.is_set():
                if self._utterances.feed_say(say, samples, rate_hz, text, words, self._clock.now(), phones):
                    break
                self._changed.wait()

    def end_say(self, say: Say) -> None:
        """All of it was fed, or, where it `failed`, what there is."""
        with self._changed:
            self._utterances.end_say(say)

    # ---- taken by whoever makes frames

    def _first(self) -> Utterance | None:
        return self._utterances[0] if self._utterances else None

    def _next_utterance(self, needed_s: float) -> Utterance | None:
        """The one whose speaking can begin: it has ended, or `needed_s` of it are there."""
        while (utterance := self._first()) is not None:
            if utterance.buffered_s < needed_s:
                self._end_if_silent(utterance)
                if not utterance.ended:
                    return None
            if len(utterance.heard):
                return utterance
            self._over()
        return None

    def _over(self) -> None:
        """The first utterance has been spoken."""
        utterance = self._utterances.popleft()
        if utterance.say is None:
            self._n_over = utterance.last_chunk
        else:
            self._outputs.event("said", utterance.say.report(utterance.taken, complete=not utterance.say.failed))

    def _end_if_silent(self, utterance: Utterance) -> None:
        if utterance.say is None and self._clock.now() - utterance.arrived_s >= self.options.gap_s:
            utterance.end()

    def _drop(self, kept_back: int) -> None:
        """Forgets all of it, in a new generation. kept_back: samples of the first that were taken and are not handed out."""
        reports = self._utterances.drop(kept_back)
        self._n_over = self._n_fed
        self._odd = b""
        self._outputs.interrupt()
        for report in reports:
            self._outputs.event("said", report)
        self._changed.notify_all()

    def _buffered_s(self) -> float:
        return self._utterances.buffered_s(texts=False) + self._utterances.buffered_s(texts=True)
