"""Plays a clip for as long as a recording needs it: forth and back, again and again, or until its last frame stays.

Memory is the same for a clip of any length. Backwards it is decoded in pieces, each from the key frame before it; while one piece is given
out the next is decoded, a few frames at a time, so that no frame waits for a whole piece.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from typing import Self, TypeAlias

import av
import numpy as np

from core.clip_options import Longer
from core.media.clip_pictures import PictureMaker, numbered
from core.media.source import Clip
from core.media.video_decoding import VideoDecoder
from core.types import FPS, Frame

PIECE_BYTES = 64 * 2**20
"""Of pictures that are kept, as the decoder made them (1.5 bytes for a pixel of most); as many again while the next piece is decoded."""
LEAST_FRAMES = 4
_NEIGHBOURS = 2
"""Pictures before it that a deinterlaced one was made with the help of."""

Picture: TypeAlias = av.VideoFrame | Frame
"""As the decoder made it, or as it is shown."""
Pictures = dict[int, Picture]
"""What is shown at a number of the clip's timeline."""
Piece = tuple[int, int]
"""The frames from the first index to before the second."""


class ClipReader(Iterator[tuple[int, Frame]]):
    """Gives (index, frame) for ever, in playing order: `index` counts the frames as `clip.frames(fps)` gives them, and the frame, (height,
    width, 3) uint8 RGB, belongs to whoever takes it. Not thread-safe; close it. Raises ImageError where nothing can be decoded.

    n_frames: of the clip, at `fps`. piece_bytes: as PIECE_BYTES.
    """

    def __init__(self, clip: Clip, fps: float = FPS, longer: Longer = "bounce", piece_bytes: int = PIECE_BYTES) -> None:
        self._clip, self._longer, self._piece_bytes = clip, longer, piece_bytes
        self._shown: list[int] = clip.shown(fps).tolist()
        self.n_frames = len(self._shown)
        self._decoder = VideoDecoder(clip.data, clip.name)
        self._make = PictureMaker(self._decoder.pixel_shape, (clip.width, clip.height))
        self._made: tuple[av.VideoFrame, Frame] | None = None
        self._first_bytes = 0
        self._pieces: list[Piece] = []
        self._last_piece: Pictures = {}
        self._playing = self._play()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __next__(self) -> tuple[int, Frame]:
        return next(self._playing)

    def close(self) -> None:
        """Lets go of all that it holds; nothing can be read afterwards."""
        self._playing.close()
        self._made, self._last_piece = None, {}
        self._decoder.close()

    def _play(self) -> Generator[tuple[int, Frame], None, None]:
        while True:
            last = yield from self._forward()
            while self._longer == "freeze" or self.n_frames == 1:
                yield self.n_frames - 1, self._picture(last)
            if self._longer == "bounce":
                yield from self._backward()

    def _picture(self, picture: Picture) -> Frame:
        """A picture that is shown several times is made once."""
        if isinstance(picture, np.ndarray):
            return picture.copy()
        if self._made is None or self._made[0] is not picture:
            self._made = picture, self._make(picture)
        return self._made[1].copy()

    def _forward(self) -> Generator[tuple[int, Frame], None, av.VideoFrame]:
        """Returns the last picture."""
        coming = numbered(self._from_the_start(), self._clip.timeline)
        now, after = next(coming), next(coming, None)
        self._pieces = self._pieces or self._cut(now[1])
        kept: Pictures = {}
        for index, number in enumerate(self._shown):
            while after is not None and after[0] <= number:
                now, after = after, next(coming, None)
            if self._longer == "bounce" and index >= self._pieces[0][0]:
                if number not in kept:
                    kept[number] = self._kept(now[1])
            yield index, self._picture(now[1])
        self._last_piece = kept
        return now[1]

    def _backward(self) -> Iterator[tuple[int, Frame]]:
        pictures, self._last_piece = self._last_piece, {}
        for piece, before in zip(self._pieces, [*self._pieces[1:], None], strict=True):
            following: Pictures = {}
            loading, steps = (iter(()), 0) if before is None else (self._load(before, following), self._steps(before, piece))
            for index in range(piece[1] - 1, piece[0] - 1, -1):
                for _ in range(steps):
                    next(loading, None)
                yield index, self._picture(pictures[self._shown[index]])
            for _ in loading:
                pass
            pictures = following

    def _kept(self, picture: av.VideoFrame) -> Picture:
        """One whose size has grown midway is kept as it is shown: the pieces were cut for pictures like the first."""
        return picture if _nbytes(picture) <= 2 * self._first_bytes else self._make(picture)

    def _cut(self, picture: av.VideoFrame) -> list[Piece]:
        """The pieces in which the clip is played backwards, the last first. They begin at key frames where these lie close enough."""
        self._first_bytes = max(_nbytes(picture), self._clip.width * self._clip.height * 3 // 2)
        most = max(LEAST_FRAMES, self._piece_bytes // self._first_bytes)
        keys = set(self._clip.timeline.keys.tolist())
        pieces, end = [], self.n_frames
        while end:
            least = max(0, end - most)
            starts = [index for index in range(least, end - 1) if self._shown[index] in keys]
            first = least if not least or not starts else starts[0]
            pieces.append((first, end))
            end = first
        return pieces

    def _key_before(self, number: int) -> int:
        """Where decoding has to begin for the picture of that number."""
        keys = self._clip.timeline.keys
        back = max(0, number - (_NEIGHBOURS if self._decoder.deinterlaced else 0))
        return int(keys[max(0, int(keys.searchsorted(back, side="right")) - 1)])

    def _steps(self, before: Piece, piece: Piece) -> int:
        """Pictures to decode of `before` with each frame that is given out of `piece`."""
        to_decode = self._shown[before[1] - 1] + 1 - self._key_before(self._shown[before[0]])
        return math.ceil(to_decode / (piece[1] - piece[0]))

    def _load(self, piece: Piece, into: Pictures) -> Iterator[None]:
        """Decodes the pictures of a piece, one with each step, the same as forward: a damaged one is the one before it."""
        wanted = list(dict.fromkeys(self._shown[piece[0] : piece[1]]))
        key = self._key_before(wanted[0])
        for start in (key, 0):
            coming = self._from_the_start() if start == 0 else self._from_key(start)
            at, now = 0, None
            for number, picture in numbered(coming, self._clip.timeline):
                if now is None and start and number > start:
                    break  # not where it was sent: from the start, then
                yield
                while at < len(wanted) and now is not None and wanted[at] < number:
                    into[wanted[at]] = self._kept(now)
                    at += 1
                now = picture
                if at == len(wanted):
                    return
            if now is not None:
                into.update(dict.fromkeys(wanted[at:], self._kept(now)))
                return

    def _from_key(self, number: int) -> Iterator[av.VideoFrame]:
        return self._decoder.frames(int(self._clip.timeline.pts[number]))

    def _from_the_start(self) -> Iterator[av.VideoFrame]:
        """With a decoder of its own, as nobody knows where seeking to the first picture leads in every container."""
        self._decoder.close()
        self._decoder = VideoDecoder(self._clip.data, self._clip.name)
        return self._decoder.frames()


def _nbytes(picture: av.VideoFrame) -> int:
    return sum(plane.buffer_size for plane in picture.planes)
