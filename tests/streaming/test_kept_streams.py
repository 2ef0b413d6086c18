"""A stream that is kept: an ordinary video at the end, nothing where it is not complete."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np
import pytest

from core.errors import Cancelled, DiskFull
from core.media import kept_stream
from core.media.kept_stream import KeptStream
from core.request import RenderOptions, Request
from core.streaming import Segment
from core.studio import Studio
from core.types import Audio, Photo

SMALL = RenderOptions(size=64)
FRAMES = 75


def top_boxes(path: Path) -> list[str]:
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        found.append(data[at + 4 : at + 8].decode("latin-1"))
        at += int.from_bytes(data[at : at + 4], "big")
    return found


def decoded(path: Path) -> tuple[list[float], np.ndarray]:
    """When each picture is shown, and the sound."""
    with av.open(str(path)) as file:
        times = [float(frame.time) for frame in file.decode(video=0)]
    with av.open(str(path)) as file:
        heard = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)
    return times, heard


@pytest.fixture(scope="module")
def streamed(studio: Studio, speech: Audio, portrait: Photo, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Segment], Path]:
    """The pieces, and the video that was kept of them."""
    path = tmp_path_factory.mktemp("kept") / "video.mp4"
    with studio.stream(Request(speech, portrait, options=SMALL), keep=path) as stream:
        pieces = list(stream)
        stream.job.result()
    return pieces, path


def test_the_video_is_whole_and_ordinary(streamed: tuple[list[Segment], Path], tmp_path: Path) -> None:
    pieces, path = streamed
    assert top_boxes(path)[:2] == ["ftyp", "moov"], "its index is in front, and it is in one piece"
    assert "moof" not in top_boxes(path)
    plain = tmp_path / "pieces.mp4"
    plain.write_bytes(b"".join(piece.data for piece in pieces))
    times, heard = decoded(path)
    assert times == pytest.approx([n / 25 for n in range(FRAMES)])
    of_pieces = decoded(plain)[1]
    n = min(heard.shape[1], of_pieces.shape[1])
    np.testing.assert_allclose(heard[:, :n], of_pieces[:, :n], atol=1e-3)
    with av.open(str(path)) as file, av.open(str(plain)) as stream:
        assert file.metadata["comment"] == stream.metadata["comment"]
    assert list(path.parent.iterdir()) == [path], "nothing else is left"


def test_nothing_is_left_of_a_stream_that_was_closed(studio: Studio, speech: Audio, portrait: Photo, tmp_path: Path) -> None:
    with studio.stream(Request(speech, portrait, options=RenderOptions(size=512)), keep=tmp_path / "video.mp4") as stream:
        next(stream)
    with pytest.raises(Cancelled):
        stream.job.result()
    assert list(tmp_path.iterdir()) == []


def test_it_is_signed_before_it_is_seen(streamed: tuple[list[Segment], Path], tmp_path: Path) -> None:
    path, signed = tmp_path / "video.mp4", list[str]()

    def sign(whole: Path, metadata: Mapping[str, str]) -> None:
        assert not path.exists()
        assert top_boxes(whole)[0] == "ftyp"
        signed.append(metadata["engine"])

    kept = KeptStream(path, sign)
    for piece in streamed[0]:
        kept.write(piece.data)
    kept.finish({"engine": "lite 1"})
    kept.close()
    assert signed == ["lite 1"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_and_leaves_nothing(
    streamed: tuple[list[Segment], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kept_stream.os, "replace", full)
    kept = KeptStream(tmp_path / "video.mp4")
    for piece in streamed[0]:
        kept.write(piece.data)
    with pytest.raises(DiskFull):
        kept.finish({})
    kept.close()
    assert list(tmp_path.iterdir()) == []
