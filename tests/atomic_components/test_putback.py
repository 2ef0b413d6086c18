"""The rendered face put back into its source."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from core.atomic_components.putback import Canvas, blend_mask
from core.optimization.resolution_optimization import Cut, cut_pixels, face_cut
from core.settings import Settings
from core.types import Frame
from tests.support.ditto_source import Array, golden_crop, golden_render
from tests.support.golden_io import check, load, same_bytes
from tests.support.paths import PORTRAIT


def test_parity_putback(astronaut: Frame) -> None:
    golden = load("putback")
    mask = blend_mask()
    assert same_bytes(golden, "mask_sha256", mask)
    check(golden, "mask_row256", mask[256], 0)
    check(golden, "mask_corner40", mask[:40, :40], 0)
    render = golden_render()
    check(golden, "render", render, 1e-3)
    canvas = Canvas(astronaut, golden["M_c2o"])
    check(golden, "out", canvas.put(render), 2)
    check(golden, "out_numpy_variant", canvas.put(render), 2)
    check(golden, "out_white", canvas.put(np.full((512, 512, 3), 255, np.float32)), 2)
    check(golden, "out", canvas.on("cpu").put(torch.from_numpy(render / 255).permute(2, 0, 1)[None])[0].numpy(), 2)


def own_crop(pixels: Frame, m_c2o: Array) -> Array:
    """The crop of a photo at its full 512 pixels: putting it back must show the photo."""
    cut: Frame = cv2.warpAffine(
        pixels, m_c2o[:2], (512, 512), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return cut.astype(np.float32)


@pytest.mark.parametrize("size", [160, 320, 512, 640])
def test_the_small_output_is_where_it_belongs(size: int, astronaut: Frame) -> None:
    """A picture put back into itself stays what it is: a wrong half pixel anywhere in the geometry would show at every edge."""
    soft = cv2.GaussianBlur(astronaut, (0, 0), 1.5)  # so that the two ways of resampling agree
    m_c2o = golden_crop("c512_rot")[1].m_c2o
    cut = face_cut(512, 512, (160.0, 50.0, 280.0, 190.0))
    canvas = Canvas(soft, m_c2o, cut, size, size)
    background = cut_pixels(soft, cut, size, size)
    out = canvas.put(own_crop(soft, m_c2o))
    assert out.shape == (size, size, 3)
    assert out.dtype == np.uint8
    inside = np.zeros((512, 512), np.float32)
    inside[30:-30, 30:-30] = 1
    apart = out.astype(int) - background
    assert np.abs(apart).mean() < 1.0
    worst = np.abs(apart).max(axis=2)
    assert np.percentile(worst, 99) <= 4, np.percentile(worst, 99)
    # Against a shift of half a pixel this is sharp enough:
    off = Canvas(soft, m_c2o @ np.array([[1, 0, 1.5], [0, 1, 0], [0, 0, 1]], np.float32), cut, size, size).put(own_crop(soft, m_c2o))
    assert np.abs(off.astype(int) - background).mean() > 1.5 * np.abs(apart).mean()


def test_a_render_changes_only_what_it_covers(astronaut: Frame) -> None:
    m_c2o = golden_crop("c512_rot")[1].m_c2o
    cut = Cut(100, 0, 300, 300)
    canvas = Canvas(astronaut, m_c2o, cut, 320, 320)
    background = cut_pixels(astronaut, cut, 320, 320)
    white = canvas.put(np.full((512, 512, 3), 255, np.float32))
    middle = np.array([256, 256, 1]) @ m_c2o.T
    x, y = ((middle[:2] - (cut.x, cut.y)) * 320 / 300).astype(int)
    assert white[y, x].tolist() == [255, 255, 255]
    far = Canvas(astronaut, np.array([[0.1, 0, 150], [0, 0.1, 20], [0, 0, 1]], np.float32), cut, 320, 320)
    out = far.put(np.full((512, 512, 3), 255, np.float32))
    assert (out != background).any(axis=2).sum() < 70 * 70
    outside = Canvas(astronaut, np.array([[0.1, 0, 450], [0, 0.1, 450], [0, 0, 1]], np.float32), cut, 320, 320)
    np.testing.assert_array_equal(outside.put(np.zeros((512, 512, 3), np.float32)), background)
    np.testing.assert_array_equal(astronaut, load_portrait())  # the source is never written to
    first = canvas.put(np.zeros((512, 512, 3), np.float32))
    assert first is not canvas.put(np.full((512, 512, 3), 255, np.float32))
    assert first[y, x].tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [160, 320, 640, 0])
def test_a_canvas_on_a_device_is_the_same_canvas(size: int, astronaut: Frame) -> None:
    m_c2o = golden_crop("c512_rot")[1].m_c2o
    canvas = Canvas(astronaut, m_c2o, Cut(100, -20, 300, 300) if size else None, size, size)
    renders = np.stack([golden_render(), own_crop(astronaut, m_c2o)])
    want = np.stack([canvas.put(render) for render in renders])
    got = canvas.on("cpu").put(torch.from_numpy(renders).permute(0, 3, 1, 2) / 255)
    assert got.dtype == torch.uint8
    assert got.shape == want.shape
    apart = np.abs(got.numpy().astype(int) - want)
    assert apart.max() <= 2, apart.max()
    assert apart.mean() < 0.1
    outside = Canvas(astronaut, np.array([[0.1, 0, 600], [0, 0.1, 600], [0, 0, 1]], np.float32)).on("cpu")
    np.testing.assert_array_equal(outside.put(torch.zeros(1, 3, 512, 512))[0].numpy(), astronaut)


def test_a_render_is_not_shown_beyond_the_source(astronaut: Frame) -> None:
    """The crop is black there. The published pipeline never shows that part; a square around a face at the photo's edge does."""
    m_c2o = golden_crop("c512_rot")[1].m_c2o
    cut = Cut(30, -100, 400, 400)
    black = Canvas(astronaut, m_c2o, cut, 320, 320).put(np.zeros((512, 512, 3), np.float32))
    background = cut_pixels(astronaut, cut, 320, 320)
    np.testing.assert_array_equal(black[:80], background[:80])
    assert (black[92:120, 140:180] == 0).all()


def load_portrait() -> Frame:
    from core.media.image import load_image

    return load_image(PORTRAIT, Settings()).pixels


def test_the_whole_source_at_another_size(astronaut: Frame) -> None:
    m_c2o = golden_crop("c512_rot")[1].m_c2o
    out = Canvas(astronaut, m_c2o, width=256, height=256).put(own_crop(astronaut, m_c2o))
    want = cut_pixels(astronaut, Cut(0, 0, 512, 512), 256, 256)
    assert np.abs(out.astype(int) - want).mean() < 1.5
