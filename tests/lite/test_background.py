"""Another background: hair and skin stay, what was behind goes, drawings are left alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.aux_models.person_mask import PersonFinder
from core.engines.lite import LiteEngine, LiteRegistration
from core.lite.background import covering, fine_mask, with_background
from core.lite.expression import Expression
from core.lite.person_in_photo import SIDE_PX, PersonInPhoto
from core.media.image import load_image
from core.notices import read_notice
from core.optimization.resolution_optimization import Cut, face_cut
from core.request import Controls, Framing, RenderOptions
from core.studio import Studio
from core.types import Audio, Frame, Photo
from tests.support.paths import ASSETS

GREEN = (0, 177, 64)


@pytest.fixture(scope="module")
def registration(lite: LiteEngine, portrait: Photo) -> LiteRegistration:
    return lite.register(portrait, Framing())


def first(lite: LiteEngine, registration: LiteRegistration, background: str | Photo, speech: Audio) -> Frame:
    session = lite.session(registration, Controls(), RenderOptions(background=background))
    assert session.warnings == ()
    return list(session.push(speech.samples[:8000]))[0]


def test_a_colour_takes_the_place_of_the_wall_and_the_face_stays(lite: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    kept, green = (first(lite, registration, each, speech) for each in ("keep", "#00b140"))
    corners = np.concatenate([green[:60, :40].reshape(-1, 3), green[:60, -40:].reshape(-1, 3)])
    assert np.abs(corners.astype(int) - GREEN).max() <= 2
    face = np.s_[90:210, 110:210]
    assert np.abs(green[face].astype(int) - kept[face]).mean() < 1
    share = (np.abs(green.astype(int) - GREEN).max(axis=2) <= 8).mean()
    assert 0.2 < share < 0.6


def test_hair_keeps_no_rim_of_the_old_background(lite: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    """The wall is bright, the hair is not: before black, no pixel at the edge may be as bright as the wall."""
    black = cv2.cvtColor(first(lite, registration, "#000000", speech), cv2.COLOR_RGB2GRAY)
    kept = cv2.cvtColor(first(lite, registration, "keep", speech), cv2.COLOR_RGB2GRAY)
    behind = (black < 3).astype(np.uint8)
    rim = (cv2.dilate(behind, np.ones((9, 9), np.uint8)) - behind).astype(bool)
    rim[170:] = False  # below the hair
    assert rim.sum() > 1000
    assert np.percentile(black[rim], 98) < np.median(kept[:60, :40])


def test_a_picture_fills_the_frame_behind_the_person(lite: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    pixels = np.zeros((300, 900, 3), np.uint8)
    pixels[:, :450], pixels[:, 450:] = (250, 0, 0), (0, 0, 250)  # of a landscape the middle third is seen
    pixels[:, :280] = pixels[:, -280:] = 255
    own = Photo(pixels, "of this picture")
    shown, kept = first(lite, registration, own, speech).astype(int), first(lite, registration, "keep", speech)
    assert np.abs(shown[:60, :40] - (250, 0, 0)).max() <= 4
    assert np.abs(shown[:60, -40:] - (0, 0, 250)).max() <= 4
    assert np.abs(shown[90:210, 110:210] - kept[90:210, 110:210]).mean() < 1


def test_the_person_is_looked_for_once_for_all_sizes_and_backgrounds_and_once_more_for_the_whole_photo(
    lite: LiteEngine, portrait: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[tuple[int, ...]] = []
    find = PersonFinder.mask

    def counted(finder: PersonFinder, pixels: Frame) -> NDArray[np.float32]:
        looks.append(pixels.shape)
        return find(finder, pixels)

    monkeypatch.setattr(PersonFinder, "mask", counted)
    registration = lite.register(portrait, Framing())
    for size in (128, 320):
        for background in ("#00b140", "blur"):
            registration.prepared(RenderOptions(size=size, background=background))
    assert len(looks) == 1
    wide = [registration.prepared(RenderOptions(aspect=aspect, background="#00b140"))[0] for aspect in ("16:9", "source", "9:16")]
    assert len(looks) == 2
    shown = wide[0].draw(Expression())
    for corner in (shown[40:, :60], shown[40:200, -60:]):  # the wall on both sides of the person, down to the shoulders
        assert (np.abs(corner.astype(int) - GREEN).max(axis=2) <= 8).mean() > 0.97


@pytest.mark.parametrize("left", [0.0, 300.0])
def test_the_close_look_gives_way_to_that_at_the_whole_photo_without_a_seam(left: float) -> None:
    """What is found closely is 1, in the whole photo 0: the mask falls from one to the other bit by bit."""
    photo, box = np.zeros((600, 600, 3), np.uint8), (left + 120.0, 200.0, left + 200.0, 300.0)
    looks = iter([np.ones((SIDE_PX, SIDE_PX), np.float32), np.zeros((SIDE_PX, SIDE_PX), np.float32)])
    person = PersonInPhoto(photo, box, lambda _: next(looks))
    mask = person.mask(Cut(0, 0, 600, 600), 300, 300)
    assert mask[100:150, round(left / 2) + 60 : round(left / 2) + 100].min() == 1
    assert mask[-1].max() == 0
    assert max(np.abs(np.diff(mask, axis=0)).max(), np.abs(np.diff(mask, axis=1)).max()) < 0.15
    assert person.mask(face_cut(600, 600, box), 50, 50).min() == 1


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


def test_where_nobody_is_found_the_background_stays_and_that_is_told(lite: LiteEngine, speech: Audio, studio: Studio) -> None:
    drawing = lite.register(load_image(ASSETS / "examples" / "drawing.png", studio.settings), Framing())
    session = lite.session(drawing, Controls(), RenderOptions(background="#00b140"))
    assert [read_notice(each) for each in session.warnings] == [("background_kept", {})]
    plain = lite.session(drawing, Controls(), RenderOptions())
    frames = (list(each.push(speech.samples[:8000]))[0] for each in (session, plain))
    assert np.array_equal(*frames)
