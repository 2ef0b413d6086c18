"""Videos and photos as sources: rates, rotation, damage, limits."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from core.errors import ImageError
from core.media.source import Clip, load_source
from core.settings import Settings
from core.types import Frame, Photo
from tests.support.paths import PORTRAIT


def video(
    n: int = 10, size: tuple[int, int] = (96, 64), rate: int = 25, codec: str = "libx264", form: str = "mp4", sound: bool = False
) -> bytes:
    """Frame i is grey i * 20, its upper left quarter red, its lower right one blue."""
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=16000) if sound else None
        for i in range(n):
            pixels = np.full((size[1], size[0], 3), i * 20 % 256, np.uint8)
            pixels[: size[1] // 2, : size[0] // 2] = (255, 0, 0)
            pixels[size[1] // 2 :, size[0] // 2 :] = (0, 0, 200)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))
        if audio is not None:
            quiet = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
            quiet.sample_rate = 16000
            container.mux(audio.encode(quiet))
            container.mux(audio.encode(None))
    return out.getvalue()


@pytest.mark.parametrize(("codec", "form"), [("libx264", "mp4"), ("libvpx-vp9", "webm"), ("mpeg4", "mov")])
def test_a_video_file(codec: str, form: str, settings: Settings, tmp_path: Path) -> None:
    data = video(codec=codec, form=form, sound=form == "mp4")
    path = tmp_path / "clip.png"  # told by its content
    path.write_bytes(data)
    clip = load_source(path, settings)
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.sha256) == (96, 64, hashlib.sha256(data).hexdigest())
    frames = list(clip.frames())
    assert len(frames) == 10
    for i, frame in enumerate(frames):
        assert frame.shape == (64, 96, 3)
        assert frame.dtype == np.uint8
        np.testing.assert_allclose(frame[5, 5], (255, 0, 0), atol=8)
        np.testing.assert_allclose(frame[5, -5], i * 20, atol=8)
        np.testing.assert_allclose(frame[-5, -5], (0, 0, 200), atol=8)
    assert len(list(dataclasses.replace(clip, max_frames=4).frames())) == 4
    assert isinstance(load_source(data, settings), Clip)


@pytest.mark.parametrize("rate", [12, 24, 25, 30, 50, 60])
def test_a_video_of_another_rate_plays_at_its_own_speed(rate: int, settings: Settings) -> None:
    """The published code shows every stored frame for 1/25 s, so that 60 a second play in slow motion; that is `fps=None` here."""
    clip = load_source(video(2 * rate, rate=rate), settings)
    assert isinstance(clip, Clip)
    frames = list(clip.frames())
    assert abs(len(frames) - 50) <= 1
    for i in (0, 9, 24, 40):
        shown = round(i / 25 * rate) * 20 % 256
        near = [shown, (shown + 20) % 256, (shown - 20) % 256] if rate % 25 else [shown]
        assert min(abs(int(frames[i][5, -5, 0]) - grey) for grey in near) < 8
    assert len(list(clip.frames(None))) == 2 * rate


def test_a_video_held_upright(settings: Settings) -> None:
    """Phones store the picture lying down and a matrix that says how it was held."""
    data = video()
    at = data.index(b"tkhd") + 44
    assert data[at : at + 36] == struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    held = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 64 << 16, 0, 1 << 30)  # to be turned clockwise
    clip = load_source(data[:at] + held + data[at + 36 :], settings)
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height) == (64, 96)
    frame = next(clip.frames())
    np.testing.assert_allclose(frame[5, -5], (255, 0, 0), atol=8)
    np.testing.assert_allclose(frame[-5, 5], (0, 0, 200), atol=8)


def test_videos_that_cannot_be_used(settings: Settings, tmp_path: Path) -> None:
    data = video()
    for bad in (data[:200], data[: len(data) // 2], data[:40] + bytes(1000)):
        with pytest.raises(ImageError, match="complete"):
            load_source(bad, settings)
    with pytest.raises(ImageError, match="only 32×32"):
        load_source(video(size=(32, 32)), settings)
    with pytest.raises(ImageError, match="too large"):
        load_source(data, Settings(max_image_pixels=1000))
    song = io.BytesIO()
    with av.open(song, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000)
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        quiet.sample_rate = 16000
        container.mux(stream.encode(quiet))
        container.mux(stream.encode(None))
    with pytest.raises(ImageError, match="only sound"):
        load_source(song.getvalue(), settings)
    with pytest.raises(ImageError, match="does not exist"):
        load_source(tmp_path / "none.mp4", settings)
    with pytest.raises(ImageError):
        load_source(tmp_path, settings)


def test_a_damaged_video_gives_what_is_left(settings: Settings) -> None:
    data = bytearray(video(60))
    at = data.index(b"mdat") + 8
    middle = at + (len(data) - at) // 3
    data[middle : middle + 60] = bytes(60)
    clip = load_source(bytes(data), settings)
    assert isinstance(clip, Clip)
    assert 1 <= len(list(clip.frames())) <= 61


def test_photos_are_photos(settings: Settings, astronaut: Frame) -> None:
    path = PORTRAIT
    for source in (path, path.read_bytes(), astronaut):
        assert isinstance(load_source(source, settings), Photo)


def test_a_source_that_is_not_there_is_not_called_a_photo(tmp_path: Path) -> None:
    """What the file would have been nobody knows."""
    with pytest.raises(ImageError, match="The photo or video .*gone.mp4 does not exist"):
        load_source(tmp_path / "gone.mp4", Settings())
    (tmp_path / "none.mp4").touch()
    with pytest.raises(ImageError, match=r"empty .*Give a photo or video: PNG.*MP4") as raised:
        load_source(tmp_path / "none.mp4", Settings())
    assert raised.value.code == "file_empty"
