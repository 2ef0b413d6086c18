"""Videos, written for real and decoded again: frames, colours, sound, lengths."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from core.media.audio import load_audio
from core.media.codec_facts import aac_rate_hz
from core.media.encoders import as_picture
from core.media.sound_track import SoundTrack
from core.media.video import VideoWriter, encode
from core.settings import Settings
from tests.support.charts import COLOURS, SIDE, boxes, chart, numbered, sound_of, speech


@pytest.mark.parametrize("seconds", [0.04, 0.05, 1.0, 2.99, 4.0])
def test_frames_times_and_lengths(tmp_path: Path, seconds: float) -> None:
    audio = speech(seconds)
    path = tmp_path / "video.mp4"
    assert encode(numbered(audio.n_frames), path, audio, SIDE, SIDE) == audio.n_frames
    with av.open(str(path)) as file:
        picture, sound = file.streams.video[0], file.streams.audio[0]
        assert (picture.codec_context.name, picture.codec_context.pix_fmt, sound.codec_context.name) == ("h264", "yuv420p", "aac")
        assert picture.frames == audio.n_frames
        assert picture.average_rate == picture.base_rate == 25
        assert picture.start_time == sound.start_time == 0
        assert picture.duration * picture.time_base == Fraction(audio.n_frames, 25)
        assert abs(float(sound.duration * sound.time_base) - seconds) < 0.001
        frames = list(file.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(audio.n_frames)])
    for index, frame in enumerate(frames):
        assert abs(int(frame.to_ndarray(format="rgb24")[48, 48, 0]) - (20 + 2 * (index % 100))) <= 3, index
    assert [item.name for item in tmp_path.iterdir()] == ["video.mp4"]


def test_index_stands_in_front_and_metadata_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    encode(numbered(30), path, speech(1.2), SIDE, SIDE, {"title": "Grüße", "engine": "lite"})
    names = boxes(path.read_bytes())
    assert names.index(b"moov") < names.index(b"mdat")
    with av.open(str(path)) as file:
        assert file.metadata["title"] == "Grüße"
        assert file.metadata["engine"] == "lite"


def test_colours_and_their_tags(tmp_path: Path) -> None:
    """Decoded by the BT.709 formula that the file is tagged with, plain colours come back."""
    path = tmp_path / "video.mp4"
    encode([chart()] * 5, path, speech(0.2), SIDE, SIDE)
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
    assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 13, 1)
    planes = frame.to_ndarray().astype(float)
    y = (planes[:SIDE] - 16) / 219
    u, v = ((planes[SIDE:].reshape(2, SIDE // 2, SIDE // 2) - 128) / 224).repeat(2, axis=1).repeat(2, axis=2)
    red, blue = y + 1.5748 * v, y + 1.8556 * u
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    rgb = 255 * np.stack([red, green, blue], axis=2)
    for index, colour in enumerate(COLOURS):
        row, column = divmod(index, 3)
        assert np.abs(rgb[row * 32 + 16, column * 32 + 16] - colour).max() <= 4, colour
    data = path.read_bytes()
    assert b"colrnclx\x00\x01\x00\x0d\x00\x01\x00" in data  # for players that read the container, not the stream


@pytest.mark.parametrize(
    ("rate_hz", "channels", "expected_hz"),
    [(8000, 1, 8000), (16000, 1, 16000), (22050, 2, 22050), (44100, 2, 44100), (48000, 2, 48000), (96000, 2, 48000), (37800, 1, 44100)],
)
def test_sound_is_the_original_in_time_and_in_stereo(tmp_path: Path, rate_hz: int, channels: int, expected_hz: int) -> None:
    audio = speech(2.0, rate_hz, channels, click_s=1.0)
    path = tmp_path / "video.mp4"
    encode(numbered(audio.n_frames), path, audio, SIDE, SIDE)
    heard, heard_hz = sound_of(path)
    assert heard_hz == expected_hz
    assert len(heard) == channels
    whole = SoundTrack(audio).read(10**9)
    at = expected_hz
    pattern = whole[0, at : at + expected_hz // 50]
    found = int(np.correlate(heard[0], pattern, "valid").argmax())
    assert abs(found - at) <= 0.001 * expected_hz  # the demand is 20 ms
    if channels == 2:
        middle = slice(expected_hz // 10, expected_hz // 4)
        left, right = (float(np.sqrt(np.square(channel[middle]).mean())) for channel in heard)
        assert right / left == pytest.approx(0.5, abs=0.1)
        click = slice(at, at + expected_hz // 250)
        assert np.abs(heard[1, click]).max() < 0.2 * np.abs(heard[0, click]).max()


def test_surround_becomes_stereo(tmp_path: Path) -> None:
    sink = io.BytesIO()
    samples = np.zeros((48000, 6), np.float32)
    t = np.arange(48000) / 48000
    samples[:, 2] = 0.5 * np.sin(2 * np.pi * 300 * t)  # the speaker is in the centre
    samples[:, 0] = 0.2 * np.sin(2 * np.pi * 1000 * t)
    soundfile.write(sink, samples, 48000, format="WAV", subtype="PCM_16")
    audio = load_audio(sink.getvalue(), Settings())
    encode(numbered(25), tmp_path / "video.mp4", audio, SIDE, SIDE)
    heard, _ = sound_of(tmp_path / "video.mp4")
    assert len(heard) == 2
    left, right = (np.abs(np.fft.rfft(channel[4800:43200] * np.hanning(38400))) for channel in heard)
    bin_300, bin_1000 = 240, 800
    assert left[bin_300] == pytest.approx(right[bin_300], rel=0.05)
    assert left[bin_1000] > 20 * right[bin_1000]


def test_rates() -> None:
    expected = {7000: 8000, 8000: 8000, 11025: 11025, 44100: 44100, 64000: 48000, 88200: 44100, 176400: 44100, 192000: 48000}
    assert {rate: aac_rate_hz(rate) for rate in expected} == expected


@pytest.mark.parametrize("n_frames", [10, 40])
def test_sound_is_as_long_as_the_frames(tmp_path: Path, n_frames: int) -> None:
    """Stopped early, or going on after the sound (which lasts 25 frames)."""
    path = tmp_path / "video.mp4"
    encode(numbered(n_frames), path, speech(1.0), SIDE, SIDE)
    with av.open(str(path)) as file:
        sound = file.streams.audio[0]
        assert abs(float(sound.duration * sound.time_base) - n_frames / 25) < 0.001


def test_same_frames_same_bytes(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        encode(numbered(30), tmp_path / name, speech(1.2), SIDE, SIDE)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_same_frames_same_bytes_wherever_they_lie_in_memory(tmp_path: Path) -> None:
    """x264's fast macroblock tree gave other bytes in one of ten encodings of noise, by how its buffers happened to lie."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8) for _ in range(5)]
    made = set()
    for _ in range(40):
        in_the_way = [np.ones(int(size), np.uint8) for size in rng.integers(1_000, 300_000, 20)]
        encode(frames, tmp_path / "video.mp4", speech(0.2), SIDE, SIDE)
        made.add((tmp_path / "video.mp4").read_bytes())
        del in_the_way
    assert len(made) == 1


def test_a_large_size(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    frame = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    encode([frame] * 3, path, speech(0.12), 1920, 1080)
    with av.open(str(path)) as file:
        assert [(f.width, f.height) for f in file.decode(video=0)] == [(1920, 1080)] * 3


def test_less_crf_is_finer_and_larger(tmp_path: Path) -> None:
    rng, errors, sizes = np.random.default_rng(0), [], []
    rustling = [np.clip(chart() + rng.normal(0, 12, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8) for _ in range(10)]
    for crf in (10, 18, None, 30):
        path = tmp_path / f"{crf}.mp4"
        with VideoWriter(path, SIDE, SIDE, speech(0.4), crf=crf) as writer:
            for frame in rustling:
                writer.write(frame)
        with av.open(str(path)) as file:
            shown = [decoded.to_ndarray(format="rgb24") for decoded in file.decode(video=0)]
        errors.append(sum(float(np.abs(a.astype(int) - b).mean()) for a, b in zip(shown, rustling, strict=True)))
        sizes.append(path.stat().st_size)
    assert errors[0] < errors[1] == errors[2] < errors[3]
    assert sizes[0] > sizes[1] == sizes[2] > sizes[3]


def test_a_picture_is_its_frame_by_the_formula_of_bt_709() -> None:
    """To less than a level, the colour of 2×2 pixels being their mean; in a width that no vector of bytes divides."""
    frame = np.random.default_rng(0).integers(0, 256, (54, 86, 3), np.uint8)
    rgb = frame.astype(float)
    picture = as_picture(frame)
    frame[:] = 0  # may be reused at once
    kr, kb = 0.2126, 0.0722
    y = rgb @ (kr, 1 - kr - kb, kb)
    cb, cr = (rgb[..., 2] - y) / (2 - 2 * kb), (rgb[..., 0] - y) / (2 - 2 * kr)
    small = [plane.reshape(27, 2, 43, 2).mean((1, 3)) for plane in (cb, cr)]
    wanted = [16 + 219 / 255 * y, *(128 + 224 / 255 * plane for plane in small)]
    for plane, values in zip(picture.planes, wanted, strict=True):
        got = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        assert np.abs(got - values).max() <= 1
        assert abs((got - values).mean()) < 0.2


def test_first_frames_do_not_wait_for_a_long_recording(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read_s: list[float] = []
    real = SoundTrack.read

    def counting(self: SoundTrack, n: int, ahead: int = 0) -> Any:
        read_s.append(n / self.rate_hz)
        return real(self, n, ahead)

    monkeypatch.setattr(SoundTrack, "read", counting)
    encode(numbered(5), tmp_path / "video.mp4", speech(60.0), SIDE, SIDE)
    assert sum(read_s) == pytest.approx(0.2)


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(50), Fraction(60)])
def test_another_rate_is_exact(tmp_path: Path, rate: Fraction) -> None:
    path, n = tmp_path / "video.mp4", 40
    with VideoWriter(path, SIDE, SIDE, speech(5.0), fps=float(rate)) as writer:
        for frame in numbered(n):
            writer.write(frame)
    with av.open(str(path)) as file:
        picture, sound = file.streams.video[0], file.streams.audio[0]
        assert picture.average_rate == rate
        assert picture.duration * picture.time_base == n / rate
        assert abs(float(sound.duration * sound.time_base) - float(n / rate)) < 0.001
        frames = list(file.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([float(index / rate) for index in range(n)], abs=1e-6)
    assert [frame.key_frame for frame in frames] == [True] + [False] * (n - 1)
