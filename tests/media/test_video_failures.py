"""Everything that can go wrong while a video is written; nothing half-written is left behind."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from core.errors import AudioError, EncodingError, OutputError
from core.media import video as module
from core.media.video import VideoWriter, check_writable, encode
from core.types import Audio, Frame
from tests.support.charts import SIDE, boxes, chart, numbered, speech
from tests.support.paths import ROOT


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
    assert result["outcome"].startswith("DiskFull")
    assert "cannot be written: the file grew past the allowed size" in result["outcome"]
    assert result["left"] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full answers every write as a full disk does."""
    monkeypatch.setattr(module, "open_beside", lambda target: (tmp_path / "part", Path("/dev/full").open("wb")))
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
