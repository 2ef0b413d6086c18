"""Writes frames and a recording as one MP4 file, which appears at its path when it is complete.

    with VideoWriter(Path("out.mp4"), 320, 320, audio) as writer:
        for frame in frames:
            writer.write(frame)

H.264 yuv420p at a constant rate and AAC of the original sound, both from 0, index in front. Encoding runs in a thread of its own
behind a short queue, so that it overlaps with rendering; sound is encoded along with the frames it belongs to, never ahead of
the first. How it is encoded, and why so, is told in `encoders.py`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO, Self

import av
import numpy as np

from core.errors import EncodingError, OutputError, TalkingHeadError, disk_error, is_disk_full
from core.media.encoders import as_picture
from core.media.mp4 import Mp4Muxer
from core.media.sound_track import ALONE, BesideSpeech, SoundTrack
from core.stage_times import stage
from core.thread_priority import PATIENT, PATIENT_SOON, be_patient
from core.types import FPS, Audio, Frame, exact_rate

_QUEUED_FRAMES = 8
_SOUND_FRAMES = FPS // 2
"""Where nobody waits, so many frames' sound is encoded at a time, which costs less than to go to and fro."""
_NO_METADATA: Mapping[str, str] = MappingProxyType({})


class VideoWriter:
    """Context manager that writes one video.

    Leaving the block normally (or `close`) finishes the file and moves it to `path`, replacing what was there; leaving it by any
    exception leaves nothing behind and an older file at `path` untouched.
    The sound is cut where the frames end, and filled with silence when they go on more than one frame longer.

    path: parents are made. width, height: even. fps: frames per second. beside: what is heard besides the recording. metadata: written to
    the container. sign: called with the finished file before it is moved into place, and may replace it; what it raises ends the writing
    like any other error. crf: as `RenderOptions` has it; None: the usual. at_once: somebody waits for it: no frame is held back to be
    encoded better, and more of the processor is asked for.
    Raises OutputError (cannot be written there, disk full), EncodingError (encoder failed, no or ill-shaped frames) and AudioError
    (audio.original does not decode), from any of its methods: the first error of the encoding thread comes out of the next call.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        audio: Audio,
        *,
        fps: float = FPS,
        beside: BesideSpeech = ALONE,
        metadata: Mapping[str, str] = _NO_METADATA,
        sign: Callable[[Path], None] | None = None,
        crf: int | None = None,
        at_once: bool = False,
    ) -> None:
        if width <= 0 or height <= 0 or width % 2 or height % 2:
            raise EncodingError(f"A video of {width}×{height} pixels cannot be encoded.", "Both sides must be even.")
        self._path = Path(path)
        self._shape = (height, width, 3)
        self._audio, self._rate, self._beside = audio, exact_rate(fps), beside
        self._metadata = dict(metadata)
        self._sign = sign
        self._crf, self._at_once = crf, at_once
        self._queue: queue.Queue[Frame | None] = queue.Queue(_QUEUED_FRAMES)
        self._given_up = threading.Event()
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._made: list[Path] = []
        self._part = self._path
        self._closed = False
        self.n_frames = 0
        """Frames written so far."""

    def __enter__(self) -> Self:
        target = regular(self._path)
        self._made = make_parents(target.parent)
        try:
            self._part, sink = open_beside(target)
            self._thread = threading.Thread(target=self._run, args=(sink, self._part), name="video-encoder", daemon=True)
            self._thread.start()
        except BaseException:
            self._give_up()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._give_up()

    def write(self, frame: Frame) -> None:
        """Appends one (H, W, 3) uint8 RGB frame, which nobody changes any more. Waits while the encoder is a few frames behind."""
        if self._thread is None or self._closed:
            raise EncodingError("The video is not open for writing.", "Use the writer as a context manager.")
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise EncodingError(f"A frame is {frame.shape} {frame.dtype} where the video is {self._shape} uint8.")
        self._raise_error()
        self._queue.put(frame)  # the thread takes from the queue until the end, also after an error: no wait is for ever
        self.n_frames += 1

    def close(self) -> None:
        """Finishes the file and moves it into place. Does nothing the second time."""
        if self._closed or self._thread is None:
            return
        try:
            self._queue.put(None)
            self._thread.join()
            self._raise_error()
            if not self.n_frames:
                raise EncodingError("There were no frames to encode.")
            if self._sign is not None:
                self._sign(self._part)
            try:
                os.replace(self._part, regular(self._path))
            except OSError as error:
                raise as_project_error(error, self._path) from error
        except BaseException:
            self._give_up()
            raise
        self._closed = True

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _give_up(self) -> None:
        """Stops the thread and removes what was made."""
        if self._closed:
            return
        self._closed = True
        self._given_up.set()
        if self._thread is not None:
            with contextlib.suppress(queue.Empty):
                while True:
                    self._queue.get_nowait()
            self._queue.put(None)  # there is room: nobody else fills the queue
            self._thread.join()
        if self._part != self._path:
            self._part.unlink(missing_ok=True)
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):  # someone else uses it by now
                folder.rmdir()

    def _run(self, sink: BinaryIO, part: Path) -> None:
        """The encoding thread. Errors wait in self._error for the next call. A file can wait, what is live cannot."""
        be_patient(PATIENT_SOON if self._at_once else PATIENT)  # the encoder's own threads as well
        frames = self._queued()
        try:
            with contextlib.closing(SoundTrack(self._audio, self._rate, self._beside)) as track:
                self._encode(sink, part, track, frames)
                sink.close()  # flushes: the last bytes may not fit either
        except Exception as error:
            self._error = as_project_error(error, self._path)
            for _ in frames:  # to the end, if that has not come yet
                pass
        finally:
            with contextlib.suppress(OSError):
                sink.close()
            if self._given_up.is_set() or self._error is not None:
                part.unlink(missing_ok=True)

    def _queued(self) -> Iterator[Frame]:
        while (frame := self._queue.get()) is not None:
            yield frame

    def _encode(self, sink: BinaryIO, part: Path, track: SoundTrack, frames: Iterator[Frame]) -> None:
        height, width, _ = self._shape
        sound = track.rate_hz, track.channels
        muxer = Mp4Muxer(
            sink, lambda: part.open("rb"), width, height, *sound, self._metadata, self._crf, self._rate, self._at_once
        )  # fmt: skip
        n_frames = 0
        for n_frames, frame in enumerate(frames, start=1):
            with stage("encode"):
                muxer.add_frame(as_picture(frame))
                if self._at_once or n_frames % _SOUND_FRAMES == 0:
                    muxer.add_sound(track.read_to(n_frames))
        if self._given_up.is_set() or not n_frames:
            sink.close()  # before the muxer goes: it would finish an open file
            return
        muxer.add_sound(track.read_to(n_frames))
        muxer.add_sound(track.silence_to(n_frames))
        muxer.finish()


def encode(
    frames: Iterable[Frame], path: Path, audio: Audio, width: int, height: int, metadata: Mapping[str, str] = _NO_METADATA
) -> int:
    """Writes all `frames` with VideoWriter; returns how many there were."""
    with VideoWriter(path, width, height, audio, metadata=metadata) as writer:
        for frame in frames:
            writer.write(frame)
    return writer.n_frames


def check_writable(path: Path) -> None:
    """Raises OutputError when no file can be put at `path`, by trying; leaves nothing behind. For before any work is done."""
    target = regular(Path(path))
    made = make_parents(target.parent)
    try:
        part, sink = open_beside(target)
        sink.close()
        part.unlink()
    finally:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()


def regular(path: Path) -> Path:
    """The path with links followed. Raises OutputError when something stands there that is not a file."""
    try:
        target = path.resolve()
        mode = target.stat().st_mode
    except FileNotFoundError:
        return target
    except OSError as error:  # a file where a folder belongs, a name too long
        raise as_project_error(error, path) from error
    except (RuntimeError, ValueError) as error:  # a loop of links, a NUL in the path
        raise OutputError(f"{path!r} is not a usable path ({error}).", "Give another path.") from error
    if stat.S_ISDIR(mode):
        raise OutputError(f"{path} is a folder.", "Give the name of a file in it.")
    if not stat.S_ISREG(mode):  # moving a file onto a device would replace the device
        raise OutputError(f"{path} is not a regular file.", "Give another path.")
    return target


def make_parents(folder: Path) -> list[Path]:
    """Makes `folder`; returns those that were missing, outermost first."""
    missing: list[Path] = []
    try:
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        missing.reverse()
        for made in missing:
            made.mkdir(exist_ok=True)
    except OSError as error:
        for made in reversed(missing):
            with contextlib.suppress(OSError):
                made.rmdir()
        raise as_project_error(error, missing[-1]) from error
    return missing


def open_beside(target: Path) -> tuple[Path, BinaryIO]:
    """A new file next to `target` (the same file system, so that moving it is one step), hidden and with a name of its own."""
    part = target.parent / f".{secrets.token_hex(8)}.mp4.part"
    try:
        return part, part.open("xb")
    except OSError as error:
        raise as_project_error(error, target) from error


def as_project_error(error: Exception, path: Path) -> TalkingHeadError:
    """Converts an error of the file system or the encoders to one that the caller may see."""
    if isinstance(error, TalkingHeadError):
        return error
    if isinstance(error, OSError) and (is_disk_full(error) or not isinstance(error, av.FFmpegError)):
        return disk_error(error, f"{path} cannot be written", "Choose a place you may write to.")
    wrapped = EncodingError(f"The video could not be encoded ({error}).")
    wrapped.__cause__ = error
    return wrapped
