"""Another background: hair and skin stay, what was behind goes, drawings are left alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from core.engines.lite import LiteEngine, LiteRegistration
from core.lite.background import covering, fine_mask, with_background
from core.media.image import load_image
from core.notices import read_notice
from core.studio import Studio
from core.types import Audio, Controls, Frame, Framing, Photo, RenderOptions
from tests.support.paths import ASSETS

GREEN = (0, 177, 64)


@pytest.fixture(scope="module")
def engine(studio: Studio) -> LiteEngine:
    engine = studio.engine("lite")
    assert isinstance(engine, LiteEngine)
    return engine


@pytest.fixture(scope="module")
def registration(engine: LiteEngine, portrait: Photo) -> LiteRegistration:
    return engine.register(portrait, Framing())


def first(engine: LiteEngine, registration: LiteRegistration, background: str | Photo, speech: Audio) -> Frame:
    session = engine.session(registration, Controls(), RenderOptions(background=background))
    assert session.warnings == ()
    return list(session.push(speech.samples[:8000]))[0]


def test_a_colour_takes_the_place_of_the_wall_and_the_face_stays(engine: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    kept, green = (first(engine, registration, each, speech) for each in ("keep", "#00b140"))
    corners = np.concatenate([green[:60, :40].reshape(-1, 3), green[:60, -40:].reshape(-1, 3)])
    assert np.abs(corners.astype(int) - GREEN).max() <= 2
    face = np.s_[90:210, 110:210]
    assert np.abs(green[face].astype(int) - kept[face]).mean() < 1
    share = (np.abs(green.astype(int) - GREEN).max(axis=2) <= 8).mean()
    assert 0.2 < share < 0.6


def test_hair_keeps_no_rim_of_the_old_background(engine: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    """The wall is bright, the hair is not: before black, no pixel at the edge may be as bright as the wall."""
    black = cv2.cvtColor(first(engine, registration, "#000000", speech), cv2.COLOR_RGB2GRAY)
    kept = cv2.cvtColor(first(engine, registration, "keep", speech), cv2.COLOR_RGB2GRAY)
    behind = (black < 3).astype(np.uint8)
    rim = (cv2.dilate(behind, np.ones((9, 9), np.uint8)) - behind).astype(bool)
    rim[170:] = False  # below the hair
    assert rim.sum() > 1000
    assert np.percentile(black[rim], 98) < np.median(kept[:60, :40])


def test_a_picture_fills_the_frame_behind_the_person(engine: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    pixels = np.zeros((300, 900, 3), np.uint8)
    pixels[:, :450], pixels[:, 450:] = (250, 0, 0), (0, 0, 250)  # of a landscape the middle third is seen
    pixels[:, :280] = pixels[:, -280:] = 255
    own = Photo(pixels, "of this picture")
    shown, kept = first(engine, registration, own, speech).astype(int), first(engine, registration, "keep", speech)
    assert np.abs(shown[:60, :40] - (250, 0, 0)).max() <= 4
    assert np.abs(shown[:60, -40:] - (0, 0, 250)).max() <= 4
    assert np.abs(shown[90:210, 110:210] - kept[90:210, 110:210]).mean() < 1
    assert len(registration._masks) == 1, "the person is found once, for every background"


@pytest.mark.parametrize(("width", "height"), [(900, 64), (64, 900), (64, 64), (3000, 2000)])
def test_any_picture_covers_any_frame(width: int, height: int) -> None:
    middle = np.zeros((height, width, 3), np.uint8)
    middle[height // 2 - 8 : height // 2 + 8, width // 2 - 8 : width // 2 + 8] = 200
    for size in ((320, 320), (180, 320), (320, 180)):
        covered = covering(middle, *size)
        assert covered.shape == (size[1], size[0], 3)
        assert covered[size[1] // 2, size[0] // 2, 0] > 100
        assert not covered[0].any()
        bright = np.argwhere(covered[..., 0] > 100)
        extent = np.ptp(bright, axis=0)
        assert abs(int(extent[0]) - int(extent[1])) <= 2, "nothing is stretched"


def test_blur_leaves_the_person_and_takes_detail_from_what_is_behind() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (240, 240, 3), np.uint8)
    mask = np.zeros((240, 240), np.float32)
    mask[80:, 70:170] = 1
    picture[90:, 80:160] = (10, 200, 30)
    blurred = with_background(picture, mask, "blur")
    assert np.abs(blurred[120:, 90:150].astype(int) - picture[120:, 90:150]).max() <= 2
    assert blurred[:60, :60].std() < 0.2 * picture[:60, :60].std()
    assert np.abs(blurred[:60].reshape(-1, 3).mean(0) - picture[:60].reshape(-1, 3).mean(0)).max() < 12  # and none of the person's green


def test_the_mask_follows_the_edges_of_the_picture() -> None:
    image = np.zeros((200, 200, 3), np.float32)
    image[:, 100:] = 1
    coarse = cv2.GaussianBlur((np.arange(200) >= 100).astype(np.float32)[None].repeat(200, 0), (0, 0), 4)
    fine = fine_mask(image, coarse)
    assert np.abs(fine[100] - (np.arange(200) >= 100)).sum() < 0.7 * np.abs(coarse[100] - (np.arange(200) >= 100)).sum()


def test_where_nobody_is_found_the_background_stays_and_that_is_told(engine: LiteEngine, speech: Audio, studio: Studio) -> None:
    drawing = engine.register(load_image(ASSETS / "examples" / "drawing.png", studio.settings), Framing())
    session = engine.session(drawing, Controls(), RenderOptions(background="#00b140"))
    assert [read_notice(each) for each in session.warnings] == [("background_kept", {})]
    plain = engine.session(drawing, Controls(), RenderOptions())
    frames = (list(each.push(speech.samples[:8000]))[0] for each in (session, plain))
    assert np.array_equal(*frames)
