"""Faces that are too small, turned away or cut off, and cuts between pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_identity import turn_deg
from core.aux_models.usable_faces import FaceJudge, PictureCuts
from core.types import Frame
from tests.support.ditto_source import moved_by

Array = np.ndarray


@pytest.fixture(scope="module")
def points(finder: FaceFinder, astronaut: Frame) -> Array:
    return finder.find(astronaut)[0].points


def turned(points: Array, degrees: float) -> Array:
    """The head turned to the viewer's right, around its middle."""
    middle, angle = points.mean(axis=0), np.radians(degrees)
    turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    return ((points - middle) @ turn.T + middle).astype(np.float32)


@pytest.mark.parametrize("degrees", [-50, -20, 0, 35, 60])
def test_how_far_a_head_is_turned(points: Array, degrees: float) -> None:
    assert turn_deg(turned(points, degrees)) - turn_deg(points) == pytest.approx(degrees, abs=1)


def test_a_head_that_turns_away_and_back(points: Array) -> None:
    judge = FaceJudge()
    seen = [judge.fault(turned(points, degrees), 512, 512) for degrees in (0, 30, 38, 44, 39, 34, -44, 0)]
    assert seen == [None, None, None, "turned_away", "turned_away", None, "turned_away", None]


def test_small_and_cut_off(points: Array) -> None:
    eyes = np.linalg.norm(points[263] - points[33])
    assert FaceJudge().fault(points * np.float32(13 / eyes), 512, 512) == "too_small"
    assert FaceJudge().fault(points * np.float32(15 / eyes), 512, 512) is None
    assert FaceJudge().fault(turned(points, 35) * np.float32(15 / eyes), 512, 512) is None  # it is the turn that makes it narrow
    assert FaceJudge().fault(points, 512, int(points[17, 1])) == "cut_off"
    assert FaceJudge().fault(points, 512, int(points[152, 1]) + 2) is None


def test_what_begins_another_picture(astronaut: Frame) -> None:
    def cuts(*frames: Frame) -> list[bool]:
        watched = PictureCuts()
        return [watched.begins(frame) for frame in frames]

    black = np.zeros_like(astronaut)
    hidden = astronaut.copy()
    hidden[100:400, 100:400] = 200
    assert cuts(*[astronaut] * 3, black, black, astronaut) == [False, False, False, True, False, True]
    assert cuts(astronaut, astronaut, hidden, astronaut) == [False] * 4  # something comes before the camera
    assert not any(cuts(*[moved_by(astronaut, 6.0 * i) for i in range(12)]))
    assert cuts(astronaut, cv2.flip(astronaut, 0))[1]
