"""The parts that draw a clip: the rate of rows, framing, rest, the lip's edge, the mouth's inside."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import Face
from core.lite.clip_framing import clip_framed
from core.lite.clip_interior import KeptMouth, candidates, light_around
from core.lite.clip_mouths import KEPT, ClipMouths
from core.lite.clip_renderer import ClipRenderer
from core.lite.expression import Expression
from core.lite.frame_rate import RowsAtRate
from core.lite.lip_edge import lip_below
from core.lite.local_frame import to_local
from core.lite.mouth_warp import CHIN, CORNERS, MouthWarp
from core.lite.open_mouth import OpenMouth
from core.lite.renderer import Renderer
from core.optimization.resolution_optimization import Cut, Framed, face_cut
from core.request import RenderOptions
from core.types import Frame, Photo

WHOLE = Cut(0, 0, 320, 320)


@pytest.fixture(scope="module")
def open_picture(finder: FaceFinder, portrait: Photo) -> Frame:
    """The portrait with a wide open mouth."""
    face = finder.find(portrait.pixels)[0]
    height, width = portrait.pixels.shape[:2]
    return Renderer(portrait.pixels, face, face_cut(width, height, face.box), 320, 320).draw(Expression(aperture=1.0))


@pytest.fixture(scope="module")
def open_face(finder: FaceFinder, open_picture: Frame) -> Face:
    return finder.find(open_picture)[0]


def mouths_of(
    points: list[np.ndarray], weight: list[float] | None = None, jaw_open: float = 0.3, cuts: tuple[int, ...] = ()
) -> ClipMouths:
    """Of a face that is followed through as many frames."""
    n = len(points)
    tracked = SimpleNamespace(
        points=np.stack(points).astype(np.float32),
        jaw_open=np.full(n, jaw_open, np.float32),
        smile=np.zeros(n, np.float32),
        weight=np.array(weight or [1.0] * n, np.float32),
        fps=25.0,
        cuts=cuts,
    )
    return ClipMouths.of(tracked)


@pytest.mark.parametrize(("fps", "n_rows"), [(25.0, 40), (50.0, 40), (10.0, 40), (30000 / 1001, 40), (60.0, 3)])
def test_rows_lie_between_those_that_are_heard(fps: float, n_rows: int) -> None:
    rows = [np.array([n, -n], np.float32) for n in range(n_rows)]
    whole, pieces = RowsAtRate(fps), RowsAtRate(fps)
    once = [*whole.push(rows, 640 * n_rows - 100), *whole.flush([])]
    each = [out for row in rows[:-1] for out in pieces.push([row], 640)]
    each += [*pieces.push([], 540), *pieces.flush(rows[-1:])]
    assert len(once) == int(np.ceil((640 * n_rows - 100) * fps / 16_000))
    assert np.array_equal(once, each)
    wanted = np.minimum(np.arange(len(once)) * 25 / fps, n_rows - 1)
    assert np.abs(np.array(once)[:, 0] - wanted).max() < 1e-4
    assert [*whole.push(rows[:1], 640)][0][0] == 0, "a new utterance begins anew"


@pytest.mark.parametrize(
    "options", [RenderOptions(), RenderOptions(aspect="16:9"), RenderOptions(aspect="9:16", size="source"), RenderOptions(size="source")]
)
def test_what_is_shown_is_whole_pixels_of_the_clip(options: RenderOptions) -> None:
    boxes = np.array([[100, 80, 200, 210], [400, 60, 505, 200]], np.float32)
    shown = clip_framed(641, 361, boxes, options)
    cut = shown.cut
    assert all(float(value).is_integer() for value in (cut.x, cut.y, cut.width, cut.height))
    assert min(cut.x, cut.y, 641 - cut.x - cut.width, 361 - cut.y - cut.height) >= 0
    if options.size == "source":
        assert (shown.width, shown.height) == (cut.width, cut.height)
        assert shown.width % 2 == shown.height % 2 == 0


def test_a_still_head_is_shown_as_large_as_on_a_photo() -> None:
    box = np.array([[500, 200, 620, 360]], np.float32)
    still, moving = (clip_framed(1280, 720, np.concatenate([box + np.float32(step) for step in steps]), RenderOptions()).cut.width
                     for steps in ((0, 1), (0, 200)))  # fmt: skip
    assert still == pytest.approx(2.1 * 160, abs=3)
    assert moving > 1.2 * 320


def test_a_rounded_vowel_is_not_rest_and_a_smile_is(open_face: Face) -> None:
    narrow = open_face.points.copy()
    narrow[list(CORNERS), 0] += np.float32([6, -6])
    some = mouths_of([open_face.points] * 40 + [narrow] * 4 + [open_face.points] * 40)
    assert some.rest_width[42] > 1.1
    assert abs(some.rest_width[10] - 1) < 0.02
    always = mouths_of([narrow] * 84)
    assert np.abs(always.rest_width - 1).max() < 0.02


def test_rest_is_measured_in_each_shot_apart(open_face: Face) -> None:
    """A long smile, then a short shot of lips that are narrow and twice as near: each shot as if it were alone."""
    narrow = open_face.points.copy()
    narrow[list(CORNERS), 0] += np.float32([6, -6])
    near = narrow * np.float32(2)
    both = mouths_of([open_face.points] * 40 + [near] * 8, cuts=(40,))
    first, second = mouths_of([open_face.points] * 40), mouths_of([near] * 8)
    for field in dataclasses.fields(ClipMouths):
        alone = np.concatenate([getattr(first, field.name), getattr(second, field.name)])
        np.testing.assert_allclose(getattr(both, field.name), alone, rtol=1e-5, err_msg=field.name)
    without = mouths_of([open_face.points] * 40 + [near] * 8)
    assert np.abs(without.rest_width[40:] - 1).max() > 0.05
    assert np.abs(both.rest_width[40:] - 1).max() < 0.01


@pytest.mark.parametrize("rest_width", [0.85, 1.0, 1.25])
@pytest.mark.parametrize("by_jaw", [0.0, 1.0])
def test_a_wide_open_mouth_closes_without_a_fold(open_face: Face, rest_width: float, by_jaw: float) -> None:
    """Around the open part of the mouth every picture element keeps its side: the source moves on wherever the place does."""
    eyes_px = float(np.linalg.norm(open_face.points[33] - open_face.points[263]))
    mouth = MouthWarp(open_face.points, eyes_px, by_jaw, 0.9, rest_width, 2.0)
    columns, rows = np.meshgrid(np.arange(320, dtype=np.float32) + 0.5, np.arange(320, dtype=np.float32) + 0.5)
    x, y = to_local(mouth.frame, columns, rows)
    turn = np.array([mouth.frame.ex, mouth.frame.ey])
    for aperture, spread, tuck in ((0.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.3, -0.6, 0.0)):
        x_src, y_src, _, covered = mouth.source(mouth.shape(aperture, spread, tuck), x, y)
        slopes = np.array([np.gradient(source)[::-1] for source in (x_src, y_src)])  # by column, by row
        across, down = np.einsum("ij,kj...->ik...", turn, slopes)
        area = across[0] * down[1] - across[1] * down[0]
        assert area[covered < 0.01].min() > 0.1, (aperture, spread, tuck)


def test_the_jaw_has_made_as_much_of_the_gap_as_it_has_dropped(open_face: Face) -> None:
    dropped = open_face.points.copy()
    dropped[CHIN, 1] += 9
    mouths = mouths_of([open_face.points] * 20 + [dropped] * 5 + [open_face.points] * 20, jaw_open=0.0)
    assert mouths.by_jaw[22] > 0.5
    assert mouths.by_jaw[5] < 0.2


def test_frames_between_are_halfway_and_kept_arrays_bring_all_back(open_face: Face) -> None:
    moved = open_face.points + np.float32(8)
    mouths = mouths_of([open_face.points, moved], [1.0, 0.0])
    between = mouths.between(np.array([0.0, 0.5, 1.0]))
    assert np.allclose(between.points[1], (mouths.points[0] + mouths.points[1]) / 2)
    assert between.weight.tolist() == [1.0, 0.5, 0.0]
    again = ClipMouths.from_arrays(mouths.arrays())
    assert all(np.array_equal(getattr(mouths, field.name), getattr(again, field.name)) for field in dataclasses.fields(mouths))


def test_between_two_frames_with_a_cut_between_them_there_is_no_mouth(open_face: Face) -> None:
    """At another rate than 25 a picture beside the cut would else be drawn with a mouth halfway between two places."""
    eyes = np.array([open_face.interocular_px, 0, 0], np.float32)
    mouths = mouths_of([open_face.points + eyes * at for at in (0.0, 0.2, 1.2)])
    between = mouths.between(np.array([0.0, 0.5, 1.0, 1.4, 1.6, 2.0]))
    assert between.weight.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0, 1.0]


def test_the_picture_says_where_the_lower_lip_begins(open_picture: Frame, open_face: Face) -> None:
    """A mesh whose lower lip is too high by a part of the gap, and one that is right."""
    short = open_face.points.copy()
    inner = [95, 88, 178, 87, 14, 317, 402, 318, 324]
    short[inner, 1] -= 0.25 * (short[inner, 1] - short[13, 1])
    found = []
    for points in (open_face.points, short):
        mouth = mouths_of([points])._warp(0, WHOLE, 320, 320)
        found.append((lip_below(open_picture, mouth), mouth.gap_px))
    (right, gap), (higher, _) = found
    assert right < 0.3 * gap
    assert higher - right > 0.1 * gap


def test_lips_are_closed_to_the_last_pixel_of_the_inside(open_picture: Frame, open_face: Face) -> None:
    mouths = mouths_of([open_face.points])
    drawn = ClipRenderer(mouths, KeptMouth.of(open_picture, mouths, 0), Framed(WHOLE, 320, 320)).draw(open_picture, 0, Expression())
    left, right = (open_face.points[corner, :2] for corner in CORNERS)
    x0, x1 = int(left[0] + 0.3 * (right[0] - left[0])), int(left[0] + 0.7 * (right[0] - left[0]))
    y0, y1 = int(open_face.points[13, 1]) - 4, int(open_face.points[14, 1]) + 4
    before, after = (cv2.cvtColor(picture[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY) for picture in (open_picture, drawn))
    assert (before < 60).mean() > 0.2  # the dark of the open mouth
    assert (after < 60).mean() < 0.02


def test_the_inside_is_the_frames_own_in_the_light_of_each_frame(open_picture: Frame, open_face: Face) -> None:
    mouths = mouths_of([open_face.points])
    kept = KeptMouth.of(open_picture, mouths, 0)
    warp, inside = kept.inside(kept.picture)
    assert isinstance(inside, OpenMouth)
    assert inside.teeth > 0.04
    shown = Framed(WHOLE, 320, 320)
    dim = (open_picture * 0.5).astype(np.uint8)
    bright, dark = (ClipRenderer(mouths, kept, shown).draw(each, 0, Expression(aperture=1.0)) for each in (open_picture, dim))
    x, y = (open_face.points[13, :2] + open_face.points[14, :2]) / 2
    part = slice(int(y) - 4, int(y) + 5), slice(int(x) - 8, int(x) + 9)
    assert dark[part].mean() == pytest.approx(0.5 * bright[part].mean(), rel=0.15)
    assert light_around(dim, warp).mean() < light_around(open_picture, warp).mean()
    restored = KeptMouth.restored(*kept.saved())
    assert np.array_equal(restored.points, kept.points)


def test_frames_that_are_not_shown_stay_and_lips_go_over_in_between(
    finder: FaceFinder, open_picture: Frame, open_face: Face
) -> None:
    weights = [1.0, 0.75, 0.5, 0.25, 0.0]
    mouths = mouths_of([open_face.points] * 5, weights)
    renderer = ClipRenderer(mouths, KeptMouth.of(open_picture, mouths, 0), Framed(WHOLE, 320, 320))
    drawn = [renderer.draw(open_picture, index, Expression()) for index in range(5)]
    assert np.array_equal(drawn[-1], open_picture)
    seen = [finder.find(picture)[0].points for picture in drawn]
    gaps = np.array([np.linalg.norm(points[13, :2] - points[14, :2]) for points in seen])
    assert np.abs(gaps / gaps[-1] - (1 - np.array(weights))).max() < 0.2
    assert candidates(mouths, np.zeros(5, np.float32)) == [0]


def test_a_mouth_outside_what_is_shown_is_not_drawn(open_picture: Frame, open_face: Face) -> None:
    mouths = mouths_of([open_face.points])
    shown = Framed(Cut(0, 0, 320, 40), 320, 40)
    drawn = ClipRenderer(mouths, KeptMouth.of(open_picture, mouths, 0), shown).draw(open_picture, 0, Expression(aperture=1.0))
    assert np.array_equal(drawn, open_picture[:40])
    assert len(KEPT) < 80
