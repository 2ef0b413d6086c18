"""One person's face over the frames of a clip: clips of the lite engine's own persons, with the motion known."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from core.aux_models.face_finder import FaceFinder
from core.engines.lite import LiteEngine
from core.errors import FaceError, ImageError
from core.generation import Skipped
from core.lite.clip_faces import ClipFaces, track
from core.media.image import load_image
from core.request import Controls, Framing, RenderOptions
from core.settings import Settings
from core.types import Audio, Frame, Photo
from tests.support.paths import ASSETS
from tests.support.scenes import Actor, Matrix, moved, scene, turned

WIDTH, HEIGHT = 480, 270
PERSON_AT, PERSON_OVAL = (160.0, 150.0), (160.0, 150.0, 120.0, 130.0)
"""In the pictures of 320x320 that the engine makes: the face's middle, and what is cut out around it."""
SCALE = 0.8


def spoken(engine: LiteEngine, photo: Photo, speech: Audio) -> list[Frame]:
    session = engine.session(engine.register(photo, Framing()), Controls(head_motion=0), RenderOptions())
    return list(session.push(speech.samples[:24_000]))


@pytest.fixture(scope="module")
def engine() -> LiteEngine:
    return LiteEngine()


@pytest.fixture(scope="module")
def her(engine: LiteEngine, portrait: Photo, speech: Audio) -> list[Frame]:
    return spoken(engine, portrait, speech)


@pytest.fixture(scope="module")
def him(engine: LiteEngine, settings: Settings, speech: Audio) -> list[Frame]:
    return spoken(engine, load_image(ASSETS / "examples" / "painting.jpg", settings), speech)


def person(pictures: list[Frame], at: Callable[[int], Matrix | None]) -> Actor:
    return Actor(pictures, at, PERSON_OVAL)


def place(x: float, y: float = 135, scale: float = SCALE, turn_deg: float = 0.0) -> Matrix:
    return moved(x, y, scale, turn_deg, PERSON_AT)


def shown(clip: Iterator[Frame], finder: FaceFinder, face_index: int | None = None) -> ClipFaces:
    return track(clip, finder, face_index, 25, lambda done, total: None)


def changed(clip: Iterator[Frame], numbers: range, change: Callable[[Frame], Frame]) -> Iterator[Frame]:
    for number, frame in enumerate(clip):
        yield change(frame) if number in numbers else frame


def black(frame: Frame) -> Frame:
    return np.zeros_like(frame)


def broken(frame: Frame) -> Frame:
    """What a decoder gives of a damaged packet: grey, with blocks of noise."""
    blocks = np.random.default_rng(int(frame[0, 0, 0])).integers(0, 255, (9, 16, 3)).astype(np.uint8)
    return cv2.resize(blocks, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)


def papered(x: float) -> Callable[[Frame], Frame]:
    """A sheet of paper before a face at x."""

    def cover(frame: Frame) -> Frame:
        hidden = frame.copy()
        hidden[40:250, round(x) - 80 : round(x) + 80] = np.linspace(190, 230, 160)[None, :, None]
        return hidden

    return cover


def test_a_moving_head_is_followed_without_lag_and_a_still_one_stands_still(finder: FaceFinder, her: list[Frame]) -> None:
    still = 25
    places = [place(240, 135)] * still
    for i in range(45):
        t = i / 25
        places.append(place(240 + 45 * np.sin(5 * t), 135 + 12 * np.sin(11 * t), SCALE * (1 + 0.12 * np.sin(4 * t)), 8 * np.sin(7 * t)))
    steps = []
    found = track(scene([person(her[:1], lambda i: places[i])], 70, WIDTH, HEIGHT), finder, None, 25, lambda *step: steps.append(step))
    assert steps == [(i + 1, 0) for i in range(70)]
    assert found.skipped == ()
    np.testing.assert_array_equal(found.weight, 1)
    assert (found.width, found.height, len(found)) == (WIDTH, HEIGHT, 70)
    back = [cv2.invertAffineTransform(m) for m in places]
    on_picture = np.stack([points[:, :2] @ m[:, :2].T + m[:, 2] for points, m in zip(found.points, back, strict=True)])
    usual = np.median(on_picture, axis=0)
    truth = np.stack([usual @ m[:, :2].T + m[:, 2] for m in places])
    error = found.points[..., :2] - truth
    assert error[2 : still - 2].std(axis=0).mean() < 0.1
    assert np.abs(np.diff(error[2 : still - 2], axis=0)).mean() < 0.1
    moving, speed = error[still:], np.gradient(truth, axis=0)[still:]
    assert np.abs(moving.mean(axis=1)).max() < 0.8
    behind_frames = -(moving * speed).sum() / (speed**2).sum()
    assert abs(behind_frames) * np.linalg.norm(speed, axis=-1).mean() < 0.2
    assert np.hypot(*speed.mean(axis=1).T).max() > 8  # it was fast
    np.testing.assert_allclose(found.boxes[:, 2] - found.boxes[:, 0], np.ptp(truth[:, :, 0], axis=1), rtol=0.08)


def test_the_expression_is_that_of_the_speech(finder: FaceFinder, her: list[Frame]) -> None:
    found = shown(scene([person(her, lambda i: place(240))], len(her), WIDTH, HEIGHT), finder)
    gap = np.linalg.norm(found.points[:, 13, :2] - found.points[:, 14, :2], axis=1)
    assert gap.max() > 5 * max(gap.min(), 0.5)
    assert np.corrcoef(gap, found.jaw_open)[0, 1] > 0.7
    assert np.abs(found.yaw_deg).max() < 8


def test_a_short_gap_is_bridged(finder: FaceFinder, her: list[Frame]) -> None:
    def at(i: int) -> Matrix:
        return place(150 + 3 * i)

    def paper(frame: Frame) -> Frame:
        return papered(150 + 3 * 24)(frame)

    whole = shown(scene([person(her[:1], at)], 45, WIDTH, HEIGHT), finder)
    found = shown(changed(scene([person(her[:1], at)], 45, WIDTH, HEIGHT), range(20, 29), paper), finder)
    assert found.skipped == ()
    np.testing.assert_array_equal(found.weight, 1)
    assert np.abs(found.points[20:29, :, :2] - whole.points[20:29, :, :2]).mean() < 1.0


def test_a_long_gap_passes_and_the_mouth_eases(finder: FaceFinder, her: list[Frame]) -> None:
    clip = scene([person(her, lambda i: place(240))], 50, WIDTH, HEIGHT)
    found = shown(changed(clip, range(20, 34), papered(240)), finder)
    assert found.skipped == (Skipped(0.8, 1.36, "no_face"),)
    eased = np.arange(1, 6) / 6
    np.testing.assert_allclose(found.weight[14:40], [1, *eased[::-1], *[0] * 14, *eased, 1], rtol=1e-6)
    assert np.isfinite(found.points).all()


def test_black_and_broken_frames_pass(finder: FaceFinder, her: list[Frame]) -> None:
    clip = changed(scene([person(her, lambda i: place(240))], 40, WIDTH, HEIGHT), range(3), black)
    found = shown(changed(clip, range(15, 19), broken), finder)
    assert found.skipped == (Skipped(0.0, 0.12, "no_face"), Skipped(0.6, 0.76, "no_face"))
    np.testing.assert_array_equal(found.weight, [0 if i in (0, 1, 2, 15, 16, 17, 18) else 1 for i in range(40)])


def test_a_cut_to_another_person_and_back(finder: FaceFinder, her: list[Frame], him: list[Frame]) -> None:
    """The same person at another place and size is found at once; another one at her place is not taken for her."""
    first = scene([person(her, lambda i: place(150))], 15, WIDTH, HEIGHT)
    second = scene([person(him, lambda i: place(150))], 15, WIDTH, HEIGHT, light=0.5)
    third = scene([person(her, lambda i: place(330, 130, 0.6))], 15, WIDTH, HEIGHT)
    found = shown(itertools.chain(first, second, third), finder)
    assert found.skipped == (Skipped(0.6, 1.2, "other_face"),)
    np.testing.assert_array_equal(found.weight, [0 if 15 <= i < 30 else 1 for i in range(45)])  # with the picture, at once
    middles = found.boxes[:, [0, 2]].mean(axis=1)
    np.testing.assert_allclose(middles[:15], 150, atol=3)
    np.testing.assert_allclose(middles[30:], 330, atol=3)


@pytest.mark.parametrize("twin", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_persons_who_cross_are_kept_apart(finder: FaceFinder, her: list[Frame], him: list[Frame], twin: bool, before: bool) -> None:
    def right(i: int) -> Matrix:
        return place(90 + 7 * i)

    def left(i: int) -> Matrix:
        return place(400 - 7 * i, 140, 0.72)

    other = [frame[:, ::-1] for frame in her] if twin else him
    actors = [person(her, right), person(other, left)]
    found = shown(scene(actors[::-1] if before else actors, 45, WIDTH, HEIGHT), finder, 0 if twin or _larger(finder, actors) else 1)
    away = np.abs(found.boxes[:, [0, 2]].mean(axis=1) - [90 + 7 * i for i in range(45)])
    seen = found.weight > 0
    assert away[seen].max() < 12
    assert seen[:10].all()
    assert seen[-9:].all()
    if before:
        assert seen.mean() > 0.9
    else:
        assert "other_face" in {span.why for span in found.skipped}


def _larger(finder: FaceFinder, actors: list[Actor]) -> bool:
    first = next(scene(actors, 1, WIDTH, HEIGHT))
    return finder.find(first)[0].box[0] < WIDTH / 2


def test_the_face_is_chosen_in_the_first_frame_with_so_many(finder: FaceFinder, her: list[Frame], him: list[Frame]) -> None:
    actors = [person(her, lambda i: place(130, 135, 0.9)), person(him, lambda i: place(360, 135, 0.6) if i >= 6 else None)]
    found = shown(scene(actors, 20, WIDTH, HEIGHT), finder, 1)
    assert found.skipped == (Skipped(0.0, 0.24, "other_face"),)
    np.testing.assert_allclose(found.boxes[6:, [0, 2]].mean(axis=1), 360, atol=4)
    with pytest.raises(FaceError) as missing:
        shown(scene(actors[:1], 3, WIDTH, HEIGHT), finder, 1)
    assert missing.value.code == "face_missing"


def test_a_face_that_goes_away_becomes_too_small_or_is_cut_off(finder: FaceFinder, her: list[Frame]) -> None:
    found = shown(scene([person(her[:1], lambda i: place(240, 135, 0.8 * 0.95**i))], 50, WIDTH, HEIGHT), finder)
    assert [span.why for span in found.skipped][:1] == ["too_small"]
    assert found.weight[:25].all()
    found = shown(scene([person(her[:1], lambda i: place(240, 135 + 6 * max(i - 5, 0)))], 40, WIDTH, HEIGHT), finder)
    assert found.skipped[0].why == "cut_off"
    assert found.weight[0] == 1
    assert found.weight[-1] == 0


def test_a_head_that_turns_away_comes_back_as_the_same_person(finder: FaceFinder, her: list[Frame]) -> None:
    near = cv2.resize(her[0], (480, 480), interpolation=cv2.INTER_CUBIC)
    points = finder.find(near)[0].points
    there = [turned(near, points, 62 * np.sin(np.pi * i / 36)) for i in range(19)]
    found = shown(iter([*there, *there[-2::-1], *[there[0]] * 5]), finder)
    assert [span.why for span in found.skipped] == ["turned_away"]
    assert found.yaw_deg.max() > 38
    for weight in (found.weight[:6], found.weight[-6:]):
        np.testing.assert_array_equal(weight, 1)
    assert found.weight[18] == 0


def test_a_foggy_frame_is_searched_with_its_contrast_stretched(finder: FaceFinder, her: list[Frame]) -> None:
    def fog(frame: Frame) -> Frame:
        return (frame * 0.04 + 180).astype(np.uint8)

    first = next(scene([person(her[:1], lambda i: place(240))], 1, WIDTH, HEIGHT))
    assert not finder.detect(fog(first))
    found = shown(changed(scene([person(her[:1], lambda i: place(240))], 45, WIDTH, HEIGHT), range(15, 45), fog), finder)
    assert found.weight[15:].mean() > 0.5


def test_only_a_clip_without_a_usable_face_is_refused(finder: FaceFinder, her: list[Frame]) -> None:
    room = list(scene([], 6, WIDTH, HEIGHT))
    with pytest.raises(FaceError, match="none was found") as refused:
        shown(iter(room), finder)
    assert refused.value.code == "video_without_face"
    with pytest.raises(FaceError, match="cut off by the edge"):
        shown((frame[:150] for frame in scene([person(her[:1], lambda i: place(240))], 3, WIDTH, HEIGHT)), finder)
    with pytest.raises(ImageError, match="no frames"):
        shown(iter([]), finder)
    one = shown(iter([*room, *scene([person(her[:1], lambda i: place(240))], 1, WIDTH, HEIGHT)]), finder)
    assert one.weight[:6].tolist() == [0] * 6
    assert one.weight[6] > 0
