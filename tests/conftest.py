"""What many tests need: the shipped assets, one studio with the real lite engine, studios that are opened again, and face models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import FaceMesh
from core.engines.base import Engine
from core.engines.lite import LiteEngine
from core.media.audio import load_audio
from core.media.image import load_image
from core.optimization import cpu_precision
from core.settings import Settings
from core.studio import Studio, open_studio
from core.types import Audio, Frame, Photo
from tests.support.golden_io import load, same_bytes
from tests.support.paths import ASSETS


@pytest.fixture(scope="session", autouse=True)
def processor_without_bfloat16() -> Iterator[None]:
    """Frames are the same on every machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu_precision, "processor_flags", frozenset)
        yield


@pytest.fixture(scope="session", autouse=True)
def captions_only_where_asked_for() -> Iterator[None]:
    """A recogniser is installed for the tests: it would hear every recording of every test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TALKING_HEAD_CAPTION_RECORDINGS", "false")
        yield


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


@pytest.fixture(scope="session")
def short(speech: Audio) -> Audio:
    """Half a second."""
    return dataclasses.replace(speech, samples=speech.samples[:8_000])


@pytest.fixture(scope="session")
def lite(studio: Studio) -> LiteEngine:
    """The lite engine, loaded once for all."""
    engine = studio.engine("lite")
    assert isinstance(engine, LiteEngine)
    return engine


@pytest.fixture
def open_again(tmp_path: Path, lite: Engine) -> Iterator[Callable[..., Studio]]:
    """Opens the same studio of this test alone, as after a restart; the engine stays loaded for speed."""
    opened: list[Studio] = []

    def again(serving: bool = True, **settings: Any) -> Studio:
        given = Settings(output_dir=tmp_path / "outputs", cache_dir=tmp_path / "caches", **settings)
        opened.append(Studio(given, {"lite": lambda: lite}, serving=serving))
        opened[-1].engine("lite")
        return opened[-1]

    yield again
    for studio in opened:
        studio.close()


@pytest.fixture(scope="module")
def astronaut(portrait: Photo) -> Frame:
    """The pixels of the portrait, checked to be those that the goldens were made with."""
    assert same_bytes(load("crop"), "image_sha256", portrait.pixels)
    return portrait.pixels


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    """The face landmarker for whole pictures."""
    return FaceFinder()


@pytest.fixture(scope="module")
def mesh() -> FaceMesh:
    """The face mesh for crops around one face."""
    return FaceMesh()
