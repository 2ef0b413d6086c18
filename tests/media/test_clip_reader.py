"""Clips that play for ever: the order of their frames, and what is held while they do."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from core.clip_options import Longer, clip_index
from core.media.clip_reader import ClipReader
from core.media.source import Clip
from tests.support.clip_files import SIZE, clip, clip_file, moving, picture

N = 40
PICTURE_BYTES = 2 * SIZE[0] * SIZE[1]
"""Of one decoded picture, at most, with what its rows are padded by."""


@pytest.fixture(scope="module")
def read() -> Clip:
    """One key frame at the beginning: everything else depends on it."""
    return moving(N, gop=400)


@pytest.mark.parametrize("longer", ["bounce", "loop", "freeze"])
@pytest.mark.parametrize("fps", [25, 60, 12.5, 30000 / 1001])
def test_the_order_and_the_frames_at_any_rate(read: Clip, longer: Longer, fps: float) -> None:
    frames = list(read.frames(fps))
    with ClipReader(read, fps, longer, piece_bytes=9 * PICTURE_BYTES) as reader:
        assert reader.n_frames == len(frames) == round(N / 25 * fps)
        for i in range(3 * len(frames)):
            index, frame = next(reader)
            assert index == clip_index(i, len(frames), longer)
            np.testing.assert_array_equal(frame, frames[index])


def test_each_frame_belongs_to_whoever_takes_it(read: Clip) -> None:
    frames = list(read.frames(60))
    with ClipReader(read, 60, "freeze") as reader:
        for _, (index, frame) in zip(range(3 * len(frames)), reader, strict=False):
            np.testing.assert_array_equal(frame, frames[index])
            frame[:] = 0


@pytest.mark.parametrize("longer", ["bounce", "loop", "freeze"])
def test_a_clip_of_one_picture(longer: Longer) -> None:
    with ClipReader(moving(1), longer=longer) as reader:
        taken = list(itertools.islice(reader, 5))
    assert [index for index, _ in taken] == [0] * 5
    assert all(np.array_equal(frame, taken[0][1]) for _, frame in taken)


def test_only_what_is_used_of_a_long_clip_is_played(read: Clip) -> None:
    with ClipReader(dataclasses.replace(read, max_frames=10)) as reader:
        assert reader.n_frames == 10
        assert [index for index, _ in itertools.islice(reader, 22)] == [clip_index(i, 10, "bounce") for i in range(22)]


def test_backwards_no_more_is_held_than_two_pieces_and_no_frame_waits_for_one(read: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    most, decoded = 0, []
    pieces: list[dict[int, object]] = []
    load = ClipReader._load

    def counting(self: ClipReader, piece: tuple[int, int], into: dict[int, object]) -> object:
        pieces.append(into)
        for step in load(self, piece, into):  # type: ignore[arg-type]
            decoded[-1] += 1
            yield step

    monkeypatch.setattr(ClipReader, "_load", counting)
    with ClipReader(read, piece_bytes=8 * PICTURE_BYTES) as reader:
        for _ in range(2 * N):
            decoded.append(0)
            next(reader)
            most = max(most, sum(len(into) for into in pieces[-2:]))
    assert 8 <= most <= 2 * 10
    # To the last piece but one 30 pictures lead from the only key frame, and a piece has about 8 frames.
    assert max(decoded) <= 5
    assert sum(decoded) > N


def test_pictures_that_grow_midway_hold_no_more_memory_than_pieces_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """After eight small pictures come such as have 64 times the bytes: few bytes of a file can claim very large ones."""
    large = (8 * SIZE[0], 8 * SIZE[1])
    read = clip(b"".join(clip_file([picture(i, size) for i in range(n)], form="mpegts") for size, n in ((SIZE, 8), (large, 24))))
    pieces: list[dict[int, Any]] = []
    load = ClipReader._load

    def noting(self: ClipReader, piece: tuple[int, int], into: dict[int, Any]) -> Any:
        pieces.append(into)
        yield from load(self, piece, into)

    monkeypatch.setattr(ClipReader, "_load", noting)
    frames, most = list(read.frames()), 0
    with ClipReader(read, piece_bytes=8 * PICTURE_BYTES) as reader:
        for _ in range(2 * len(frames)):
            index, frame = next(reader)
            np.testing.assert_array_equal(frame, frames[index])
            held = [*pieces[-2:], reader._last_piece]
            most = max(most, sum(nbytes(one) for pictures in held for one in pictures.values()))
    assert PICTURE_BYTES < most <= 3 * 2 * 8 * PICTURE_BYTES


def nbytes(one: Any) -> int:
    return one.nbytes if isinstance(one, np.ndarray) else sum(plane.buffer_size for plane in one.planes)


def test_a_closed_reader_gives_nothing(read: Clip) -> None:
    reader = ClipReader(read)
    next(reader)
    reader.close()
    with pytest.raises(StopIteration):
        next(reader)
