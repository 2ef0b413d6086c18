"""Crops around a face's landmarks, held against the published code's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from core.atomic_components.crop import CROP_PX, Crop, halved, network_input
from core.aux_models.landmarks import LAYOUT_203, Landmarks
from core.errors import FaceError
from core.types import Frame
from tests.support.ditto_source import golden_crop
from tests.support.golden_io import check

CROPS = ["c224_from106_rot", "c224_from203_rot", "c224_from106_norot", "c512_rot", "c512_norot", "c512_vx_ignored"]


@pytest.mark.parametrize("name", CROPS)
def test_parity_crop(name: str, astronaut: Frame) -> None:
    golden, crop, landmarks = golden_crop(name)
    for key, matrix in (("M_o2c", crop.m_o2c), ("M_c2o", crop.m_c2o)):
        assert matrix.dtype == np.float32
        check(golden, f"{name}_{key}", matrix, 1e-5 * np.abs(golden[f"{name}_{key}"]).max())
    pixels = crop.pixels(astronaut)
    check(golden, f"{name}_img", pixels, 4)  # OpenCV's versions differ by so much
    if f"{name}_pt_crop" in golden.files:
        check(golden, f"{name}_pt_crop", crop.to_crop(landmarks.points), 1e-3)
    if name == "c512_rot":
        check(golden, f"{name}_bchw256", network_input([halved(pixels)]).numpy(), 3.5 / 255)


def test_horizontal_shift_is_honoured() -> None:
    """The published code takes crop_vx_ratio and ignores it: its golden for 0.3 equals ours for 0. Here 0.3 moves the crop by 0.3 sides."""
    golden, ignored, _ = golden_crop("c512_vx_ignored")
    check(golden, "c512_vx_ignored_M_o2c", ignored.m_o2c, 1e-2)
    _, shifted, _ = golden_crop("c512_vx_ignored", vx_ratio=0.3)
    middle = np.array([[CROP_PX / 2, CROP_PX / 2]], np.float32)
    moved = ignored.to_crop(shifted.to_frame(middle)) - middle
    np.testing.assert_allclose(moved, [[0.3 * CROP_PX, 0]], atol=0.01)
    assert shifted.side_px == pytest.approx(ignored.side_px, rel=1e-5)


def test_landmarks_without_extent_are_no_face() -> None:
    with pytest.raises(FaceError):
        Crop.around(Landmarks(np.full((203, 2), 7, np.float32), LAYOUT_203), CROP_PX, 2.3)
    with pytest.raises(FaceError):
        Crop.around(Landmarks(np.full((203, 2), np.nan, np.float32), LAYOUT_203), CROP_PX, 2.3)
