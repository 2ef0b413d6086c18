"""Streams the video of a whole recording, or of one that is still being made, in pieces while it is being made.

The job never waits for its reader: what was not taken yet is kept in a spool (spool.py), bounded in bytes. Where other jobs wait for a
place, a stream that is well ahead of its player lets them have its own, and goes on when the player needs more, or nobody waits. So neither
a reader that does not read nor a long recording keeps others waiting, and alone a stream is made as fast as the machine can.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Self

from core.errors import Cancelled, EncodingError, TalkingHeadError
from core.generation import GenerationInfo, Progress
from core.generation_run import STEP_FRAMES, GenerationRun
from core.media.codec_facts import AAC_FRAME
from core.media.encoders import as_picture
from core.media.fragmented_mp4 import FragmentedMp4
from core.media.kept_stream import KeptStream
from core.media.segments import Segment
from core.media.sound_track import SoundTrack
from core.scheduler import Job
from core.streaming.spool import Spool, SpoolRoom
from core.types import FPS

FIRST_FRAMES, MOST_FRAMES = STEP_FRAMES, 2 * FPS
"""Frames of the first piece, which is out after one step, and of the longest. Between them each is at most twice as long as the one before:
whoever makes frames in half the time they play never lets the player wait."""
SOUND_AHEAD = 3 * AAC_FRAME
"""More than the sound encoder keeps back: given so much earlier, the sound of a piece is in that piece."""
AHEAD_S, ENOUGH_S = 3.0, 2.0
"""A stream that is made so much further than its player can be lets others go first, until no more than that is left."""


class SegmentStream(Iterator[Segment]):
    """Pieces of one video as they are made. One reader; `close` may come from any thread.

    room: for what the reader has not taken. keep: where the whole video is kept besides, once it is complete. job: of the scheduler; its
    result, which does not wait for the reader, tells what was made (first_frame_ms: to the first media piece). It fails with OutputError
    where the room or the disk is full.
    mime_type: with codecs, as Media Source Extensions ask for it; known with the first piece.
    """

    def __init__(
        self,
        start_run: Callable[[Job[GenerationInfo]], GenerationRun],
        submit: Callable[[Work], Job[GenerationInfo]],
        room: SpoolRoom,
        keep: KeptStream | None = None,
    ) -> None:
        self._start_run, self._keep = start_run, keep
        self._changed = threading.Condition()  # guards these
        self._spool = Spool(room)
        self._made = self._read_all = False
        self._error: TalkingHeadError | None = None
        self._taken_s = 0.0
        """Of the video, by the reader."""
        self._first_s = 0.0
        """When there was something to play, by time.monotonic; 0.0 before."""
        self._used_s = time.monotonic()
        self.begun = False
        """Whether the reader has taken something."""
        self.mime_type = ""
        self.job = submit(self._work)
        self.job.when_ended(self._wake)

    def __next__(self) -> Segment:
        """Waits for a piece. Raises what ended the job, if something did, after the pieces made before it; and what `close` was given."""
        with self._changed:
            while not self._read_all:
                segment = self._spool.get()
                if segment is not None:
                    self.begun, self._read_all = True, segment.final
                    self._used_s, self._taken_s = time.monotonic(), segment.start_s + segment.duration_s
                    if segment.final:
                        self._spool.close()
                    return segment
                if self._made:
                    self._read_all = True
                    self.job.result()
                    break
                self._changed.wait()
            if self._error is not None:
                raise self._error
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def idle_s(self) -> float:
        """How long the reader has taken nothing, though the job may be done."""
        return time.monotonic() - self._used_s

    def close(self, error: TalkingHeadError | None = None) -> None:
        """Stops the job, which frees its place at its next step; what was not taken is dropped. Does not wait.

        error: what a reader that has not read all meets from now on; None where it is the reader that closes.
        """
        self.job.cancel()
        with self._changed:
            if error is not None and not self._read_all:
                self._error = error
            self._read_all = True
            self._spool.close()
            self._changed.notify_all()

    def _work(self, job: Job[GenerationInfo]) -> GenerationInfo:
        try:
            return self._make(job)
        finally:
            if self._keep is not None:
                self._keep.close()

    def _make(self, job: Job[GenerationInfo]) -> GenerationInfo:
        run = self._start_run(job)
        session, audio = run.session, run.audio
        with closing(SoundTrack(audio, run.rate, run.beside)) as track, closing(run.frames(job)) as frames:
            sound = track.rate_hz, track.channels
            video = FragmentedMp4(session.width, session.height, *sound, run.metadata, run.options.crf, run.rate)
            self.mime_type = video.mime_type
            length, wanted = FIRST_FRAMES, 0
            for n, frame in enumerate(frames, start=1):
                if n == 1:  # not before: what fails until then is told to the reader instead of a beginning
                    self._put(video.initialisation())
                video.add_frame(as_picture(frame), keyframe=n == wanted + 1)
                left = int((run.total - n) * track.rate_hz // run.rate) if run.total else SOUND_AHEAD
                video.add_sound(track.read_to(n, min(SOUND_AHEAD, max(left, 0))))
                if n == wanted + length and run.goes_on():
                    self._put(video.cut())
                    if not wanted:
                        run.first_out()
                        self._first_s = time.monotonic()
                    wanted, length = n, min(2 * length, MOST_FRAMES)
                if self._ahead_s(wanted / run.session.fps) > AHEAD_S:
                    job.give_way(partial(self._is_needed, wanted / run.session.fps))
            if not video.n_frames:
                raise EncodingError("There were no frames to encode.")
            job.report(Progress("finishing", run.n_frames, run.total))
            video.add_sound(track.silence_to(video.n_frames))
            self._put(video.cut(final=True))
            if not wanted:
                run.first_out()
            if self._keep is not None:
                self._keep.finish(run.metadata)
        job.report(Progress("done", run.n_frames, run.total))
        return run.info()

    def _ahead_s(self, put_s: float) -> float:
        """How far the video put so far reaches beyond what a player can have shown: it shows a second in a second, and what it has."""
        if not self._first_s:
            return 0.0
        return put_s - min(time.monotonic() - self._first_s, self._taken_s)

    def _is_needed(self, put_s: float) -> bool:
        return self._ahead_s(put_s) < ENOUGH_S

    def _put(self, segment: Segment) -> None:
        with self._changed:
            if self._read_all:
                raise Cancelled("The stream was closed.")
            self._spool.put(segment)
            self._changed.notify_all()
        if self._keep is not None:
            self._keep.write(segment.data)

    def _wake(self) -> None:
        with self._changed:
            self._made = True
            if self._read_all:
                self._spool.close()
            self._changed.notify_all()


Work = Callable[[Job[GenerationInfo]], GenerationInfo]
