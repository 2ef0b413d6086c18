"""Pictures beside the sliders: one option each, of photos and avatars, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from core.errors import FaceError, OptionError
from core.service.outputs import OutputFolder
from core.service.service import Service
from core.settings import Settings
from core.studio import Studio
from tests.support.paths import PORTRAIT

OWNER = "somebody"


@pytest.fixture(scope="module")
def service(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("stills")
    service = Service(studio, OutputFolder(folder / "out", 3600.0), Settings(cache_dir=folder / "cache"))
    yield service
    service.close()


def still(service: Service, person: Path | str = PORTRAIT, shown: str = "all", **options: Any) -> np.ndarray:
    data = asyncio.run(service.stills.of(person, OWNER, options, shown))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_each_control_is_seen(service: Service) -> None:
    plain = still(service)
    assert plain.shape == (256, 256, 3)
    assert np.array_equal(plain, still(service))
    for name, value in {"smile": 0.0, "gaze_x": 0.8, "gaze_y": -0.8, "mouth": 1.5, "head_motion": 2.0, "blink": 1.0}.items():
        assert np.abs(still(service, shown=name, **{name: value}).astype(int) - plain).max() > 40, name
    assert np.array_equal(still(service, shown="blink", blink=0), plain)


def test_at_rest_it_is_the_photo_as_a_video_begins_whatever_is_left_of_the_smile_in_speech(service: Service) -> None:
    plain = still(service)
    for shown in ("all", "blink", "head_motion"):
        assert np.array_equal(still(service, shown=shown, smile=0.0), still(service, shown=shown)), shown
    assert not np.array_equal(still(service, shown="smile", smile=0.0), still(service, shown="smile", smile=1.0))
    assert np.abs(still(service, shown="smile", smile=1.0).astype(int) - plain).max() > 40, "it speaks: the control is of speech"


def test_the_picture_is_framed_as_the_video_will_be(service: Service) -> None:
    assert still(service, aspect="9:16").shape == (454, 256, 3)
    assert still(service, crop="0,0,1,0.5", size="source").shape == (256, 512, 3)


def test_an_avatar(service: Service, studio: Studio) -> None:
    from core.media.image import load_image

    job = studio.submit_avatar(load_image(PORTRAIT, studio.settings), OWNER)
    assert np.array_equal(still(service, job.result().token), still(service))


def test_what_a_video_would_refuse_is_refused(service: Service, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="smile is 7"):
        still(service, smile=7)
    nobody = tmp_path / "nobody.png"
    cv2.imwrite(str(nobody), np.full((300, 300, 3), 200, np.uint8))
    with pytest.raises(FaceError):
        still(service, nobody)
