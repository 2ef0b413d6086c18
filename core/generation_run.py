"""Generates the frames of one recording with one session, writes them into a file, and reports what was made and how fast.

Streams take the same frames (core/streaming/recording.py).
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from core.aux_models.shown_frames import skipped_spans, skipped_warnings
from core.engines.base import Session
from core.errors import OptionError
from core.generation import Generation, GenerationInfo, Progress, SkipReason
from core.media.burned_captions import BurnedCaptions
from core.media.clip_sound import ClipSound
from core.media.label import Label
from core.media.sound_track import BesideSpeech
from core.media.video import VideoWriter
from core.notices import notice
from core.provenance.signing import Signer
from core.run_request import PreparedRun
from core.scheduler import Job, Scheduler
from core.sync.meter import NOT_MEASURED, Sync, SyncMeter
from core.sync.picture import Box
from core.types import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Audio, AudioStream, Frame, exact_rate


class Turn(Protocol):
    """Gives a turn on the device; as `Scheduler.device_turn`."""

    def __call__(self, due_s: float | None = None) -> AbstractContextManager[Any]: ...


TURN_S = 0.02
"""A turn of a run ends about then, with the frame it is at: live sessions have frames due every 40 ms."""
PREVIEW_S = 2
"""Of a preview: what can be looked at while the rest is made."""
HELD_BYTES = 48 * 2**20
"""Of frames that wait until the preview is finished, before they are encoded for the whole video: as many as 512×512 pixels need."""
CATCH_UP = 2
"""Frames that are encoded for each one that is drawn, as long as some of them wait."""
STEP_FRAMES = 5
"""As much of a text is heard at a time, be it spoken already or not. The session says how much of a recording is, and how many frames are
taken in one turn on the device.
"""


def session_turn(session: Session, scheduler: Scheduler) -> Turn:
    """How a session's frames get their turn on the device: at once, where its engine shares the device among sessions itself."""
    if not session.takes_turns:
        return lambda due_s=None: nullcontext()
    session.pause = scheduler.pass_turn
    return scheduler.device_turn


class GenerationRun:
    """The frames of `audio`, made with `session` on the person in `prepared`; the scheduler gives turns on the device."""

    def __init__(self, prepared: PreparedRun, session: Session, audio: Audio | AudioStream, scheduler: Scheduler) -> None:
        self.prepared, self.session, self.audio = prepared, session, audio
        self.options = prepared.loaded.request.options
        self.metadata = prepared.metadata()
        self.rate = exact_rate(session.fps)
        self.beside, self._sound_warnings = self._beside()
        self.n_frames = 0
        """Frames made so far."""
        self._skipped: list[SkipReason | None] = []
        self._turn = session_turn(session, scheduler)
        self._ready_s = time.perf_counter()
        self._first_s = 0.0

    @property
    def total(self) -> int:
        """Frames of the whole; 0 while the recording is still being made."""
        if self.audio.n_frames is None:
            return 0
        spoken = math.ceil(round(self.audio.duration_s * SAMPLE_RATE_HZ) * self.rate / SAMPLE_RATE_HZ)
        return max(spoken, self._rest_to)

    @property
    def _rest_to(self) -> int:
        """Where the rest of the clip is shown after the recording: the frames that it has."""
        return self.session.clip_frames if self.options.shorter == "rest" else 0

    def _beside(self) -> tuple[BesideSpeech, tuple[str, ...]]:
        """What is heard besides the recording, and what is not though it was asked for."""
        goes_on, level, clip = self._rest_to > 0, self.options.keep_background, self.prepared.clip
        if clip is None or not level:
            return BesideSpeech(goes_on), ()
        sound = ClipSound.of(clip, max(1, self.session.clip_frames), self.rate, self.options.longer)
        if not sound.is_there():
            return BesideSpeech(goes_on), (notice("background_mute"),)
        return BesideSpeech(goes_on, sound, level), ()

    def goes_on(self) -> bool:
        """Whether more frames will follow those made so far."""
        return not self.total or self.n_frames < self.total

    def write_video(self, job: Job[Any], output: Path, signer: Signer | None, preview: Path | None = None) -> Generation:
        """Writes every frame and the sound into a video file, signed where there is a signer.

        preview: the first PREVIEW_S of a longer video are written there as well, and can be seen as soon as they are made.
        """
        sign = None if signer is None else partial(signer.sign, metadata=self.metadata)
        audio, n_first = whole(self.audio), round(PREVIEW_S * self.rate)
        with ExitStack() as stack:
            frames = stack.enter_context(closing(self.frames(job)))
            writing = partial(
                VideoWriter, width=self.session.width, height=self.session.height, audio=audio, fps=self.session.fps,
                beside=self.beside, metadata=self.metadata, sign=sign, crf=self.options.crf,
            )  # fmt: skip
            writer = stack.enter_context(writing(output))
            previewed = preview is not None and self.total > n_first
            first = stack.enter_context(writing(preview, at_once=True)) if preview is not None and previewed else None
            meter = stack.enter_context(SyncMeter(audio.samples, self.session.fps))
            waiting: deque[tuple[int, Frame, Box | None]] = deque()

            def write(most: int) -> None:
                for _ in range(min(most, len(waiting))):
                    n, frame, face_box = waiting.popleft()
                    writer.write(frame)
                    if self._skipped[n] is None:
                        meter.offer(n, frame, face_box)

            for frame in frames:
                waiting.append((self.n_frames - 1, frame, self.session.face_box))
                if first is not None and self.n_frames <= n_first:
                    first.write(frame)
                    if self.n_frames < n_first and len(waiting) * frame.nbytes < HELD_BYTES:
                        continue  # nothing else takes time from what somebody waits for
                    if self.n_frames == n_first:
                        first.close()
                        job.report(Progress("animating", self.n_frames, self.total, preview=True))
                write(CATCH_UP)
            write(len(waiting))
            job.report(Progress("finishing", self.n_frames, self.total))
        return Generation(output, self.info(meter.sync()))

    def frames(self, job: Job[Any]) -> Generator[Frame, None, None]:
        """Every frame once; reports to `job` after each step. Close it to free what the session holds."""
        width, height = self.session.width, self.session.height
        label = Label(width, height) if self.options.label else None
        captions = BurnedCaptions(width, height) if self.options.burn_captions else None
        mark = self.prepared.loaded.marker.mark(width, height) if self.options.mark else None
        job.report(Progress("animating", 0, self.total))
        try:
            for waiting in self._coming():
                while True:  # a push may yield many frames at once: they are taken a step at a time
                    frames, through = self._step(waiting)
                    for frame in frames:
                        if label is not None:
                            label.draw(frame)
                        if captions is not None:
                            captions.draw(frame, self.audio.words, self.n_frames / self.session.fps)
                        if mark is not None:
                            mark.draw(frame)
                        if not self.n_frames:
                            self.first_out()
                        self.n_frames += 1
                        yield frame
                    job.report(Progress("animating", self.n_frames, self.total))
                    if through:
                        break
        finally:
            self.session.interrupt()  # ends what an engine does on threads of its own
            self.session.close()

    def _coming(self) -> Iterator[Iterator[Frame]]:
        """What the session makes of each step of the recording, of its end, and of the rest of the clip where that is shown."""
        n_told, heard = 0, STEP_FRAMES
        if isinstance(self.audio, Audio) and not self.audio.phones:
            self.session.foresee(self.audio.samples)
            heard = self.session.push_frames
        for chunk in self.audio.steps(heard * SAMPLES_PER_FRAME):
            known = self.audio.phones
            self.session.expect(known[n_told:])
            n_told = len(known)
            yield self.session.push(chunk)
        yield self.session.flush()
        if self.n_frames < self._rest_to:
            yield self.session.idle(self._rest_to - self.n_frames)

    def _step(self, waiting: Iterator[Frame]) -> tuple[list[Frame], bool]:
        """The frames of one turn, as many as it has time for; and whether there are no more."""
        frames: list[Frame] = []
        with self._turn():
            began = time.perf_counter()
            while len(frames) < self.session.step_frames:
                frame = next(waiting, None)
                if frame is None:
                    return frames, True
                frames.append(frame)
                self._skipped.append(self.session.skipped)
                if (time.perf_counter() - began) * (len(frames) + 1) / len(frames) > TURN_S:
                    break
        return frames, False

    def first_out(self) -> None:
        """Something can be seen from now on: the first frame, or, said by whoever streams, the first encoded piece."""
        self._first_s = time.perf_counter()

    def info(self, sync: Sync = NOT_MEASURED) -> GenerationInfo:
        """The facts about the finished video; call it after the last frame."""
        prepared, audio_s = self.prepared, self.audio.duration_s
        skipped = skipped_spans(self._skipped, float(self.rate))
        said = (*skipped_warnings(skipped, self.n_frames / float(self.rate)), *sync.warnings)
        wall_s = time.perf_counter() - prepared.started_s
        return GenerationInfo(
            engine=prepared.engine.name,
            engine_reason=prepared.loaded.reason,
            frames=self.n_frames,
            fps=int(self.rate) if self.rate.denominator == 1 else round(float(self.rate), 3),
            width=self.session.width,
            height=self.session.height,
            audio_s=round(audio_s, 3),
            wall_s=round(wall_s, 3),
            rtf=round(wall_s / audio_s, 4),
            first_frame_ms=round((self._first_s - self._ready_s) * 1000, 1),
            register_ms=prepared.register_ms,
            load_ms=prepared.loaded.load_ms,
            seed=self.options.seed,
            warnings=(*prepared.warnings, *self.session.warnings, *self._sound_warnings, *self.audio.warnings, *said),
            avatar=prepared.avatar,
            label=self.options.label,
            mark=self.options.mark,
            skipped=skipped,
            sync_offset_ms=sync.offset_ms,
            sync_confidence=sync.confidence,
        )


def whole(audio: Audio | AudioStream) -> Audio:
    """Raises OptionError for a recording that is still being made."""
    if not isinstance(audio, Audio):
        raise OptionError("A video file is made of a whole recording, and this one is still being made.", "Wait for its end, or stream it.")
    return audio
