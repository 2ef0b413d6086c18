"""The picture of the inside of a mouth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from core.engines.lite import LiteEngine
from core.lite.expression import Expression
from core.request import Framing, RenderOptions
from core.types import Photo


@pytest.mark.parametrize("size", [128, 320, 512])
def test_nothing_that_frames_look_into_is_copied_for_it(
    lite: LiteEngine, portrait: Photo, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV copies what does not lie pixel after pixel, in silence: a layer of the mouth's inside cost a tenth of a frame of 512 so."""
    renderer = lite.register(portrait, Framing()).renderer(RenderOptions(size=size))
    remap, looked_up = cv2.remap, []

    def recorded(picture: np.ndarray, *arguments: object, **options: object) -> np.ndarray:
        looked_up.append(picture)
        return remap(picture, *arguments, **options)

    monkeypatch.setattr(cv2, "remap", recorded)
    renderer.draw(Expression(aperture=0.7, tongue=1.0, gaze_x=0.3))
    assert len({id(picture) for picture in looked_up}) == 5, "the photo, and four layers of the mouth's inside"
    assert all(picture.flags.c_contiguous for picture in looked_up)
