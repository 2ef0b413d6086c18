"""Recordings longer and shorter than a clip, and the clip's own sound: the studio, and the real engine on the small synthetic set."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from core.clip_options import clip_index
from core.errors import OptionError
from core.media.audio import load_audio
from core.media.source import Clip, load_source
from core.options import read_options
from core.request import Avatar, Request
from core.settings import Settings
from core.studio import Studio
from core.types import Audio, Photo
from tests.support.clip_files import RATE_HZ, clip_file

FRAMES = 6


@pytest.fixture(scope="module")
def clip(portrait: Photo, settings: Settings) -> Clip:
    """Six frames that get darker, with a tone."""
    pictures = [(portrait.pixels * (1 - 0.08 * i)).astype(np.uint8) for i in range(FRAMES)]
    tone = 0.5 * np.sin(2 * np.pi * 3000 * np.arange(RATE_HZ // 4) / RATE_HZ)
    source = load_source(clip_file(pictures, options={"crf": "12"}, sound=tone.astype(np.float32)), settings)
    assert isinstance(source, Clip)
    return source


def request(source: Clip | Avatar, speech: Audio, n_frames: int, **options: Any) -> Request:
    given = {"sampling_timesteps": 2, "size": 96, "online_mode": True, "overlap_v2": 75, **options}
    short = dataclasses.replace(speech, samples=speech.samples[: 640 * n_frames])
    return Request(short, source, "ditto", options=read_options(given).render)


def light(path: Path | bytes) -> list[float]:
    """Of each frame, in the corner, where nothing is drawn."""
    with av.open(str(path) if isinstance(path, Path) else io.BytesIO(path)) as container:
        return [float(frame.to_ndarray(format="rgb24")[:8, :8].mean()) for frame in container.decode(video=0)]


def sound(path: Path | bytes) -> np.ndarray:
    data = path.read_bytes() if isinstance(path, Path) else path
    return load_audio(data, Settings()).samples


@pytest.mark.parametrize("longer", ["bounce", "loop", "freeze"])
def test_a_recording_that_is_longer_than_the_clip(studio: Studio, clip: Clip, speech: Audio, tmp_path: Path, longer: Any) -> None:
    n = 13
    made = studio.generate(request(clip, speech, n, longer=longer), tmp_path / "v.mp4")
    assert made.info.frames == n
    shown = light(made.path)
    levels = [shown[0] * (1 - 0.08 * i) for i in range(FRAMES)]
    assert [int(np.argmin(np.abs(np.array(levels) - one))) for one in shown] == [clip_index(i, FRAMES, longer) for i in range(n)]


def test_after_a_shorter_recording_comes_the_rest_of_the_clip(studio: Studio, clip: Clip, speech: Audio, tmp_path: Path) -> None:
    cut = studio.generate(request(clip, speech, 2), tmp_path / "cut.mp4")
    rest = studio.generate(request(clip, speech, 2, shorter="rest"), tmp_path / "rest.mp4")
    assert (cut.info.frames, rest.info.frames) == (2, FRAMES)
    assert rest.info.audio_s == cut.info.audio_s == 0.08
    shown = light(rest.path)
    np.testing.assert_allclose(shown, [shown[0] * (1 - 0.08 * i) for i in range(FRAMES)], atol=6)
    heard = sound(rest.path)
    assert len(heard) == pytest.approx(FRAMES * 640, abs=640)
    assert np.abs(heard[3 * 640 :]).max() < 0.01
    longer = studio.generate(request(clip, speech, 9, shorter="rest"), tmp_path / "longer.mp4")
    assert longer.info.frames == 9


def test_a_stream_is_the_same_as_the_file(studio: Studio, clip: Clip, speech: Audio, tmp_path: Path) -> None:
    asked = request(clip, speech, 2, shorter="rest", keep_background=0.5)
    file = studio.generate(asked, tmp_path / "v.mp4")
    with studio.stream(asked) as stream:
        data = b"".join(segment.data for segment in stream)
        assert stream.job.result().frames == file.info.frames == FRAMES
    np.testing.assert_allclose(light(data), light(file.path), atol=2)
    a, b = sound(data), sound(file.path)
    assert len(a) == len(b)
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_the_clips_own_sound_is_kept_low(studio: Studio, clip: Clip, speech: Audio, tmp_path: Path) -> None:
    """Also of an avatar, whose file is kept; of a clip without sound it is said that there is none."""
    def tone_of(source: Clip | Avatar, name: str, **options: Any) -> tuple[float, tuple[str, ...]]:
        made = studio.generate(request(source, speech, 5, **options), tmp_path / f"{name}.mp4")
        spectrum = np.abs(np.fft.rfft(sound(made.path)[640 : 640 + 1600]))  # 10 Hz a line
        return float(spectrum[295:306].max()), made.info.warnings

    avatar = studio.preload_avatar(clip, "local", engine="ditto")
    without, _ = tone_of(clip, "without")
    kept, warnings = tone_of(clip, "kept", keep_background=0.5)
    of_avatar, _ = tone_of(avatar, "avatar", keep_background=0.5)
    assert kept > 5 * without
    assert of_avatar == pytest.approx(kept, rel=0.01)
    assert not any("no sound" in warning for warning in warnings)
    pictures = [next(clip.frames())] * 2
    mute = load_source(clip_file(pictures), Settings())
    assert isinstance(mute, Clip)
    assert any("no sound" in warning for warning in tone_of(mute, "mute", keep_background=0.5)[1])


def test_what_does_not_hold_is_refused_by_name(studio: Studio, clip: Clip, portrait: Photo, speech: Audio) -> None:
    for name, value in {"fps": "source", "longer": "loop", "shorter": "rest", "keep_background": 0.2}.items():
        with pytest.raises(OptionError, match=f"{name} is for videos|not honour {name}"):
            studio.check(dataclasses.replace(request(clip, speech, 2, **{name: value}), source=portrait))
        if name != "longer":
            with pytest.raises(OptionError, match=name):
                studio.live(clip, "local", "ditto", options=read_options({name: value}).render)
    with pytest.raises(OptionError, match="ditto engine does not honour fps"):
        studio.check(request(clip, speech, 2, fps="source"))
