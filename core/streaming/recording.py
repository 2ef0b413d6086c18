"""Streams the video of a whole recording in pieces while it is being made.

The job runs ahead of its reader by a bounded number of pieces and then waits; a reader that is gone for long ends it.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Self

from core.errors import Cancelled, EncodingError
from core.generation_run import STEP_FRAMES, GenerationRun
from core.media.encoders import AAC_FRAME, as_picture
from core.media.fragmented_mp4 import FragmentedMp4, Segment
from core.media.sound_track import SoundTrack
from core.scheduler import Job
from core.types import FPS, GenerationInfo, Progress

FIRST_FRAMES, MOST_FRAMES = STEP_FRAMES, 2 * FPS
"""Frames of the first piece, which is out after one step, and of the longest. Between them each is at most twice as long as the one before:
whoever makes frames in half the time they play never lets the player wait."""
SOUND_AHEAD = 3 * AAC_FRAME
"""More than the sound encoder keeps back: given so much earlier, the sound of a piece is in that piece."""
QUEUED_SEGMENTS = 32
"""About a minute of video that waits for a slow reader: the job of a short recording is done whatever its reader does."""
READER_TIMEOUT_S = 60.0
"""A job whose full queue nobody reads for so long is given up: others wait for its place."""
_CHECK_S = 0.1
"""How often who waits looks whether the other side is gone."""


class SegmentStream(Iterator[Segment]):
    """Pieces of one video as they are made. One reader; `close` may come from any thread.

    job: of the scheduler; its result, once the stream is through, tells what was made (first_frame_ms: to the first media piece).
    mime_type: with codecs, as Media Source Extensions ask for it; known with the first piece.
    """

    def __init__(self, start_run: Callable[[Job[GenerationInfo]], GenerationRun], submit: Callable[[Work], Job[GenerationInfo]]) -> None:
        self._start_run = start_run
        self._queue: queue.Queue[Segment] = queue.Queue(QUEUED_SEGMENTS)
        self._read_all = False
        self.mime_type = ""
        self.job = submit(self._work)

    def __next__(self) -> Segment:
        """Waits for a piece. Raises what ended the job, if something did, after the pieces made before it."""
        while not self._read_all:
            ended = self.job.wait(0)  # asked first: whatever it made is in the queue by then
            try:
                segment = self._queue.get(timeout=None if ended and self._queue.qsize() else _CHECK_S)
            except queue.Empty:
                if not ended:
                    continue
                self._read_all = True
                self.job.result()
                break
            self._read_all = segment.final
            return segment
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the job, which frees its place at its next step; what is queued is dropped. Does not wait."""
        self.job.cancel()
        self._read_all = True

    def _work(self, job: Job[GenerationInfo]) -> GenerationInfo:
        run = self._start_run(job)
        session, audio = run.session, run.audio
        with closing(SoundTrack(audio)) as track, closing(run.frames(job)) as frames:
            video = FragmentedMp4(session.width, session.height, track.rate_hz, track.channels, run.metadata)
            self.mime_type = video.mime_type
            self._put(job, video.initialisation())
            length, wanted = FIRST_FRAMES, 0
            for n, frame in enumerate(frames, start=1):
                video.add_frame(as_picture(frame), keyframe=n == wanted + 1)
                left = (run.total - n) * track.rate_hz // FPS
                video.add_sound(track.read_to(n, min(SOUND_AHEAD, max(left, 0))))
                if n == wanted + length and n < run.total:
                    self._put(job, video.cut())
                    if not wanted:
                        run.first_out()
                    wanted, length = n, min(2 * length, MOST_FRAMES)
            if not video.n_frames:
                raise EncodingError("There were no frames to encode.")
            job.report(Progress("finishing", run.n_frames, run.total))
            video.add_sound(track.silence_to(video.n_frames))
            self._put(job, video.cut(final=True))
            if not wanted:
                run.first_out()
        job.report(Progress("done", run.n_frames, run.total))
        return run.info()

    def _put(self, job: Job[GenerationInfo], segment: Segment) -> None:
        """Waits for room. Raises Cancelled when the job was cancelled, or nobody reads."""
        deadline = time.monotonic() + READER_TIMEOUT_S
        while True:
            job.check()
            try:
                return self._queue.put(segment, timeout=_CHECK_S)
            except queue.Full:
                if time.monotonic() > deadline:
                    raise Cancelled(f"Nobody read the stream for {READER_TIMEOUT_S:g} s.") from None


Work = Callable[[Job[GenerationInfo]], GenerationInfo]
