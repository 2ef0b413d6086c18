"""Videos, written for real and decoded again; and everything that can go wrong while writing."""

from __future__ import annotations

import errno
import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from core.errors import AudioError, EncodingError, OutputError
from core.media import video as module
from core.media.audio import load_audio
from core.media.sound_track import SoundTrack, aac_rate_hz
from core.media.video import VideoWriter, check_writable, encode
from core.settings import Settings
from core.types import Audio, Frame

ROOT = Path(__file__).parent.parent
SIDE = 96
COLOURS = [(255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 40, 40), (40, 180, 60), (50, 60, 200), (230, 180, 150), (110, 70, 50)]
COLOURS += [(220, 210, 60)]


def speech(seconds: float, rate_hz: int = 16000, channels: int = 1, click_s: float | None = None) -> Audio:
    """Soft noise bursts, the right channel half as loud; with a loud click at click_s, in the left channel only."""
    rng = np.random.default_rng(0)
    n = round(seconds * rate_hz)
    samples = np.zeros((n, channels), np.float32)
    samples += 0.02 * rng.standard_normal((n, 1)) * (np.arange(n) / rate_hz % 0.5 < 0.3)[:, None]
    if channels == 2:
        samples[:, 1] *= 0.5
    if click_s is not None:
        at = round(click_s * rate_hz)
        length = round(0.004 * rate_hz)
        samples[at : at + length, 0] += 0.8 * np.sin(np.linspace(0, 8 * np.pi, length)).astype(np.float32)
    return load_audio((rate_hz, samples), Settings())


def chart() -> Frame:
    """Nine fields of plain colour."""
    frame = np.zeros((SIDE, SIDE, 3), np.uint8)
    third = SIDE // 3
    for index, colour in enumerate(COLOURS):
        y, x = divmod(index, 3)
        frame[y * third : (y + 1) * third, x * third : (x + 1) * third] = colour
    return frame


def numbered(count: int) -> Iterator[Frame]:
    """The chart with its middle field as bright as the frame's number says."""
    for index in range(count):
        frame = chart()
        frame[32:64, 32:64] = 20 + 2 * (index % 100)
        yield frame


def boxes(data: bytes) -> list[bytes]:
    """Names of an MP4's outermost boxes, in order."""
    names, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8])
        at += size if size > 1 else int.from_bytes(data[at + 8 : at + 16], "big")
    return names


def sound_of(path: Path) -> tuple[NDArray[np.float32], int]:
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
        assert frames[0].pts == 0
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1), frames[0].sample_rate


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


def test_a_frame_may_be_reused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with VideoWriter(path, SIDE, SIDE, speech(1.0)) as writer:
        frame = np.empty((SIDE, SIDE, 3), np.uint8)
        for index in range(25):
            frame[:] = 10 * index
            writer.write(frame)
        frame[:] = 0
    with av.open(str(path)) as file:
        for index, decoded in enumerate(file.decode(video=0)):
            assert abs(int(decoded.to_ndarray(format="rgb24")[48, 48, 0]) - 10 * index) <= 3


def test_first_frames_do_not_wait_for_a_long_recording(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read_s: list[float] = []
    real = SoundTrack.read

    def counting(self: SoundTrack, n: int) -> Any:
        read_s.append(n / self.rate_hz)
        return real(self, n)

    monkeypatch.setattr(SoundTrack, "read", counting)
    encode(numbered(5), tmp_path / "video.mp4", speech(60.0), SIDE, SIDE)
    assert sum(read_s) == pytest.approx(0.2)


# ------------------------------------------------------------------------------------------------ failures


def _write(frames: Iterator[Frame], path: Path, audio: Audio) -> None:
    """As a caller does that has a loop of its own."""
    with VideoWriter(path, SIDE, SIDE, audio) as writer:
        for frame in frames:
            writer.write(frame)


class Stop(BaseException):
    """Stands for anything, Ctrl-C included."""


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt, GeneratorExit, Stop])
@pytest.mark.parametrize("after", [0, 1, 60])
@pytest.mark.parametrize("older", [False, True])
def test_an_exception_leaves_nothing(tmp_path: Path, exception: type[BaseException], after: int, older: bool) -> None:
    path = tmp_path / "new" / "folders" / "video.mp4"
    if older:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"an older video")

    def frames() -> Iterator[Frame]:
        yield from numbered(after)
        raise exception

    with pytest.raises(exception):
        _write(frames(), path, speech(3.0))
    assert [item for item in tmp_path.rglob("*") if item.is_file()] == ([path] if older else [])
    assert (tmp_path / "new").exists() is older
    if older:
        assert path.read_bytes() == b"an older video"
    assert not any(thread.name == "video-encoder" for thread in threading.enumerate())


_SLOW = """
import sys, time
from pathlib import Path
import numpy as np
from core.media.audio import load_audio
from core.media.video import VideoWriter
from core.settings import Settings

audio = load_audio((16000, np.zeros(16000 * 60, np.int16)), Settings())
with VideoWriter(Path(sys.argv[1]) / "new" / "video.mp4", 96, 96, audio) as writer:
    for index in range(1500):
        writer.write(np.full((96, 96, 3), index % 256, np.uint8))
        time.sleep(0.01)
        if index == 40:
            sys.stderr.write("writing\\n")
            sys.stderr.flush()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_stops_soon_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SLOW, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "writing\n"
        assert len(list((tmp_path / "new").iterdir())) == 1
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, errors = process.communicate(timeout=30)
        assert time.monotonic() - began < 5  # some 50 ms; the machine may be busy
    assert "KeyboardInterrupt" in errors
    assert "Exception ignored" not in errors
    assert list(tmp_path.iterdir()) == []


def test_closing_a_generator_that_writes_leaves_nothing(tmp_path: Path) -> None:
    def work() -> Iterator[int]:
        with VideoWriter(tmp_path / "video.mp4", SIDE, SIDE, speech(3.0)) as writer:
            for index, frame in enumerate(numbered(75)):
                writer.write(frame)
                yield index

    steps = work()
    for _ in range(20):
        next(steps)
    steps.close()
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_is_replaced_and_a_link_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real.mp4", tmp_path / "link.mp4"
    real.write_bytes(b"an older video")
    link.symlink_to(real)
    encode(numbered(5), link, speech(0.2), SIDE, SIDE)
    assert link.is_symlink()
    assert boxes(real.read_bytes())[0] == b"ftyp"


def test_no_frames_and_frames_of_another_shape(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with pytest.raises(EncodingError, match="no frames"):
        encode([], path, speech(1.0), SIDE, SIDE)
    with pytest.raises(EncodingError, match=r"\(10, 10, 3\)"):
        encode([np.zeros((10, 10, 3), np.uint8)], path, speech(1.0), SIDE, SIDE)
    with pytest.raises(EncodingError, match="float64"):
        encode([np.zeros((SIDE, SIDE, 3))], path, speech(1.0), SIDE, SIDE)  # type: ignore[list-item]
    with pytest.raises(EncodingError, match="even"):
        VideoWriter(path, 97, 96, speech(1.0))
    with pytest.raises(EncodingError, match="context manager"):
        VideoWriter(path, SIDE, SIDE, speech(1.0)).write(chart())
    assert list(tmp_path.iterdir()) == []


def test_close_inside_the_block_finishes(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "video.mp4", SIDE, SIDE, speech(0.2)) as writer:
        for frame in numbered(5):
            writer.write(frame)
        writer.close()
        assert (tmp_path / "video.mp4").exists()
        with pytest.raises(EncodingError, match="not open"):
            writer.write(chart())
        writer.close()
    assert writer.n_frames == 5


def test_recording_that_no_longer_decodes(tmp_path: Path) -> None:
    audio = Audio(np.zeros(16000, np.float32), b"no sound at all", 16000, 1)
    with pytest.raises(AudioError, match="a text file"):
        encode(numbered(25), tmp_path / "video.mp4", audio, SIDE, SIDE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("at", ["add_frame", "add_sound", "finish", "__init__"])
def test_encoder_error_comes_out_and_nothing_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    def fail(*_: Any) -> None:
        raise av.error.ExternalError(-542398533, "Generic error in an external library")

    monkeypatch.setattr(module.Mp4Muxer, at, fail)
    began = time.monotonic()
    with pytest.raises(EncodingError, match="external library"):
        encode(numbered(500), tmp_path / "video.mp4", speech(20.0), SIDE, SIDE)
    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []


def test_write_raises_the_first_error_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long rendering stops when the disk fills, not at its end."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.Mp4Muxer, "add_frame", full)
    rendered = []

    def frames() -> Iterator[Frame]:
        for frame in numbered(500):
            rendered.append(1)
            time.sleep(0.001)
            yield frame

    with pytest.raises(OutputError, match="the disk is full"):
        _write(frames(), tmp_path / "video.mp4", speech(20.0))
    assert len(rendered) < 100


_LIMITED = """
import json, resource, sys
from pathlib import Path
import numpy as np
from core.errors import TalkingHeadError
from core.media.audio import load_audio
from core.media.video import encode
from core.settings import Settings

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
audio = load_audio((48000, np.random.default_rng(0).standard_normal(48000 * 4).astype(np.float32) * 0.1), Settings())
noise = np.random.default_rng(0).integers(0, 256, (100, 96, 96, 3), np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    encode(iter(noise), folder / "video.mp4", audio, 96, 96)
    outcome = "written"
except TalkingHeadError as error:
    outcome = f"{type(error).__name__}: {error}"
print(json.dumps({"outcome": outcome, "left": [item.name for item in folder.iterdir()]}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits")
@pytest.mark.parametrize("limit", [0, 1000, 300_000, -1000, -1])
def test_a_file_system_that_takes_no_more(tmp_path: Path, limit: int) -> None:
    """The kernel refuses writes past a limit: at once, in the middle, and (negative: so many bytes short) at the very end."""

    def run(bytes_allowed: int) -> dict[str, Any]:
        command = [sys.executable, "-c", _LIMITED, str(tmp_path), str(bytes_allowed)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=True)
        assert done.stderr == ""
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    if limit < 0:
        assert run(10**9) == {"outcome": "written", "left": ["video.mp4"]}
        limit += (tmp_path / "video.mp4").stat().st_size
        (tmp_path / "video.mp4").unlink()
    result = run(limit)
    assert result["outcome"].startswith("OutputError")
    assert "cannot be written: the file grew past the allowed size" in result["outcome"]
    assert result["left"] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full answers every write as a full disk does."""
    monkeypatch.setattr(module, "_open_beside", lambda target: (tmp_path / "part", Path("/dev/full").open("wb")))
    with pytest.raises(OutputError, match="the disk is full"):
        encode(numbered(75), tmp_path / "video.mp4", speech(3.0), SIDE, SIDE)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_places(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    places = {
        tmp_path: "is a folder",
        tmp_path / "file" / "video.mp4": "cannot be written",
        tmp_path / "file" / "deeper" / "video.mp4": "cannot be written",
        tmp_path / ("x" * 300 + ".mp4"): "cannot be written",
        tmp_path / "new" / ("x" * 300) / "video.mp4": "cannot be written",
        tmp_path / "loop": "usable|cannot be written",
        Path("a\0b.mp4"): "not a usable path",
        Path("/dev/full"): "not a regular file",
        Path("/proc/video.mp4"): "cannot be written",
    }
    for place, text in places.items():
        with pytest.raises(OutputError, match=text):
            check_writable(place)
        with pytest.raises(OutputError, match=text):
            encode(numbered(1), place, speech(0.04), SIDE, SIDE)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "loop"]


def test_check_writable_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "video.mp4")
    check_writable(tmp_path / "new" / "folder" / "video.mp4")
    assert list(tmp_path.iterdir()) == []
    older = tmp_path / "older.mp4"
    older.write_bytes(b"an older video")
    check_writable(older)
    assert older.read_bytes() == b"an older video"
