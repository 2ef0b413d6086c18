"""How the mouth's warp moves what is below the lips: a jaw that closes draws the neck out and folds it nowhere."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.engines.lite import LiteEngine
from core.lite.mouth_warp import MouthWarp
from core.request import Framing, RenderOptions
from core.types import Photo


@pytest.fixture(scope="module")
def mouth(lite: LiteEngine, portrait: Photo) -> MouthWarp:
    return lite.register(portrait, Framing()).renderer(RenderOptions()).mouth


@pytest.mark.parametrize("way", [0.02, 0.1, 0.3, 0.6])
def test_what_a_closing_jaw_draws_out_folds_nowhere(mouth: MouthWarp, way: float) -> None:
    """Clips with open mouths are closed so. way: of the distance from mouth to chin."""
    y = np.linspace(0.5 * mouth.half, 6 * mouth.half, 400, dtype=np.float32)
    shape = mouth.shape(0.0, 0.0, 0.0)
    closing = dataclasses.replace(shape, d_chin=np.full_like(shape.d_chin, -way * mouth.chin_y))
    moved = mouth._moved_below(closing, mouth.frame.index(np.zeros((400, 1), np.float32)), y[:, None])[:, 0]
    chin = int(np.argmax(y > (1.05 - way) * mouth.chin_y))
    assert moved[chin] < -0.7 * way * mouth.chin_y, "it comes along"
    assert (np.diff((y - moved)[y > (1 - way) * mouth.chin_y]) > 0).all(), "no pixel comes from above the one before"
    assert moved[-1] == 0
    if way > 0.15:
        outline = int(np.argmax(y > mouth.chin_y / 0.82))
        assert -0.9 * way * mouth.chin_y < moved[outline] < 0, "the neck right under the chin is not torn up with it"
