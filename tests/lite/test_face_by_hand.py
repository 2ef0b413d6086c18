"""Faces that were marked by hand: the mesh that is laid through their points, and what is drawn of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from core.aux_models.face_mesh import FACE_OVAL, Face
from core.hand_landmarks import hand_points
from core.lite import face_by_hand as module
from core.lite.expression import Expression
from core.lite.eye_outline import eye_outline
from core.lite.face_by_hand import face_by_hand
from core.lite.head_warp import HeadPose
from core.lite.mouth_warp import CHIN, CORNERS, MouthWarp
from core.lite.photo_quality import face_warnings
from core.lite.renderer import Renderer
from core.optimization.resolution_optimization import face_cut
from core.types import Frame

SIDE = 400
POINTS = np.array([(150, 150), (250, 150), (165, 250), (235, 250), (200, 255), (200, 320)], np.float64)


@pytest.fixture(scope="module")
def drawing() -> Frame:
    """A cartoon: two round eyes, a line for a mouth."""
    picture = np.full((SIDE, SIDE, 3), (120, 170, 90), np.uint8)
    cv2.ellipse(picture, (200, 220), (120, 150), 0, 0, 360, (235, 200, 120), -1, cv2.LINE_AA)
    for x, y in POINTS[:2].astype(int).tolist():
        cv2.circle(picture, (x, y), 22, (250, 250, 250), -1, cv2.LINE_AA)
        cv2.circle(picture, (x, y), 9, (20, 20, 30), -1, cv2.LINE_AA)
    cv2.polylines(picture, [POINTS[[2, 4, 3]].astype(np.int32)], False, (90, 40, 30), 3, cv2.LINE_AA)
    return picture


@pytest.fixture(scope="module")
def face(drawing: Frame) -> Face:
    return face_by_hand(drawing, POINTS)


def drawn(picture: Frame, face: Face, **expression: object) -> Frame:
    cut = face_cut(picture.shape[1], picture.shape[0], face.box)
    return Renderer(picture, face, cut, 256, 256).draw(Expression(**expression))


def test_the_mesh_goes_through_the_points(face: Face) -> None:
    points = face.points[:, :2]
    assert points[list(CORNERS)] == pytest.approx(POINTS[2:4], abs=0.01)
    assert points[[13, 14]] == pytest.approx(np.stack([POINTS[4]] * 2), abs=0.01)
    assert points[CHIN] == pytest.approx(POINTS[5], abs=0.01)
    for n, corners in enumerate(((33, 133), (362, 263))):
        assert points[list(corners)].mean(axis=0) == pytest.approx(POINTS[n], abs=4)
    assert MouthWarp(face.points, 200, 0.0).gap_px < 0.2  # closed


def test_the_mesh_never_folds(drawing: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of faces of all kinds: along the middle each point is below the one before, and the outline goes around once."""
    monkeypatch.setattr(module, "eye_outline", lambda *args: None)  # which takes its time, and has no part in this
    generator = np.random.default_rng(7)
    middle = (10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 164, 0, 13, 17, 18, 200, 199, 175, 152)  # forehead, nose, mouth, chin
    for _ in range(200):
        chin = generator.uniform(0.05, 0.6)
        lips = np.array([generator.uniform(-0.2, 0.2), 1 - chin])
        half, eyes = generator.uniform(0.1, 0.8), generator.uniform(0.2, 0.9)
        corners = [lips + (-half * generator.uniform(0.6, 1.4), generator.uniform(-0.2, 0.05)),
                   lips + (half * generator.uniform(0.6, 1.4), generator.uniform(-0.2, 0.05))]  # fmt: skip
        shares = np.array([(-eyes, 0), (eyes, 0), *corners, lips, (0, 1)]) * 0.2 + 0.5
        points = hand_points(tuple(map(tuple, np.clip(shares, 0, 1).tolist())), SIDE, SIDE)
        mesh = face_by_hand(drawing, points).points[:, :2]
        heights = mesh[list(middle), 1]
        assert (np.diff(heights) > -1e-3).all(), shares
        oval = mesh[[*FACE_OVAL, FACE_OVAL[0]]]
        around = oval - oval[:-1].mean(axis=0)
        turns = np.diff(np.unwrap(np.arctan2(around[:, 1], around[:, 0])))
        assert turns.sum() == pytest.approx(2 * np.pi)


def test_the_mouth_opens_where_the_lips_are_and_shows_no_teeth(drawing: Frame, face: Face) -> None:
    closed, opened = drawn(drawing, face), drawn(drawing, face, aperture=1.0)
    changed = np.abs(closed.astype(int) - opened).max(axis=2) > 40
    rows = np.flatnonzero(changed.any(axis=1)) / 256
    cut = face_cut(SIDE, SIDE, face.box)
    assert (rows.min() * cut.height + cut.y) > POINTS[4, 1] - 15  # nothing above the mouth moves
    x, y = ((POINTS[4] + (0, 12) - (cut.x, cut.y)) * 256 / cut.width).astype(int)
    assert opened[y, x].sum() < 0.5 * closed[y, x].sum()  # it is dark between the lips
    inside = opened[y - 6 : y + 6, x - 12 : x + 12]
    assert inside.max() < 200


def test_round_eyes_are_found_and_blink(drawing: Frame, face: Face) -> None:
    assert face.eyes_seen
    outline = eye_outline(drawing, POINTS[0] + (5, -4), POINTS[1] - POINTS[0])
    assert outline is not None
    assert outline.middle == pytest.approx(POINTS[0], abs=4)
    assert (outline.half_width, outline.half_height) == pytest.approx((22, 22), abs=5)
    cut = face_cut(SIDE, SIDE, face.box)
    closed = drawn(drawing, face, blink=1.0)
    for eye in POINTS[:2]:
        x, y = ((eye - (cut.x, cut.y)) * 256 / cut.width).astype(int)
        assert drawn(drawing, face)[y, x].max() < 60  # the pupil
        assert np.abs(closed[y, x].astype(int) - (235, 200, 120)).max() < 60  # the colour of the face


@pytest.mark.parametrize(("scale", "turned"), [(1, False), (6, False), (0.5, False), (1, True)])
def test_eyes_are_found_in_pictures_of_any_size_that_lie_on_their_side_too(drawing: Frame, scale: float, turned: bool) -> None:
    points = POINTS[:, ::-1] * (1, -1) + (0, SIDE) if turned else POINTS
    picture = cv2.resize(np.rot90(drawing) if turned else drawing, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    outline = eye_outline(picture, scale * (points[0] + 3), scale * (points[1] - points[0]))
    assert outline is not None
    assert outline.middle == pytest.approx(scale * points[0], abs=4 * scale)
    assert (outline.half_width, outline.half_height) == pytest.approx((22 * scale, 22 * scale), abs=5 * scale)


def test_where_no_eyes_are_seen_nothing_blinks_and_that_is_told() -> None:
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    face = face_by_hand(grey, POINTS)
    assert not face.eyes_seen
    assert np.array_equal(drawn(grey, face, blink=1.0, gaze_x=1.0), drawn(grey, face))
    assert any("eyes" in warning for warning in face_warnings(grey, face))
    assert not any("mouth" in warning for warning in face_warnings(grey, face))


def test_the_head_moves(drawing: Frame, face: Face) -> None:
    assert np.abs(drawn(drawing, face, pose=HeadPose(yaw=4)).astype(int) - drawn(drawing, face)).mean() > 0.5


def test_a_short_chin_bounds_the_opening(drawing: Frame) -> None:
    short = POINTS.copy()
    short[5, 1] = 265
    units = [face_by_hand(drawing, points).opening_unit_px for points in (POINTS, short)]
    assert units[0] is not None
    assert units[1] is not None
    assert units[1] < 0.7 * units[0]
