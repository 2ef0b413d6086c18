"""Clips that the lite engine makes of a person who talks, a tiny Ditto to read them with, and the data made of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from core.media.audio import load_audio
from core.request import RenderOptions, Request
from core.settings import Settings
from core.studio import Studio
from core.types import Photo
from tests.support.paths import ASSETS
from tests.support.synthetic_checkpoints import TINY, tiny_networks, write_checkpoints
from training.prepare import main as prepare

SPOKEN = (("speech_7s.wav", 0, 4.5), ("speech_16s.wav", 0, 4.5), ("speech_16s.wav", 6, 10.5))
"""Recording, and from when to when of it."""
STATEMENT = ["--consent", "The face is drawn by this project's own lite engine.", "--licence", "Apache-2.0, as the project itself."]


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    with tiny_networks():
        yield


@pytest.fixture(scope="session")
def ditto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny Ditto, laid out as published."""
    return write_checkpoints(tmp_path_factory.mktemp("ditto"), TINY)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory, studio: Studio, portrait: Photo, settings: Settings) -> Path:
    """A folder with three clips of the portrait, made by the lite engine."""
    folder = tmp_path_factory.mktemp("videos")
    for number, (name, first_s, last_s) in enumerate(SPOKEN):
        audio = load_audio(ASSETS / name, settings)
        samples = audio.samples[round(first_s * 16_000) : round(last_s * 16_000)]
        part = folder / "part.wav"
        soundfile.write(part, samples, 16_000)
        request = Request(load_audio(part, settings), portrait, "lite", options=RenderOptions(size=256, seed=number))
        studio.generate(request, folder / f"{number}.mp4")
        part.unlink()
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, videos: Path, ditto: Path) -> Path:
    """What `prepare` makes of them."""
    folder = tmp_path_factory.mktemp("data")
    with tiny_networks():
        assert prepare([str(videos), str(folder), "--ditto", str(ditto), "--device", "cpu", *STATEMENT]) == 0
    return folder
