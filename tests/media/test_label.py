"""The visible "AI" label: on arrays of every size, and in the frames of a real video."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest

from core.media.label import Label
from core.request import RenderOptions, Request
from core.studio import Studio
from core.types import Audio, Frame, Photo

SIZES = [(64, 64), (66, 1920), (128, 128), (320, 320), (512, 512), (1920, 1080), (1080, 1920), (1920, 1920)]


def changed(before: Frame, after: Frame) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the pixels that differ."""
    rows, columns = np.nonzero((before != after).any(axis=2))
    return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1


def luma(frame: Frame) -> np.ndarray:
    return frame.astype(np.float64) @ (0.2126, 0.7152, 0.0722)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("grey", [0, 90, 255])
def test_legible_in_its_corner_on_any_picture(width: int, height: int, grey: int) -> None:
    before = np.full((height, width, 3), grey, np.uint8)
    after = before.copy()
    label = Label(width, height)
    label.draw(after)
    top, bottom, left, right = label.box
    inner = changed(before, after)
    assert top <= inner[0] < inner[1] <= bottom < height
    assert 0 < left <= inner[2] < inner[3] <= right
    assert top > height * 0.7, "it stays clear of mouth and face"
    assert right < width / 2
    pill = luma(after[top:bottom, left:right])
    tall, wide = pill.shape
    letters = pill[tall // 4 : -(tall // 4), wide // 5 : -(wide // 5)]
    assert letters.max() > 240, "the letters are white"
    assert letters.max() - np.median(letters) > 100, "on something dark"
    assert 0.08 < (letters > 180).mean() < 0.6


def test_translucent_deterministic_and_nothing_else_is_touched() -> None:
    rng = np.random.default_rng(5)
    before = rng.integers(0, 256, (320, 320, 3), np.uint8)
    one, other = before.copy(), before.copy()
    Label(320, 320).draw(one)
    Label(320, 320).draw(other)
    assert np.array_equal(one, other)
    top, bottom, left, right = Label(320, 320).box
    outside = np.ones((320, 320), bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(one[outside], before[outside])
    assert np.unique(one[top + 2 : bottom - 2, left + 10 : left + 13]).size > 50, "the picture shows through"
    white = np.full((320, 320, 3), 255, np.uint8)
    Label(320, 320).draw(white)
    assert np.array_equal(white[0], np.full((320, 3), 255))


def test_grows_with_the_picture() -> None:
    heights = [Label(side, side).box[1] - Label(side, side).box[0] for side in (64, 320, 640, 1920)]
    assert heights == sorted(heights)
    assert heights[0] >= 12
    assert heights[3] == pytest.approx(6 * heights[1], rel=0.05)


@pytest.mark.parametrize("size", [64, 128, 320])
def test_in_the_frames_of_a_video_only_when_asked_for(
    studio: Studio, speech: Audio, portrait: Photo, tmp_path: Path, size: int
) -> None:
    short = dataclasses.replace(speech, samples=speech.samples[:3_200])
    videos = []
    for label in (False, True):
        generation = studio.generate(Request(short, portrait, options=RenderOptions(size=size, label=label)), tmp_path / "v.mp4")
        assert generation.info.label is label
        with av.open(str(generation.path)) as video:
            videos.append([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])
    top, bottom, left, right = Label(size, size).box
    for plain, marked in zip(*videos, strict=True):
        expected = plain.copy()
        Label(size, size).draw(expected)
        inside = slice(top, bottom), slice(left, right)
        drawn = luma(marked[inside])
        assert np.corrcoef(drawn.ravel(), luma(expected[inside]).ravel())[0, 1] > 0.9
        assert np.abs(drawn - luma(plain[inside])).max() > 60
        rest = np.abs(luma(marked) - luma(plain))[: top - 16]
        assert rest.mean() < 2, "the rest is the same picture"
