"""From request to video, through the real engine and the real encoder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import pytest

from core.errors import Cancelled, EngineUnavailable, FaceError, OptionError, OutputError
from core.generation import Progress
from core.request import Controls, Framing, RenderOptions, Request
from core.settings import Settings
from core.studio import Studio, open_studio
from core.types import Audio, Photo


@pytest.fixture(scope="module")
def short(speech: Audio) -> Audio:
    return dataclasses.replace(speech, samples=speech.samples[:16_000])


def test_generation(studio: Studio, speech: Audio, portrait: Photo, tmp_path: Path) -> None:
    output = tmp_path / "a folder" / "video.mp4"
    seen: list[Progress] = []
    generation = studio.generate(Request(speech, portrait), output, seen.append)
    info = generation.info
    assert generation.path == output
    assert (info.engine, info.frames, info.fps, info.width, info.height) == ("lite", speech.n_frames, 25, 320, 320)
    assert info.rtf == pytest.approx(info.wall_s / info.audio_s, rel=0.01)
    assert 0 < info.first_frame_ms < info.wall_s * 1000
    assert info.engine_reason
    stages = list(dict.fromkeys(progress.stage for progress in seen))
    assert stages == ["loading", "registering", "animating", "finishing", "done"]
    done = [progress.done for progress in seen if progress.stage == "animating"]
    assert done == sorted(done)
    assert done[-1] == info.frames
    with av.open(str(output)) as video:
        assert sum(1 for _ in video.decode(video=0)) == info.frames
        assert "Synthetic media" in video.metadata["comment"]


def test_known_photo_is_not_registered_again_but_only_for_its_owner(
    studio: Studio, short: Audio, portrait: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = dataclasses.replace(portrait, sha256="registered once")
    engine = studio.engine("lite")
    calls: list[str] = []
    register = engine.register
    monkeypatch.setattr(engine, "register", lambda photo, *more: (calls.append(photo.sha256), register(photo, *more))[1])
    for owner in ("ann", "ann", "bob"):
        studio.generate(Request(short, fresh, owner=owner, options=RenderOptions(size=128)), tmp_path / "v.mp4")
    assert len(calls) == 2


def test_same_seed_same_bytes(studio: Studio, short: Audio, portrait: Photo, tmp_path: Path) -> None:
    videos = [studio.generate(Request(short, portrait), tmp_path / f"{i}.mp4").path.read_bytes() for i in range(2)]
    assert videos[0] == videos[1]


def test_failure_leaves_nothing_and_keeps_what_was_there(studio: Studio, short: Audio, portrait: Photo, tmp_path: Path) -> None:
    output = tmp_path / "kept.mp4"
    output.write_bytes(b"older")
    with pytest.raises(FaceError, match="Face 3"):
        studio.generate(Request(short, portrait, framing=Framing(3)), output)
    with pytest.raises(OptionError, match="blink"):
        studio.generate(Request(short, portrait, controls=Controls(blink=9)), output)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.mp4"]
    assert output.read_bytes() == b"older"


def test_cancel_in_the_middle_leaves_nothing(studio: Studio, speech: Audio, portrait: Photo, tmp_path: Path) -> None:
    def cancel(progress: Progress) -> None:
        if progress.stage == "animating" and progress.done >= 20:
            job.cancel()

    job = studio.submit(Request(speech, portrait), tmp_path / "v.mp4", cancel)
    with pytest.raises(Cancelled):
        job.result(30)
    assert list(tmp_path.iterdir()) == []


def test_engine_choice_is_told(studio: Studio) -> None:
    assert studio.choose_engine("lite") == ("lite", "it was asked for")
    name, reason = studio.choose_engine("auto")
    assert name == "lite"
    assert "auto" in reason
    with pytest.raises(EngineUnavailable, match=r"ditto.*lite"):
        studio.choose_engine("ditto")
    with pytest.raises(OptionError, match=r"'fast'.*auto, lite, ditto"):
        studio.choose_engine("fast")


def test_unwritable_output_is_refused_before_any_work(studio: Studio, short: Audio, portrait: Photo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        studio.submit(Request(short, portrait), tmp_path / "file" / "video.mp4")


def test_engines_load_when_first_needed(tmp_path: Path) -> None:
    studio = open_studio(Settings(output_dir=tmp_path))
    assert studio.health()["loaded"] == []
    studio.close()


def test_the_constant_rate_factor_holds_for_files_and_streams(studio: Studio, short: Audio, portrait: Photo, tmp_path: Path) -> None:
    files, streams = [], []
    for crf in (12, 18, 30):
        request = Request(short, portrait, options=RenderOptions(size=128, crf=crf))
        files.append(studio.generate(request, tmp_path / f"{crf}.mp4").path.stat().st_size)
        with studio.stream(request) as stream:
            streams.append(sum(len(segment.data) for segment in stream))
    usual = studio.generate(Request(short, portrait, options=RenderOptions(size=128)), tmp_path / "usual.mp4").path
    assert usual.stat().st_size == files[1]
    assert files == sorted(files, reverse=True)
    assert streams == sorted(streams, reverse=True)
    with pytest.raises(OptionError, match="crf is 9"):
        studio.check(Request(short, portrait, options=RenderOptions(crf=9)))
