"""A live session: takes speech as it is spoken and gives out video as it is due.

Feeding and control come from any thread; one thread takes the output. Nothing is computed ahead of it or beside it: each call of
`next_output` makes what has become due, so memory is bounded by the sound that waits, and a slow reader slows nobody else.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from core.request import Controls
from core.streaming.beside_frames import BesideFrames
from core.streaming.live_clock import LiveClock
from core.streaming.live_intake import LiveIntake
from core.streaming.live_renderer import LiveRenderer, Shown
from core.streaming.load import FrameMeter
from core.streaming.made_frames import KEYFRAME_FRAMES, MadeFrame, MadeFrames
from core.streaming.outputs import EventKind, LiveOptions, LiveOutput, LiveSegment
from core.streaming.speech import Speech
from core.streaming.utterance import fade_out
from core.types import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from core.visemes.frames import MouthFrames

_SOON_S = 1e-6
"""Clocks are floats: a frame is due this much early."""


class LiveSession(LiveIntake):
    """renderer: draws and encodes; the session closes it. visemes: told beside the frames. clock: in seconds; who has another clock than
    the machine's calls `next_output` without a timeout. meter: is told what each frame cost, and of the end.

    Frames follow one another at 25 a second of the clock. Who reads too slowly loses idle frames, which are then never made; speech is
    kept, and late. Sound that comes faster than it is spoken waits; where none comes in time silence is spoken, and after `gap_s` the
    person listens again. Each frame takes exactly its 40 ms of sound along, so picture and sound cannot drift apart.
    """

    def __init__(
        self,
        renderer: LiveRenderer,
        options: LiveOptions | None = None,
        visemes: bool = False,
        clock: Callable[[], float] = time.monotonic,
        meter: FrameMeter | None = None,
    ) -> None:
        options = options or LiveOptions()
        super().__init__(options, LiveClock(clock, options.lead_s))
        facts = renderer.facts
        self.engine, self.metadata, self.mime_type = facts.engine, facts.metadata, facts.mime_type
        self.initialisation = facts.initialisation
        """The first piece of the stream. It comes by itself; whoever joins later needs it again, and then a key frame."""
        # guarded by `_changed`, as the intake
        self._new_controls: Controls | None = None
        # used by whoever holds `_working`
        self._working = threading.Lock()
        self._error: BaseException | None = None
        self._finished = False
        self._renderer, self._meter = renderer, meter or FrameMeter(None)
        self._beside = BesideFrames() if visemes else None
        self._speech: Speech | None = None
        self._listening: Iterator[Shown] = iter(())
        self._speaking = False
        self._waiting = MadeFrames(renderer, options, self._meter)
        self._last_sample = 0.0  # of the sound made
        self._n_spoken = self._n_filled = 0
        self._next_stats_s = clock() + options.stats_every_s
        self._outputs.begin(facts, options, visemes)

    # ---- in, from any thread; sound and texts: live_intake.py

    def tell(self, kind: EventKind, data: dict[str, Any]) -> None:
        """One more event, in its place among the others."""
        with self._changed:
            if not self._closed:
                self._outputs.event(kind, data)

    def interrupt(self) -> int:
        """Forgets all speech that was not handed out yet; returns the new generation. Sound fed from now on belongs to it."""
        with self._changed:
            if self._beside is not None:
                self._beside.forget()
            self._drop(self._waiting.n_speaking * (self.options.sound_rate_hz // FPS))
            return self.generation

    def set_controls(self, controls: Controls) -> None:
        """Acts so from the next frame on or, where the engine cannot change while it speaks, from the next time it listens. Raises
        OptionError for what the engine does not honour, or a value that it refuses.
        """
        self._renderer.check_controls(controls)
        with self._changed:
            self._new_controls = controls

    def request_keyframe(self) -> None:
        """The next segment begins with a key frame, or the next packet is one: for whoever joins late."""
        with self._changed:
            self._waiting.wants_key = True

    def close(self) -> None:
        """Ends the session at once, also for threads that wait in it. Does nothing the second time."""
        self._end()
        with self._working:
            self._forget()
            self._renderer.close()

    def finish(self) -> LiveSegment | None:
        """Closes the session and returns the last piece of a stream of segments: frames that waited for one, and the sound that the encoder
        keeps back else. None where there is none. Speech that was not made yet is forgotten.
        """
        self.close()
        with self._working:
            self._waiting.forget_older(self.generation)
            if self._finished or self._error is not None or self.options.output != "segments" or not self._clock.made:
                return None
            self._finished = True
            return self._waiting.finish(self.generation)

    @property
    def generation(self) -> int:
        return self._outputs.generation

    def stats(self) -> dict[str, Any]:
        """Plain JSON types. frames: made, of which spoken. filled: spoken as silence because sound was late. skipped: idle frames left out
        for a slow reader. buffered_s: sound that waits. late_s: how far the output is behind the clock now, 0.5 at most.
        lost_s: of longer delays, left out of the video's time so far.
        """
        with self._changed:
            speech = self._speech
            return {
                "frames": self._clock.made,
                "spoken": self._n_spoken,
                "filled": self._n_filled + (speech.n_filled if speech else 0),
                "skipped": self._clock.skipped,
                "buffered_s": round(self._buffered_s(), 3),
                "late_s": round(max(0.0, -self._clock.due_in_s()), 3),
                "lost_s": round(self._clock.lost_s, 3),
            }

    # ---- out, one thread

    def next_output(self, timeout_s: float = 0.0) -> LiveOutput | None:
        """What is due by now, made on this thread; waits up to `timeout_s` for it. None: nothing was due, or the session is closed.

        Raises whatever made the engine or an encoder fail; the session is closed then.
        """
        deadline = self._clock.now() + timeout_s
        with self._working:
            if self._error is not None:
                raise self._error
            try:
                while True:
                    with self._changed:
                        if (output := self._hand_out()) is not None or self._closed:
                            return output
                        wait_s = self._clock.due_in_s()
                        if wait_s > _SOON_S:
                            left = deadline - self._clock.now()
                            if left <= 0:
                                return None
                            self._changed.wait(min(wait_s, left))
                            continue
                    self._make()
            except BaseException as error:
                self._error = error
                self._end()
                with contextlib.suppress(Exception):
                    self._forget()
                    self._renderer.close()
                raise

    def _hand_out(self) -> LiveOutput | None:
        """What is ready, in order. Whether it is still wanted is decided here, with nothing between that and handing it out."""
        if older := self._waiting.forget_older(self.generation):
            self._clock.made -= len(older)  # never shown: their places are others'
            self._n_spoken -= sum(made.speaking for made in older)
            self._last_sample = self._waiting.last_sample
        if self._outputs:
            return self._outputs.popleft()
        if self._closed or not self._waiting.enough():
            return None
        if self._beside is not None:
            self._outputs.extend(self._beside.handed_out(self._clock.made))
        return self._waiting.hand_out()

    def _make(self) -> None:
        """One frame with its sound, and the cost of it."""
        late_s = max(0.0, -self._clock.due_in_s() - self.options.lead_s)  # the player has the lead in hand
        self._meter.begin()
        with self._meter.working():
            made = self._make_frame()
        if made:
            self._meter.made(late_s)

    def _make_frame(self) -> bool:
        """False: it was interrupted meanwhile."""
        with self._changed:
            self._clock.let_go(self._speaking)
            interrupted = self._speech is not None and self._speech.utterance is not self._first()
        if interrupted:
            self._forget()
        self._act()
        # one turn for all of it: what two sessions did at once, they would do in turns at Python's own lock, hundreds a frame
        with self._renderer.in_time(self._clock.due_in_s()):
            shown = self._spoken()
            speaking = shown is not None
            if shown is None:
                shown = self._idle()
        with self._changed:
            if self._speech is not None and self._speech.utterance is not self._first():
                return False
            self._add(shown, speaking)
            return True

    def _add(self, shown: Shown, speaking: bool) -> None:
        """The frame is one of the session's, with its sound and what is told of it."""
        speech = self._speech if speaking else None
        rate_hz = self.options.sound_rate_hz
        sound, n_speech = (fade_out(self._last_sample, rate_hz // FPS, rate_hz), 0) if speech is None else speech.sound(self._last_sample)
        self._last_sample = float(sound[-1])
        at_s = self._clock.made / FPS
        self._waiting.add(MadeFrame(shown, sound, self.generation, at_s, speaking, n_speech, self._n_over))
        self._clock.made += 1
        self._n_spoken += speaking
        if speech is not None and (say := speech.utterance.say) is not None:
            for begun in say.begun(speech.utterance.taken):
                self._outputs.event("saying", begun, at=self._clock.made - 1)
        if self._beside is not None and (speaking or self._speaking):
            self._beside.made(self._clock.made - 1, self.generation, speech, rate_hz)
        if self._speaking and not speaking:
            self._outputs.event("idle", at=self._clock.made - 1)
        self._speaking = speaking
        if self._clock.now() >= self._next_stats_s:
            self._next_stats_s = self._clock.now() + self.options.stats_every_s
            self._outputs.event("stats", self.stats())

    def _spoken(self) -> Shown | None:
        """The next frame of speech; None where there is none."""
        while True:
            with self._changed:
                if self._speech is None:
                    needed = (self._renderer.facts.look_ahead_samples + SAMPLES_PER_FRAME) / SAMPLE_RATE_HZ + self.options.jitter_s
                    utterance = self._next_utterance(needed)
                    if utterance is None:
                        return None
                    mouth = None if self._beside is None else MouthFrames()
                    self._speech = Speech(self._renderer, utterance, self._changed, self.options.fill, mouth)
                    self._listening = iter(())
                    self._outputs.event("speaking")
                elif self._speech.utterance.exhausted:
                    self._end_if_silent(self._speech.utterance)
                self._changed.notify_all()  # there will be room for more sound
            shown = self._speech.next_frame()
            if shown is not None:
                return shown
            with self._changed:
                if self._first() is self._speech.utterance:
                    self._over()
                    if self._beside is not None:
                        self._beside.heard(self._speech.mouths_told())
                self._n_filled += self._speech.n_filled
                self._speech = None

    def _idle(self) -> Shown:
        shown = next(self._listening, None)
        if shown is None:
            self._listening = self._renderer.idle(KEYFRAME_FRAMES)
            shown = next(self._listening)
        return shown

    def _act(self) -> None:
        """Takes over new controls where the engine can by now."""
        with self._changed:
            controls, self._new_controls = self._new_controls, None
        if controls is None or self._renderer.set_controls(controls):
            return
        if self._speech is None:
            self._forget()
            with self._renderer.in_time(self._clock.due_in_s()):
                self._renderer.renew(controls)
            return
        with self._changed:
            self._new_controls = self._new_controls or controls

    # ---- the end

    def _end(self) -> None:
        self._meter.close()
        with self._changed:
            self._closed = True
            self._utterances.drop(0)
            self._outputs.clear()
            self._changed.notify_all()

    def _forget(self) -> None:
        """Ends what the renderer is at."""
        if self._speech is not None:
            self._n_filled += self._speech.n_filled
            self._speech = None
        self._listening = iter(())
        self._renderer.interrupt()
