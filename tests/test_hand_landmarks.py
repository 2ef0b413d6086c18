"""The six points of a face that was marked by hand: what they may be, and what is put right."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.errors import FaceError, OptionError
from core.hand_landmarks import hand_points, verify_landmarks
from core.options import read_options
from core.request import Framing
from tests.support.cat import AS_TEXT, HEIGHT, LANDMARKS, POINTS, WIDTH

FRONT = ((0.4, 0.4), (0.6, 0.4), (0.42, 0.6), (0.58, 0.6), (0.5, 0.61), (0.5, 0.75))


def swapped(points, *pairs):
    points = list(points)
    for a, b in pairs:
        points[a], points[b] = points[b], points[a]
    return tuple(points)


def test_points_are_pixels_of_the_photo() -> None:
    assert hand_points(LANDMARKS, WIDTH, HEIGHT) == pytest.approx(np.array(POINTS), abs=0.03)


@pytest.mark.parametrize("pairs", [[(0, 1)], [(2, 3)], [(0, 1), (2, 3)]])
def test_sides_that_were_taken_for_each_other_are_put_right(pairs: list[tuple[int, int]]) -> None:
    assert np.array_equal(hand_points(swapped(FRONT, *pairs), 800, 800), hand_points(FRONT, 800, 800))


@pytest.mark.parametrize("turn", [90, 180, 250])
def test_the_sides_are_those_of_the_face_where_it_lies_in_the_photo(turn: float) -> None:
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    turned = tuple((0.5 + cos * (x - 0.5) - sin * (y - 0.5), 0.5 + sin * (x - 0.5) + cos * (y - 0.5)) for x, y in FRONT)
    expected = np.array(turned) * 800
    assert hand_points(turned, 800, 800) == pytest.approx(expected)
    assert hand_points(swapped(turned, (0, 1)), 800, 800) == pytest.approx(expected)


def moved(n: int, x: float, y: float):
    return (*FRONT[:n], (x, y), *FRONT[n + 1 :])


@pytest.mark.parametrize(
    ("code", "points", "size"),
    [
        ("landmarks_order", moved(4, 0.5, 0.35), 800),  # lips above the eyes
        ("landmarks_order", moved(4, 0.5, 0.8), 800),  # lips below the chin
        ("landmarks_order", moved(2, 0.42, 0.38), 800),  # a corner of the mouth above the eyes
        ("landmarks_lips", moved(4, 0.65, 0.61), 800),
        ("landmarks_near_eyes", moved(1, 0.402, 0.4), 800),
        ("landmarks_near_eyes", FRONT, 50),
        ("landmarks_near_mouth", moved(3, 0.425, 0.6), 800),
        ("landmarks_near_chin", moved(5, 0.5, 0.41), 800),
        ("landmarks_near_chin", (FRONT[0],) * 6, 800),
        ("landmarks_far_eyes", ((0.0, 0.4), (1.0, 0.4), (0.48, 0.5), (0.52, 0.5), (0.5, 0.5), (0.5, 0.6)), 800),
        ("landmarks_far_mouth", ((0.45, 0.4), (0.55, 0.4), (0.0, 0.5), (1.0, 0.5), (0.5, 0.5), (0.5, 0.6)), 800),
    ],
)
def test_what_is_no_face_is_refused(code: str, points: object, size: int) -> None:
    with pytest.raises(FaceError) as refused:
        hand_points(points, size, size)
    assert refused.value.code == code
    assert refused.value.hint


@pytest.mark.parametrize(
    ("code", "landmarks"),
    [
        ("landmarks_count", LANDMARKS[:5]),
        ("landmarks_count", (*LANDMARKS, (0.5, 0.5))),
        ("landmarks_count", "eyes"),
        ("landmarks_count", 7),
        ("landmarks_point", moved(3, 1.2, 0.5)),
        ("landmarks_point", moved(3, -0.01, 0.5)),
        ("landmarks_point", moved(3, math.nan, 0.5)),
        ("landmarks_point", moved(3, 10**400, 0.5)),
        ("landmarks_point", moved(3, True, 0.5)),
        ("landmarks_point", (*FRONT[:5], (0.5,))),
        ("landmarks_point", (*FRONT[:5], "chin")),
    ],
)
def test_what_are_no_six_points_is_refused(code: str, landmarks: object) -> None:
    with pytest.raises(OptionError) as refused:
        verify_landmarks(landmarks)
    assert refused.value.code == code
    assert len(str(refused.value)) < 300


def test_points_are_written_as_a_list_or_as_text() -> None:
    for written in (AS_TEXT, [list(point) for point in LANDMARKS], LANDMARKS):
        assert read_options({"landmarks": written}).framing.landmarks == LANDMARKS
    for nothing in (None, "", "  "):
        assert read_options({"landmarks": nothing}).framing == Framing()
    for wrong in ("0.1,0.2", "a b c d e f", [0.1] * 6, [[0.1, 0.2, 0.3]] * 6, {"chin": 1}):
        with pytest.raises(OptionError, match="landmarks"):
            read_options({"landmarks": wrong}).framing.verify()


def test_marked_and_chosen_is_one_too_many() -> None:
    with pytest.raises(OptionError, match="face 1") as refused:
        Framing(face_index=1, landmarks=LANDMARKS).verify()
    assert refused.value.code == "landmarks_and_face"
