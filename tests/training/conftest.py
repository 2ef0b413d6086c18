"""Clips that the lite engine makes of people who talk, a tiny Ditto to read them with, and the data made of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.media.audio import load_audio
from core.settings import Settings
from core.studio import Studio
from core.types import Photo, RenderOptions, Request
from tests.support.paths import ASSETS
from tests.support.synthetic_checkpoints import TINY, tiny_networks, write_checkpoints
from training.prepare import main as prepare

SPOKEN = ("speech_3s.wav", "speech_7s.wav")
STATEMENT = ["--consent", "The faces are drawn by this project's own lite engine.", "--licence", "Apache-2.0, as the project itself."]


@pytest.fixture(scope="session")
def ditto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a tiny Ditto; its networks are small while these tests run."""
    with tiny_networks():
        yield write_checkpoints(tmp_path_factory.mktemp("ditto"), TINY)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory, studio: Studio, portrait: Photo, settings: Settings) -> Path:
    """A folder with two clips of the portrait, made by the lite engine."""
    folder = tmp_path_factory.mktemp("videos")
    for number, name in enumerate(SPOKEN):
        audio = load_audio(ASSETS / name, settings)
        studio.generate(Request(audio, portrait, "lite", options=RenderOptions(size=256, seed=number)), folder / f"{number}.mp4")
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, videos: Path, ditto: Path) -> Path:
    """What `prepare` makes of them."""
    folder = tmp_path_factory.mktemp("data")
    assert prepare([str(videos), str(folder), "--ditto", str(ditto), "--device", "cpu", "--min_seconds", "2.5", *STATEMENT]) == 0
    return folder
