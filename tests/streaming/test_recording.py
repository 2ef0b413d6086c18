"""A whole recording in pieces: the video of `generate`, handed over as it is made."""

from __future__ import annotations

import dataclasses
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from core.engines.lite import LiteSession
from core.errors import Cancelled, DiskFull, OptionError, OutputError
from core.generation import Progress
from core.media import video
from core.media.audio import load_audio
from core.request import Controls, RenderOptions, Request
from core.settings import Settings
from core.streaming import Segment, recording, spool
from core.studio import Studio
from core.types import Audio, Frame, Photo, Samples
from tests.support.charts import boxes
from tests.support.streams import Pipe, pictures, sound

SMALL = RenderOptions(size=64)


@pytest.fixture(scope="module")
def long(speech: Audio) -> Audio:
    """12 s, of which only the engine's samples are spoken."""
    return dataclasses.replace(speech, samples=np.tile(speech.samples, 4))


@pytest.fixture(scope="module")
def pieces(studio: Studio, speech: Audio, portrait: Photo) -> list[Segment]:
    with studio.stream(Request(speech, portrait, options=dataclasses.replace(SMALL, label=True))) as stream:
        return list(stream)


@pytest.fixture(params=[(16_000, 1), (44_100, 2), (96_000, 1)], ids=str)
def recorded(request: pytest.FixtureRequest, speech: Audio, settings: Settings) -> Audio:
    """A second and a bit, so that the last frame is not full, at several rates."""
    rate_hz, channels = request.param
    n = round(1.23 * rate_hz)
    times = np.arange(n) / rate_hz
    mono = np.interp(times, np.arange(len(speech.samples)) / 16_000, speech.samples)
    return load_audio((rate_hz, np.stack([mono] * channels, axis=1).astype(np.float32)), settings)


def test_frames_and_samples_are_those_of_the_file(
    studio: Studio, recorded: Audio, portrait: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[object, list[Frame]] = {video: [], recording: []}
    for module, frames in seen.items():
        convert = module.as_picture

        def note(frame: Frame, frames: list[Frame] = frames, convert: object = convert) -> object:
            frames.append(frame.copy())
            return convert(frame)

        monkeypatch.setattr(module, "as_picture", note)
    request = Request(recorded, portrait, options=SMALL)
    path = studio.generate(request, tmp_path / "video.mp4").path
    data = b"".join(segment.data for segment in studio.stream(request))
    assert len(seen[video]) == len(seen[recording]) == recorded.n_frames
    for of_file, of_stream in zip(seen[video], seen[recording], strict=True):
        np.testing.assert_array_equal(of_file, of_stream)
    with av.open(str(path)) as file:
        wanted = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)
    got = sound(data)
    assert got.shape[0] == wanted.shape[0]
    assert 0 <= got.shape[1] - wanted.shape[1] < 1024  # a pipe's reader does not cut the last packet to its length
    np.testing.assert_array_equal(got[:, : wanted.shape[1]], wanted)
    assert len(pictures(data)) == recorded.n_frames


def test_pieces_are_short_at_first_and_each_begins_with_a_key_frame(pieces: list[Segment], speech: Audio) -> None:
    assert [piece.kind for piece in pieces] == ["init"] + ["media"] * (len(pieces) - 1)
    assert [piece.n_frames for piece in pieces[1:]] == [5, 10, 20, 40]
    assert [piece.index for piece in pieces] == list(range(len(pieces)))
    assert [piece.final for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert sum(piece.n_frames for piece in pieces) == speech.n_frames
    at = 0
    for piece in pieces[1:]:
        assert (piece.start_s, piece.duration_s) == (at / 25, piece.n_frames / 25)
        at += piece.n_frames
        assert boxes(piece.data) == [b"moof", b"mdat"]
        assert pictures(pieces[0].data + piece.data)[0].key_frame


def test_every_piece_has_the_sound_of_its_pictures(pieces: list[Segment]) -> None:
    """A player that has a piece can play all of it: its sound does not come with the next one."""
    data = pieces[0].data
    for piece in pieces[1:]:
        data += piece.data
        heard_s = sound(data).shape[1] / 16_000
        assert heard_s >= piece.start_s + piece.duration_s


def test_no_piece_is_longer_than_two_seconds(studio: Studio, long: Audio, portrait: Photo) -> None:
    lengths = [piece.n_frames for piece in studio.stream(Request(long, portrait, options=SMALL)) if piece.kind == "media"]
    assert lengths == [5, 10, 20, 40, 50, 50, 50, 50, 24]


def test_what_a_stream_says_about_itself(studio: Studio, pieces: list[Segment], speech: Audio, portrait: Photo) -> None:
    with av.open(Pipe(b"".join(piece.data for piece in pieces))) as file:
        assert "Synthetic media" in file.metadata["comment"]
        labelled = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    seen: list[Progress] = []
    with studio.stream(Request(speech, portrait, options=SMALL), seen.append) as stream:
        plain = [*stream]
        info = stream.job.result(5)
    shown = pictures(b"".join(piece.data for piece in plain))[0].to_ndarray(format="rgb24").astype(int)
    difference = np.abs(labelled - shown).max(axis=2)
    assert difference[-20:, :30].max() > 60, "the label is in the lower left corner"
    assert difference[:40].max() < 30
    assert stream.mime_type.startswith('video/mp4; codecs="avc1.64')
    assert (info.frames, info.width, info.label) == (speech.n_frames, 64, False)
    assert 0 < info.first_frame_ms < info.wall_s * 1000
    assert list(dict.fromkeys(progress.stage for progress in seen)) == ["loading", "registering", "animating", "finishing", "done"]


def test_the_job_does_not_wait_for_its_reader_who_loses_nothing(
    studio: Studio, long: Audio, portrait: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = b"".join(piece.data for piece in studio.stream(Request(long, portrait, options=SMALL)))
    monkeypatch.setattr(spool, "MEMORY_BYTES", 5000)
    with studio.stream(Request(long, portrait, options=SMALL)) as stream:
        assert stream.job.result(60).frames == long.n_frames
        assert studio._spool_room.taken_bytes > 50_000, "it waits on the disk"
        assert b"".join(piece.data for piece in stream) == at_once
    assert studio._spool_room.taken_bytes == 0


def test_a_stream_whose_reader_is_too_far_behind_ends_with_a_reason(
    studio: Studio, long: Audio, portrait: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MEMORY_BYTES", 5000)
    monkeypatch.setattr(studio, "_spool_room", spool.SpoolRoom(40_000, tempfile.TemporaryFile))
    stream = studio.stream(Request(long, portrait, options=SMALL))
    with pytest.raises(OutputError, match="behind"):
        stream.job.result(60)
    taken = []
    with pytest.raises(OutputError, match="behind"):  # after what was made before
        taken.extend(stream)
    assert taken[0].kind == "init"
    assert len(taken) > 1
    stream.close()
    assert studio._spool_room.taken_bytes == 0


def test_a_full_disk_is_told_as_one(studio: Studio, long: Audio, portrait: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MEMORY_BYTES", 5000)
    monkeypatch.setattr(studio, "_spool_room", spool.SpoolRoom(10**9, lambda: open("/dev/full", "r+b")))
    with studio.stream(Request(long, portrait, options=SMALL)) as stream:
        with pytest.raises(DiskFull, match="The stream cannot be kept"):
            stream.job.result(60)
    assert studio._spool_room.taken_bytes == 0


def test_who_closes_a_stream_under_its_reader_says_why(studio: Studio, speech: Audio, portrait: Photo) -> None:
    stream = studio.stream(Request(speech, portrait, options=SMALL))
    assert next(stream).kind == "init"
    stream.close(Cancelled("Nobody took the rest."))
    with pytest.raises(Cancelled, match="the rest"):
        next(stream)


def test_a_stream_far_ahead_of_its_reader_lets_others_go_first(studio: Studio, long: Audio, portrait: Photo, tmp_path: Path) -> None:
    """One place: what comes later, and takes long, is done before a stream that nobody reads."""
    stream = studio.stream(Request(dataclasses.replace(long, samples=np.tile(long.samples, 8)), portrait, options=SMALL))
    assert [next(stream).kind, next(stream).kind] == ["init", "media"]
    studio.generate(Request(long, portrait, options=SMALL), tmp_path / "video.mp4")
    assert not stream.job.wait(0)
    assert stream.job.state == "running"
    assert sum(piece.n_frames for piece in stream) == 8 * long.n_frames - 5, "it goes on when the others are done"


def test_closing_stops_the_job(studio: Studio, long: Audio, portrait: Photo) -> None:
    stream = studio.stream(Request(long, portrait, options=SMALL))
    assert next(stream).kind == "init"
    stream.close()
    assert stream.job.wait(1.0)
    assert stream.job.state == "cancelled"
    assert list(stream) == []
    stream.close()


def test_closing_wakes_a_reader(studio: Studio, long: Audio, portrait: Photo) -> None:
    """Behind a job that runs, a stream waits in the queue; its reader too."""
    with studio.stream(Request(long, portrait, options=SMALL)):
        waiting = studio.stream(Request(long, portrait, options=SMALL))
        reader = threading.Thread(target=lambda: list(waiting))
        reader.start()
        waiting.close()
        reader.join(5)
        assert not reader.is_alive()


def test_an_engine_that_fails_in_the_middle(studio: Studio, speech: Audio, portrait: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    push = LiteSession.push

    def fail(self: LiteSession, samples: Samples) -> Iterator[Frame]:
        for i, frame in enumerate(push(self, samples)):
            if self._life._frame > 12 and i == 1:
                raise RuntimeError("the device is gone")
            yield frame

    got: list[Segment] = []
    with monkeypatch.context() as patch:
        patch.setattr(LiteSession, "push", fail)
        stream = studio.stream(Request(speech, portrait, options=SMALL))
        with pytest.raises(RuntimeError, match="the device is gone"):
            got.extend(stream)
    with pytest.raises(StopIteration):
        next(stream)
    assert stream.job.state == "failed"
    assert sum(piece.n_frames for piece in studio.stream(Request(speech, portrait, options=SMALL))) == speech.n_frames


def test_what_is_known_to_fail_is_refused_at_once(studio: Studio, speech: Audio, portrait: Photo) -> None:
    with pytest.raises(OptionError, match="mouth is 9"):
        studio.stream(Request(speech, portrait, controls=Controls(mouth=9)))
