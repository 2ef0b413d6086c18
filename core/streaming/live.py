"""A live session: takes speech as it is spoken and gives out video as it is due.

Feeding and control come from any thread; one thread takes the output. Nothing is computed ahead of it or beside it: each call of
`next_output` makes what has become due, so memory is bounded by the sound that waits, and a slow reader slows nobody else.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from core.engines.base import Session
from core.generation_run import Turn
from core.media.encoders import as_picture
from core.media.fragmented_mp4 import FragmentedMp4
from core.media.label import Label
from core.media.live_packets import LivePackets
from core.option_checks import check_moving_controls
from core.run_request import PreparedRun
from core.streaming.beside_frames import BesideFrames
from core.streaming.load import SessionLoad
from core.streaming.outputs import EventKind, LiveEvent, LiveFrame, LiveOptions, LiveOutput, LivePacket, LiveSegment
from core.streaming.say import Say
from core.streaming.speech import Speech
from core.streaming.utterance import Utterance, as_mono, fade_out
from core.streaming.utterance_queue import UtteranceQueue
from core.types import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Controls, Frame, Phone, RenderOptions, Samples
from core.visemes.frames import MouthFrames, layout

KEYFRAME_FRAMES = 2 * FPS
MOST_LATE_S = 0.5
"""How far output may lag behind the clock and still catch up; the rest of a longer stop is left out of the video's time."""
_SOON_S = 1e-6
"""Clocks are floats: a frame is due this much early."""


class LiveSession:
    """prepared, session, render: engine and person, a new session of theirs, and the options it was made with. turn: gives a
    turn on the device. clock: in seconds; who has another clock than the machine's calls `next_output` without a timeout. session_load: is
    told what each frame cost, and of the end.

    Frames follow one another at 25 a second of the clock. Who reads too slowly loses idle frames, which are then never made; speech is
    kept, and late. Sound that comes faster than it is spoken waits; where none comes in time silence is spoken, and after `gap_s` the
    person listens again. Each frame takes exactly its 40 ms of sound along, so picture and sound cannot drift apart.
    """

    def __init__(
        self,
        prepared: PreparedRun,
        session: Session,
        render: RenderOptions,
        turn: Turn,
        options: LiveOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
        session_load: SessionLoad | None = None,
    ) -> None:
        self.options = options or LiveOptions()
        self._session_load = session_load
        self._cpu_s = self._turn_s = 0.0  # of the frame that is made
        self._prepared, self._render, self._turn, self._clock = prepared, render, turn, clock
        self._label = Label(session.width, session.height) if render.label else None
        self._mark = prepared.loaded.marker.mark(session.width, session.height) if render.mark else None
        rate_hz = self.options.sound_rate_hz
        self.metadata = prepared.metadata()
        """What the stream says of itself, as in `core.provenance.disclosure`."""
        self._video = FragmentedMp4(session.width, session.height, rate_hz, 1, self.metadata, render.crf)
        self.mime_type = self._video.mime_type
        self.engine = prepared.engine.name
        self._packets = LivePackets(session.width, session.height, render.crf) if self.options.output == "packets" else None
        self.initialisation = self._video.initialisation()
        """The first piece of the stream. It comes by itself; whoever joins later needs it again, and then a key frame."""

        self._changed = threading.Condition()  # guards these
        self._generation = 0
        self._utterances = UtteranceQueue(rate_hz)
        self._odd = b""  # half a sample that a chunk ended with
        self._out: deque[LiveOutput] = deque()
        self._new_controls: Controls | None = None
        self._wants_key = False
        self._closed = False
        self._made = 0  # frames
        self._n_fed = self._n_over = 0  # chunks
        self._skipped = 0
        self._lost_s = 0.0

        self._working = threading.Lock()  # held by whoever uses these
        self._error: BaseException | None = None
        self._finished = False
        self._session = session
        self._beside = BesideFrames() if render.visemes else None
        self._speech: Speech | None = None
        self._listening: Iterator[Frame] = iter(())
        self._speaking = False
        self._waiting: list[LiveFrame] = []  # until there are enough for a segment
        self._since_key = KEYFRAME_FRAMES
        self._last_sample = self._heard_last = 0.0  # of the sound made, and handed out
        self._n_spoken = self._n_filled = 0
        self._start_s = clock() - self.options.lead_s
        self._next_stats_s = clock() + self.options.stats_every_s

        about: dict[str, Any] = {"width": session.width, "height": session.height, "fps": FPS, "sound_rate_hz": rate_hz}
        about["look_ahead_s"] = round(session.look_ahead_samples / SAMPLE_RATE_HZ, 4)
        about["warnings"] = [*prepared.warnings, *session.warnings]
        if render.visemes:
            about["visemes"] = layout()
        if self.options.output == "segments":
            self._event("ready", {**about, "mime_type": self.mime_type})
            self._out.append(LiveSegment(self.initialisation, 0, False))
        else:
            self._event("ready", about)

    # ---- in, from any thread

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
            utterance = self._utterances.open_recording(self._clock())
            utterance.last_chunk = self._n_fed
            utterance.feed(samples, rate_hz, self._clock())
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
            self._utterances.reserve(say, self._clock())

    def feed_say(
        self, say: Say, samples: Samples, rate_hz: int, text: str, words: Sequence[tuple[float, int]], phones: Sequence[Phone] = ()
    ) -> None:
        """More of the speech of a text; waits for room, or until the text is cancelled. Arguments as in `Say.put` and `Utterance.feed`.

        Raises AudioError for a piece longer than `max_buffer_s`.
        """
        samples = as_mono(samples, rate_hz, self.options.max_buffer_s)
        with self._changed:
            while not say.cancelled.is_set():
                if self._utterances.feed_say(say, samples, rate_hz, text, words, self._clock(), phones):
                    break
                self._changed.wait()

    def end_say(self, say: Say) -> None:
        """All of it was fed, or, where it `failed`, what there is."""
        with self._changed:
            self._utterances.end_say(say)

    def tell(self, kind: EventKind, data: dict[str, Any]) -> None:
        """One more event, in its place among the others."""
        with self._changed:
            if not self._closed:
                self._event(kind, data)

    def interrupt(self) -> int:
        """Forgets all speech that was not handed out yet; returns the new generation. Sound fed from now on belongs to it."""
        with self._changed:
            kept_back = sum(made.speaking for made in self._waiting) * (self.options.sound_rate_hz // FPS)
            reports = self._utterances.drop(kept_back)
            self._n_over = self._n_fed
            self._generation += 1
            self._odd = b""
            if self._out and isinstance(last := self._out[-1], LiveEvent) and last.kind == "interrupted":
                self._out.pop()  # one is enough for a reader that is behind
            if self._beside is not None:
                self._beside.forget()
                self._out = deque(each for each in self._out if not (isinstance(each, LiveEvent) and each.kind in ("visemes", "word")))
            self._event("interrupted")
            for report in reports:
                self._event("said", report)
            self._changed.notify_all()
            return self._generation

    def set_controls(self, controls: Controls) -> None:
        """Acts so from the next frame on or, where the engine cannot change while it speaks, from the next time it listens.

        Raises OptionError for what the engine does not honour, or a value that it refuses.
        """
        engine = self._prepared.engine
        engine.verify_controls(controls, self._render)
        check_moving_controls(self._prepared.loaded.request.source, controls, engine.photo_only, engine.name)
        with self._changed:
            self._new_controls = controls

    def request_keyframe(self) -> None:
        """The next segment begins with a key frame, or the next packet is one: for whoever joins late."""
        with self._changed:
            self._wants_key = True

    def close(self) -> None:
        """Ends the session at once, also for threads that wait in it. Does nothing the second time."""
        self._end()
        with self._working:
            self._forget()
            self._session.close()

    def finish(self) -> LiveSegment | None:
        """Closes the session and returns the last piece of a stream of segments: frames that waited for one, and the sound that the encoder
        keeps back else. None where there is none. Speech that was not made yet is forgotten.
        """
        self.close()
        with self._working:
            waiting = [made for made in self._waiting if made.generation == self._generation]
            if self._finished or self._error is not None or self.options.output != "segments" or not self._made:
                return None
            self._finished = True
            return self._segment(waiting, final=True)

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def generation(self) -> int:
        return self._generation

    def stats(self) -> dict[str, Any]:
        """Plain JSON types. frames: made, of which spoken. filled: spoken as silence because sound was late. skipped: idle frames left out
        for a slow reader. buffered_s: sound that waits. late_s: how far the output is behind the clock now, 0.5 at most.
        lost_s: of longer delays, left out of the video's time so far.
        """
        with self._changed:
            speech = self._speech
            return {
                "frames": self._made,
                "spoken": self._n_spoken,
                "filled": self._n_filled + (speech.n_filled if speech else 0),
                "skipped": self._skipped,
                "buffered_s": round(self._buffered_s(), 3),
                "late_s": round(max(0.0, -self._due_in_s()), 3),
                "lost_s": round(self._lost_s, 3),
            }

    # ---- out, one thread

    def next_output(self, timeout_s: float = 0.0) -> LiveOutput | None:
        """What is due by now, made on this thread; waits up to `timeout_s` for it. None: nothing was due, or the session is closed.

        Raises whatever made the engine or an encoder fail; the session is closed then.
        """
        deadline = self._clock() + timeout_s
        with self._working:
            if self._error is not None:
                raise self._error
            try:
                while True:
                    with self._changed:
                        if (output := self._hand_out()) is not None or self._closed:
                            return output
                        wait_s = self._due_in_s()
                        if wait_s > _SOON_S:
                            left = deadline - self._clock()
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
                    self._session.close()
                raise

    def _hand_out(self) -> LiveOutput | None:
        """What is ready, in order. Whether it is still wanted is decided here, with nothing between that and handing it out."""
        if self._waiting and self._waiting[0].generation != self._generation:
            self._made -= len(self._waiting)  # never shown: their places are others'
            self._n_spoken -= sum(made.speaking for made in self._waiting)
            self._waiting = []
            self._last_sample = self._heard_last
        if self._out:
            return self._out.popleft()
        if self._closed:
            return None
        segments = self.options.output == "segments"
        if len(self._waiting) < (self.options.segment_frames if segments else 1):
            return None
        waiting, self._waiting = self._waiting, []
        if self._beside is not None:
            self._out.extend(self._beside.handed_out(self._made))
        self._heard_last = float(waiting[-1].sound[0, -1])
        if segments:
            return self._segment(waiting)
        return waiting[0] if self._packets is None else self._packet(waiting[0], self._packets)

    def _segment(self, waiting: list[LiveFrame], final: bool = False) -> LiveSegment:
        began_s = time.thread_time()
        key = self._begins_with_key()
        for made in waiting:  # each encoder at one go: it finds its tables in the processor's caches then
            self._video.add_sound(made.sound)
        for i, made in enumerate(waiting):
            self._video.add_frame(as_picture(made.frame), keyframe=key and i == 0)
        self._since_key += len(waiting)
        segment = LiveSegment(self._video.cut(final=final), self._generation, any(made.speaking for made in waiting))
        self._cpu_s += time.thread_time() - began_s  # counts with the frame after it: what counts is the mean
        return segment

    def _packet(self, made: LiveFrame, packets: LivePackets) -> LivePacket:
        began_s = time.thread_time()
        key = self._begins_with_key()
        picture, sound = packets.encode(as_picture(made.frame), made.sound, key)
        self._since_key += 1
        self._cpu_s += time.thread_time() - began_s
        return LivePacket(picture, sound, key, made.generation, made.at_s, made.speaking)

    def _begins_with_key(self) -> bool:
        """Whether what is encoded now begins with a key frame; asked once for each."""
        key = self._wants_key or self._since_key >= KEYFRAME_FRAMES
        if key:
            self._wants_key, self._since_key = False, 0
        return key

    def _make(self) -> None:
        """One frame with its sound, and the cost of it."""
        late_s, began_s = max(0.0, -self._due_in_s() - self.options.lead_s), time.thread_time()  # the player has the lead in hand
        self._turn_s = 0.0
        made = self._made
        self._make_frame()
        self._cpu_s += time.thread_time() - began_s
        if self._session_load is not None and self._made > made:
            self._session_load.frame(self._cpu_s, self._turn_s, late_s)
            self._cpu_s = 0.0

    def _make_frame(self) -> None:
        with self._changed:
            self._let_go()
            interrupted = self._speech is not None and self._speech.utterance is not self._first()
        if interrupted:
            self._forget()
        self._act()
        with self._in_time():  # for all of it: what two sessions did at once, they would do in turns at Python's own lock, hundreds a frame
            frame = self._spoken()
            speaking = frame is not None
            if frame is None:
                frame = self._idle()
            if self._label is not None:
                self._label.draw(frame)
            if self._mark is not None:
                self._mark.draw(frame)
        with self._changed:
            if self._speech is not None and self._speech.utterance is not self._first():
                return  # interrupted meanwhile
            sound, n_speech = self._sound(speaking)
            self._last_sample = float(sound[-1])
            at_s = self._made / FPS
            self._waiting.append(LiveFrame(frame, sound[None], self._generation, at_s, speaking, n_speech, self._n_over))
            self._made += 1
            self._n_spoken += speaking
            if speaking and self._speech is not None and (say := self._speech.utterance.say) is not None:
                for begun in say.begun(self._speech.utterance.taken):
                    self._event("saying", begun, at=self._made - 1)
            if self._beside is not None and (speaking or self._speaking):
                self._tell_beside(self._beside, speaking)
            if self._speaking and not speaking:
                self._event("idle", at=self._made - 1)
            self._speaking = speaking
            if self._clock() >= self._next_stats_s:
                self._next_stats_s = self._clock() + self.options.stats_every_s
                self._event("stats", self.stats())

    def _tell_beside(self, beside: BesideFrames, speaking: bool) -> None:
        """Of the frame just made, which speaks, or is the first that does not."""
        frame, generation, rate_hz = self._made - 1, self._generation, self.options.sound_rate_hz
        if not speaking or self._speech is None:
            beside.rests(frame, generation)
            return
        beside.spoken(frame, generation)
        beside.heard(self._speech.mouths_told())
        taken, say = self._speech.utterance.taken, self._speech.utterance.say
        if say is None:
            return
        for start, end, text in say.words_begun(taken):
            about = {"id": say.id, "text": text, "duration_s": round((end - start) / rate_hz, 3)}
            beside.word(frame, generation, (start - taken) / rate_hz + 1 / FPS, about)

    def _spoken(self) -> Frame | None:
        """The next frame of speech; None where there is none."""
        while True:
            with self._changed:
                if self._speech is None:
                    utterance = self._next_utterance()
                    if utterance is None:
                        return None
                    mouth = None if self._beside is None else MouthFrames()
                    self._speech = Speech(self._session, utterance, self._changed, self.options.fill, mouth)
                    self._listening = iter(())
                    self._event("speaking")
                elif self._speech.utterance.exhausted:
                    self._end_if_silent(self._speech.utterance)
                self._changed.notify_all()  # there will be room for more sound
            frame = self._speech.next_frame()
            if frame is not None:
                return frame
            with self._changed:
                if self._first() is self._speech.utterance:
                    self._over()
                    if self._beside is not None:
                        self._beside.heard(self._speech.mouths_told())
                self._n_filled += self._speech.n_filled
                self._speech = None

    def _idle(self) -> Frame:
        frame = next(self._listening, None)
        if frame is None:
            self._listening = self._session.idle(KEYFRAME_FRAMES)
            frame = next(self._listening)
        return frame

    def _sound(self, speaking: bool) -> tuple[Samples, int]:
        """What is heard with the frame just made, (n,), and how many samples of it are spoken."""
        if speaking and self._speech is not None:
            utterance = self._speech.utterance
            taken = utterance.taken
            return utterance.next_sent(self._last_sample), utterance.taken - taken
        rate_hz = self.options.sound_rate_hz
        return fade_out(self._last_sample, rate_hz // FPS, rate_hz), 0

    def _act(self) -> None:
        """Takes over new controls where the engine can by now: an engine that cannot change a session gets another one."""
        with self._changed:
            controls, self._new_controls = self._new_controls, None
        if controls is None or self._session.set_controls(controls):
            return
        if self._speech is None:
            self._forget()
            self._session.close()
            with self._in_time():
                self._session = self._prepared.engine.session(self._prepared.registration, controls, self._render)
            return
        with self._changed:
            self._new_controls = self._new_controls or controls

    def _end(self) -> None:
        if self._session_load is not None:
            self._session_load.close()
        with self._changed:
            self._closed = True
            self._utterances.drop(0)
            self._out.clear()
            self._changed.notify_all()

    def _forget(self) -> None:
        """Ends what the engine is at."""
        if self._speech is not None:
            self._n_filled += self._speech.n_filled
            self._speech = None
        self._listening = iter(())
        self._session.interrupt()

    # ---- what is asked with the lock held

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """A turn on the device that is due when the next frame is."""
        with self._turn(time.monotonic() + self._due_in_s()):
            began_s = time.thread_time()
            try:
                yield
            finally:
                self._turn_s += time.thread_time() - began_s

    def _due_in_s(self) -> float:
        return self._start_s + self._made / FPS - self._clock()

    def _let_go(self) -> None:
        """Of the time that a reader or this machine lost beyond what can be caught up."""
        lost_s = -self._due_in_s() - MOST_LATE_S
        if lost_s > 0:
            self._start_s += lost_s
            self._lost_s += lost_s
            if not self._speaking:
                self._skipped += round(lost_s * FPS)

    def _first(self) -> Utterance | None:
        return self._utterances[0] if self._utterances else None

    def _next_utterance(self) -> Utterance | None:
        """The one whose speaking can begin: it has ended, or more of it is there than its first frame needs."""
        needed_s = (self._session.look_ahead_samples + SAMPLES_PER_FRAME) / SAMPLE_RATE_HZ + self.options.jitter_s
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
            self._event("said", utterance.say.report(utterance.taken, complete=not utterance.say.failed))

    def _end_if_silent(self, utterance: Utterance) -> None:
        if utterance.say is None and self._clock() - utterance.arrived_s >= self.options.gap_s:
            utterance.end()

    def _buffered_s(self) -> float:
        return self._utterances.buffered_s(texts=False) + self._utterances.buffered_s(texts=True)

    def _event(self, kind: EventKind, data: dict[str, Any] | None = None, at: int | None = None) -> None:
        self._out.append(LiveEvent(kind, self._generation, (self._made if at is None else at) / FPS, data or {}))
