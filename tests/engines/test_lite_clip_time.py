"""A clip's own time with the lite engine: its rate, recordings longer and shorter than it, streams and files alike."""

from __future__ import annotations

import dataclasses
import io
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from core.clip_options import clip_index
from core.engines.base import Engine
from core.errors import OptionError
from core.media.clip_reader import ClipReader
from core.media.source import Clip
from core.options import read_options
from core.request import Request
from core.studio import Studio
from core.types import Audio, Frame, Photo
from tests.support.clip_files import clip as clip_of
from tests.support.clip_files import clip_file
from tests.support.talking_clip import talking_frames

N, MARK = 15, 24
"""Frames of the clip; side of the square in their corner, whose brightness tells which one it is."""
RATE = Fraction(30000, 1001)


@pytest.fixture(scope="module")
def pictures(lite: Engine, portrait: Photo, speech: Audio) -> list[Frame]:
    frames = talking_frames(lite, portrait, speech, N, moves=False)
    for number, frame in enumerate(frames):
        frame[:MARK, :MARK] = 20 + 14 * number
    return frames


@pytest.fixture(scope="module")
def clip(pictures: list[Frame]) -> Clip:
    hum = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(16_000 // 2) / 16_000)
    return clip_of(clip_file(pictures, rate=RATE, options={"crf": "8"}, sound=hum.astype(np.float32)))


def request(source: Clip | Photo, speech: Audio, n_samples: int, **options: Any) -> Request:
    short = dataclasses.replace(speech, samples=speech.samples[:n_samples])
    return Request(short, source, "lite", options=read_options({"size": "source", **options}).render)


def numbers(data: bytes | Path) -> list[int]:
    """Which frame of the clip each frame shows."""
    with av.open(io.BytesIO(data) if isinstance(data, bytes) else str(data)) as container:
        return [round((frame.to_ndarray(format="rgb24")[4:20, 4:20].mean() - 20) / 14) for frame in container.decode(video=0)]


def times(path: Path) -> tuple[Fraction, list[float]]:
    with av.open(str(path)) as container:
        return Fraction(container.streams.video[0].average_rate), [frame.time for frame in container.decode(video=0)]


@pytest.mark.parametrize("longer", ["bounce", "loop", "freeze"])
def test_at_its_own_rate_each_of_its_frames_is_shown(studio: Studio, clip: Clip, speech: Audio, tmp_path: Path, longer: str) -> None:
    made = studio.generate(request(clip, speech, 16_000, fps="source", longer=longer), tmp_path / "v.mp4")
    assert (made.info.frames, made.info.fps) == (30, 29.97)
    rate, shown_s = times(made.path)
    assert rate == RATE
    assert shown_s == pytest.approx([float(i / RATE) for i in range(30)], abs=1e-4)
    assert numbers(made.path) == [clip_index(i, N, longer) for i in range(30)]  # type: ignore[arg-type]


def test_at_25_it_plays_at_its_own_speed(studio: Studio, clip: Clip, speech: Audio, tmp_path: Path) -> None:
    made = studio.generate(request(clip, speech, 640 * 10), tmp_path / "v.mp4")
    assert (made.info.frames, made.info.fps) == (10, 25)
    assert numbers(made.path) == [round(i / 25 * float(RATE)) for i in range(10)]


def test_the_lips_say_the_same_at_any_rate(studio: Studio, clip: Clip, speech: Audio, tmp_path: Path) -> None:
    """At 50 frames a second every second frame is that of 25: the same frame of the clip, with the same lips but for half a frame."""

    def mouths(fps: int) -> list[Frame]:
        made = studio.generate(request(clip, speech, 640 * 12, fps=fps, longer="freeze"), tmp_path / f"{fps}.mp4")
        assert made.info.frames == 12 * fps // 25
        with av.open(str(made.path)) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]

    slow, fast = mouths(25), mouths(50)
    apart = [float(cv2.absdiff(one, fast[2 * i]).mean()) for i, one in enumerate(slow)]
    others = [float(cv2.absdiff(one, fast[(2 * i + 12) % 24]).mean()) for i, one in enumerate(slow)]
    assert np.mean(apart) < 0.5 * np.mean(others)


def test_the_rest_of_the_clip_and_its_sound_are_the_same_in_a_stream(studio: Studio, clip: Clip, speech: Audio, tmp_path: Path) -> None:
    asked = request(clip, speech, 640 * 3, fps="source", shorter="rest", keep_background=0.3)
    made = studio.generate(asked, tmp_path / "v.mp4")
    with studio.stream(asked) as stream:
        data = b"".join(segment.data for segment in stream)
        assert stream.job.result().frames == made.info.frames == N
    assert numbers(data) == numbers(made.path) == list(range(N))


def test_a_photo_has_no_time_of_its_own(studio: Studio, portrait: Photo, speech: Audio) -> None:
    for name, value in {"fps": 30, "longer": "loop", "shorter": "rest", "keep_background": 0.1}.items():
        with pytest.raises(OptionError, match=f"{name} is for videos") as caught:
            studio.check(request(portrait, speech, 640, **{name: value}))
        assert caught.value.parameters == {"name": name}


def test_a_live_session_has_no_end_and_its_own_rate(studio: Studio, clip: Clip) -> None:
    for name, value in {"fps": "source", "shorter": "rest", "keep_background": 0.1}.items():
        with pytest.raises(OptionError, match=f"do not honour {name}"):
            studio.live(clip, "local", "lite", options=read_options({name: value}).render)


@pytest.mark.parametrize("live", [False, True])
def test_nothing_of_the_clip_stays_open_behind_a_session(
    studio: Studio, clip: Clip, speech: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    """A reader holds decoders with threads, and pictures; it refers to itself, so that Python alone would free it late."""
    readers: list[ClipReader] = []
    begin = ClipReader.__init__

    def noting(self: ClipReader, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        readers.append(self)

    monkeypatch.setattr(ClipReader, "__init__", noting)
    if live:
        with closing(studio.live(clip, "local", "lite")) as session:
            while session.next_output(5) is None:
                pass
            assert next(readers[0])
    else:
        studio.generate(request(clip, speech, 3200), tmp_path / "v.mp4")
    assert len(readers) == 1
    with pytest.raises(StopIteration):
        next(readers[0])
