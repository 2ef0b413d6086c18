"""The first seconds of a video can be seen while the rest of it is made; nothing is drawn twice for that."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from core import generation_run
from core.generation import Progress
from core.generation_run import PREVIEW_S
from core.media.audio import load_audio
from core.request import Request
from core.settings import Settings
from core.studio import Studio
from core.types import FPS, Audio, Photo
from tests.support.app_process import probe
from tests.support.paths import SPEECH


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_the_first_two_seconds_are_there_before_the_rest(studio: Studio, portrait: Photo, speech: Audio, tmp_path: Path) -> None:
    preview, output = tmp_path / "preview.mp4", tmp_path / "whole.mp4"
    there: list[int] = []

    def look(progress: Progress) -> None:
        if progress.stage == "animating" and preview.is_file():
            there.append(progress.done)
            assert not output.exists()

    made = studio.submit(Request(speech, portrait), output, look, preview).result()
    assert there
    assert PREVIEW_S * FPS <= there[0] < made.info.frames == 75
    assert probe(str(preview))[:3] == (320, 320, PREVIEW_S * FPS)
    assert probe(str(output))[:3] == (320, 320, 75)


@pytest.mark.parametrize("held_bytes", [generation_run.HELD_BYTES, 10 * 320 * 320 * 3], ids=["all held", "some held"])
def test_the_whole_is_the_same_with_one_and_shows_the_same(
    studio: Studio, portrait: Photo, speech: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_bytes: int
) -> None:
    monkeypatch.setattr(generation_run, "HELD_BYTES", held_bytes)
    preview, plain, whole = (tmp_path / f"{name}.mp4" for name in ("preview", "plain", "whole"))
    studio.submit(Request(speech, portrait), plain).result()
    studio.submit(Request(speech, portrait), whole, None, preview).result()
    assert whole.read_bytes() == plain.read_bytes()
    for first, same in zip(decoded(preview), decoded(whole), strict=False):
        assert cv2.PSNR(first, same) > 39


def test_a_video_that_is_no_longer_has_none(studio: Studio, portrait: Photo, settings: Settings, tmp_path: Path) -> None:
    audio = load_audio(SPEECH, settings)
    short = load_audio((16_000, audio.samples[: 2 * 16_000]), settings)
    studio.submit(Request(short, portrait), tmp_path / "whole.mp4", None, tmp_path / "preview.mp4").result()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".mp4"] == ["whole.mp4"]


def test_nothing_is_left_of_one_whose_video_is_cancelled(studio: Studio, portrait: Photo, speech: Audio, tmp_path: Path) -> None:
    folder = tmp_path / "made"

    def stop(progress: Progress) -> None:
        if progress.stage == "animating" and progress.done >= 10:
            job.cancel()

    job = studio.submit(Request(speech, portrait), folder / "whole.mp4", stop, folder / "preview.mp4")
    with pytest.raises(Exception, match="cancelled"):
        job.result()
    assert not folder.exists()
