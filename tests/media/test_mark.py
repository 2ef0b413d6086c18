"""The imperceptible mark, drawn: how little it changes, at every size, and always the same."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from core.media.mark import REFRESH_FRAMES, Mark
from core.media.mark_pattern import BAND, TILE, make_tile
from core.types import Frame, Photo


def drawn(frame: Frame, times: int = 1) -> Frame:
    mark = Mark(frame.shape[1], frame.shape[0], make_tile())
    for _ in range(times):
        after = frame.copy()
        mark.draw(after)
    return after


def psnr(before: Frame, after: Frame) -> float:
    difference = (before.astype(np.float64) - after) @ (0.2126, 0.7152, 0.0722)
    return float(10 * np.log10(255**2 / np.mean(difference**2)))


@pytest.mark.parametrize("side", [160, 320, 512])
def test_at_least_42_db_on_a_portrait(portrait: Photo, side: int) -> None:
    frame = cv2.resize(portrait.pixels[:600, :600], (side, side), interpolation=cv2.INTER_AREA)
    assert 42 < psnr(frame, drawn(frame)) < 50


def test_at_least_42_db_on_the_strongest_texture() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (320, 320, 3), np.uint8)
    assert psnr(noise, drawn(noise)) > 42


@pytest.mark.parametrize("grey", [0, 20, 128, 255])
def test_flat_grounds_change_by_less_than_a_level_on_average(grey: int) -> None:
    flat = np.full((320, 320, 3), grey, np.uint8)
    levels = drawn(flat).astype(int) - grey
    assert np.sqrt(np.mean(levels**2)) < 0.75
    assert 0 < np.abs(levels).max() <= 3 or grey == 0
    assert (levels[..., 0] == levels[..., 1]).all(), "no colour is added"


@pytest.mark.parametrize(("width", "height"), [(64, 64), (66, 1920), (320, 180), (1920, 1080)])
def test_any_size_is_marked_everywhere(width: int, height: int) -> None:
    flat = np.full((height, width, 3), 128, np.uint8)
    changed = (drawn(flat) != flat).any(axis=2)
    for half in (changed[: height // 2], changed[height // 2 :], changed[:, : width // 2], changed[:, width // 2 :]):
        assert 0.05 < half.mean() < 0.8


def test_the_same_frames_are_marked_the_same(portrait: Photo) -> None:
    frame = cv2.resize(portrait.pixels, (320, 320))
    assert np.array_equal(drawn(frame), drawn(frame))
    assert np.array_equal(drawn(frame), drawn(frame, times=REFRESH_FRAMES + 2))


def test_strength_follows_the_picture(portrait: Photo) -> None:
    """What was flat when the video began is marked as what it has become, from the next refresh on."""
    textured = cv2.resize(portrait.pixels[:600, :600], (320, 320))
    mark = Mark(320, 320, make_tile())
    for _ in range(REFRESH_FRAMES):
        mark.draw(np.full((320, 320, 3), 128, np.uint8))
    after = textured.copy()
    mark.draw(after)
    assert np.array_equal(after, drawn(textured))


def test_the_tile_repeats_without_a_seam_within_its_band() -> None:
    spectrum = np.abs(np.fft.rfft2(make_tile().astype(np.float64)))
    cycles = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None])
    outside = spectrum[(cycles < BAND[0]) | (cycles >= BAND[1])]
    assert np.sum(outside**2) < 1e-3 * np.sum(spectrum**2)


def test_a_payload_changes_the_pattern_and_not_its_strength() -> None:
    tiles = [make_tile(), make_tile(b"key", 1), make_tile(b"key", 2), make_tile(b"other", 1)]
    assert len({tile.tobytes() for tile in tiles}) == 4
    for tile in tiles:
        assert np.std(tile / 64) == pytest.approx(1, abs=0.05)
