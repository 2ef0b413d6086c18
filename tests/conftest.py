"""What most tests need: the shipped assets, and one studio with the real lite engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.media.audio import load_audio
from core.media.image import load_image
from core.settings import Settings
from core.studio import Studio, open_studio
from core.types import Audio, Photo

ASSETS = Path(__file__).resolve().parents[1] / "assets"


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(output_dir=tmp_path_factory.mktemp("outputs"), cache_dir=tmp_path_factory.mktemp("caches"))


@pytest.fixture(scope="session")
def studio(settings: Settings) -> Iterator[Studio]:
    studio = open_studio(settings)
    yield studio
    studio.close()


@pytest.fixture(scope="session")
def portrait(settings: Settings) -> Photo:
    return load_image(ASSETS / "portrait.png", settings)


@pytest.fixture(scope="session")
def speech(settings: Settings) -> Audio:
    return load_audio(ASSETS / "speech_3s.wav", settings)
