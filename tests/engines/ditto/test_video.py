"""A video as source, through the studio and the real engine on the small synthetic set: progress, turns, cancelling, limits, warnings."""

from __future__ import annotations

import dataclasses
import io
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from core.engines.ditto import DittoEngine
from core.errors import Cancelled, FaceError, ImageError
from core.generation import Progress, Skipped
from core.media.source import Clip, load_source
from core.options import read_options
from core.request import Framing, Request
from core.settings import Settings
from core.studio import Studio, open_studio
from core.types import Audio, Photo

FRAMES = 12


def encoded(pictures: list[np.ndarray]) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width = stream.height = 512
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


@pytest.fixture(scope="module")
def clip_bytes(portrait: Photo) -> bytes:
    return encoded([np.roll(portrait.pixels, i, axis=1) for i in range(FRAMES)])


@pytest.fixture
def clip(clip_bytes: bytes, settings: Settings) -> Clip:
    source = load_source(clip_bytes, settings)
    assert isinstance(source, Clip)
    return source


def request(clip: Clip, speech: Audio, name: str) -> Request:
    """name: registrations are kept by source, so each test has a source of its own."""
    options = read_options({"sampling_timesteps": 2, "size": 96, "online_mode": True, "overlap_v2": 75})
    short = dataclasses.replace(speech, samples=speech.samples[: 640 * 3])
    return Request(short, dataclasses.replace(clip, sha256=name), "ditto", options=options.render)


def test_progress_counts_the_frames_and_others_have_the_device_between_them(
    studio: Studio, clip: Clip, speech: Audio, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    turns = []

    def watch(progress: Progress) -> None:
        seen.append(progress)

        def take_a_turn() -> None:
            with studio.scheduler.device_turn():
                turns.append(progress)

        if progress.stage == "registering" and progress.done:
            other = threading.Thread(target=take_a_turn, daemon=True)
            other.start()
            other.join(10)

    info = studio.generate(request(clip, speech, "watched"), tmp_path / "v.mp4", watch).info
    assert (info.engine, info.frames) == ("ditto", 3)
    counted = [(progress.done, progress.total) for progress in seen if progress.stage == "registering" and progress.done]
    assert counted == [(i + 1, FRAMES) for i in range(FRAMES)]
    assert len(turns) == FRAMES


def test_a_registration_is_cancelled_at_its_next_frame(studio: Studio, clip: Clip, speech: Audio, tmp_path: Path) -> None:
    reached = threading.Event()
    seen = []

    def watch(progress: Progress) -> None:
        if progress.stage == "registering":
            seen.append(progress.done)
            if progress.done == 3:
                reached.set()
                cancelled.wait(10)

    cancelled = threading.Event()
    job = studio.submit(request(clip, speech, "cancelled"), tmp_path / "v.mp4", watch)
    assert reached.wait(30)
    job.cancel()
    cancelled.set()
    with pytest.raises(Cancelled):
        job.result(10)
    assert max(seen) == 3
    with studio.scheduler.device_turn():  # it was given back
        pass
    assert not (tmp_path / "v.mp4").exists()


def test_who_waits_for_another_registration_can_be_cancelled(engine: DittoEngine, clip: Clip, speech: Audio, tmp_path: Path) -> None:
    studio = open_studio(Settings(max_jobs=2), lambda: engine)
    go_on, begun = threading.Event(), threading.Event()

    def hold(progress: Progress) -> None:
        if progress.stage == "registering" and progress.done == 1:
            begun.set()
            go_on.wait(30)

    first = studio.submit(request(clip, speech, "long"), tmp_path / "1.mp4", hold)
    assert begun.wait(30)
    second = studio.submit(request(clip, speech, "waits"), tmp_path / "2.mp4")
    second.cancel()
    assert second.wait(10)
    assert second.state == "cancelled"
    go_on.set()
    assert first.result(60).info.frames == 3
    studio.close()


def test_what_the_clip_says_of_itself_reaches_the_result(studio: Studio, clip: Clip, speech: Audio, tmp_path: Path) -> None:
    told = dataclasses.replace(clip, warnings=("Only the first 60 seconds of the video are used.",))
    info = studio.generate(request(told, speech, "told"), tmp_path / "v.mp4").info
    assert "Only the first 60 seconds of the video are used." in info.warnings


@pytest.mark.slow
def test_frames_without_the_face_pass_as_they_are_and_are_told(engine: DittoEngine, portrait: Photo, speech: Audio, tmp_path: Path) -> None:
    hidden = portrait.pixels.copy()
    hidden[40:220, 150:310] = 200
    settings = Settings(cache_dir=tmp_path / "cache")
    clip = load_source(encoded([hidden if i >= 8 else portrait.pixels for i in range(20)]), settings)
    assert isinstance(clip, Clip)
    registered = engine.register(clip, Framing())
    options = read_options({"sampling_timesteps": 2, "size": "source", "online_mode": True, "overlap_v2": 75})
    session = engine.session(registered, options.controls, options.render)
    shown = [
        (frame, session.skipped)
        for part in (session.push(speech.samples[: 640 * 10]), session.flush())
        for frame in part
    ]  # fmt: skip
    assert [why for _, why in shown] == [None] * 8 + ["no_face"] * 2
    for i, (frame, why) in enumerate(shown):
        changed = np.abs(frame.astype(int) - registered.source.picture(i)).mean()
        assert changed == 0 if why else changed > 0

    info = open_studio(settings, lambda: engine).generate(request(clip, speech, "hidden"), tmp_path / "v.mp4").info
    assert info.skipped == ()  # three frames of the recording are over before
    longer = dataclasses.replace(request(clip, speech, "hidden"), audio=dataclasses.replace(speech, samples=speech.samples[: 640 * 12]))
    info = open_studio(settings, lambda: engine).generate(longer, tmp_path / "v.mp4").info
    assert info.skipped == (Skipped(0.32, 0.48, "no_face"),)
    assert "0.2 of 0.5 seconds show the video as it was" in info.warnings[-1]
    assert info.to_dict()["skipped"] == [{"from_s": 0.32, "to_s": 0.48, "why": "no_face"}]


def test_only_a_video_without_any_face_is_refused(engine: DittoEngine, portrait: Photo, settings: Settings) -> None:
    grey = np.full_like(portrait.pixels, 128)
    with pytest.raises(FaceError, match="none was found"):
        engine.register(load_source(encoded([grey, grey]), settings), Framing())


def test_limits_are_settings(clip_bytes: bytes, portrait: Photo, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip_bytes)
    for source in (path, clip_bytes):
        with pytest.raises(ImageError, match="more than"):
            load_source(source, Settings(max_video_bytes=1000))
    short = load_source(clip_bytes, Settings(max_video_s=0.2))
    assert isinstance(short, Clip)
    assert (short.n_frames, len(list(short.frames()))) == (5, 5)
    longer = load_source(encoded([portrait.pixels] * 40), Settings(max_video_s=0.4))
    assert longer.warnings == ("Only the first 0.4 seconds of the video are used.",)


def test_a_registered_video_stays_within_its_room_on_the_disk(engine: DittoEngine, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine._registrar, "_max_store_bytes", 5 * 512 * 512 * 3)
    found = engine.register(clip, Framing())
    assert len(found.source) == 5
    assert "Only the first" in found.warnings[-1]
