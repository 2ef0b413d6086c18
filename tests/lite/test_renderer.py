"""What is drawn, measured with the face landmarker on the drawn pictures, not read from the engine."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import FACE_OVAL
from core.engines.lite import LiteEngine
from core.errors import FaceError
from core.lite.calibration import UNCORRECTED
from core.lite.expression import Expression, spoken
from core.lite.head_warp import HeadPose
from core.lite.local_frame import places_in, texture_matrix, to_local
from core.lite.mouth_interior import MouthInterior
from core.lite.mouth_warp import CHIN, MouthWarp
from core.lite.phones import BILABIAL, curves
from core.lite.renderer import Renderer
from core.lite.speaking import Speaking
from core.optimization.resolution_optimization import cut_pixels, face_cut
from core.request import Controls, Framing, RenderOptions
from core.types import Frame, Photo


@pytest.fixture(scope="module")
def finder(lite: LiteEngine) -> FaceFinder:
    return lite._finder


@pytest.fixture(scope="module")
def renderer(lite: LiteEngine, portrait: Photo) -> Renderer:
    return lite.register(portrait, Framing()).renderer(RenderOptions())


def lips(finder: FaceFinder, picture: Frame) -> tuple[float, float]:
    """Aperture and width of the lips over the distance of the outer eye corners."""
    (face,) = finder.find(picture)
    points = face.points[:, :2]
    eyes = np.linalg.norm(points[33] - points[263])
    return float(np.linalg.norm(points[13] - points[14]) / eyes), float(np.linalg.norm(points[61] - points[291]) / eyes)


def test_lips_of_a_smile_with_teeth_close_and_open(finder: FaceFinder, renderer: Renderer) -> None:
    apertures = [lips(finder, renderer.draw(Expression(aperture=value)))[0] for value in (0.0, 0.3, 0.6, 1.0)]
    assert apertures == sorted(apertures)
    assert apertures[0] < 0.1 * apertures[-1]
    assert 0.12 < apertures[-1] < 0.35


def test_lips_round_and_spread(finder: FaceFinder, renderer: Renderer) -> None:
    rounded, neutral, spread = (lips(finder, renderer.draw(Expression(aperture=0.25, spread=value)))[1] for value in (-0.6, 0.0, 0.6))
    assert (spread - rounded) / neutral > 0.12
    assert rounded < neutral < spread


def test_a_smile_relaxes_and_its_lips_still_close(finder: FaceFinder, renderer: Renderer) -> None:
    def smiling(picture: Frame) -> float:
        (face,) = finder.find(picture)
        return (face.blendshapes["mouthSmileLeft"] + face.blendshapes["mouthSmileRight"]) / 2

    faces = [renderer.draw(Expression(smile=value)) for value in (1.0, 0.5, 0.0)]
    assert np.array_equal(faces[0], renderer.draw(Expression()))
    smiles = [smiling(face) for face in faces]
    assert smiles[0] > smiles[1] > smiles[2]
    assert smiles[0] - smiles[2] > 0.25
    apertures = [lips(finder, renderer.draw(Expression(aperture=value, smile=0.0)))[0] for value in (0.0, 0.6)]
    assert apertures[0] < 0.2 * apertures[1]


def test_a_wide_jaw_takes_the_chin_along_and_nothing_beside_the_face(finder: FaceFinder, renderer: Renderer) -> None:
    closed, wide = (renderer.draw(Expression(aperture=value)) for value in (0.0, 0.9))
    outlines = [finder.find(picture)[0].points[list(FACE_OVAL), :2] for picture in (closed, wide)]
    chin = FACE_OVAL.index(CHIN)
    assert outlines[1][chin, 1] - outlines[0][chin, 1] > 0.15 * renderer.mouth.half
    face = cv2.fillConvexPoly(np.zeros(closed.shape[:2], np.uint8), cv2.convexHull(np.concatenate(outlines).astype(np.int32)), 1)
    near, below = int(0.3 * renderer.mouth.half), int(0.9 * renderer.mouth.half)
    around = cv2.dilate(face, np.ones((2 * near + 1, 2 * near + 1), np.uint8))
    under = cv2.dilate(face, np.ones((below, 1), np.uint8), anchor=(0, below - 1))  # the chin comes down on the neck
    beside = (around == 0) & (under == 0)
    np.testing.assert_allclose(closed[beside], wide[beside].astype(int), atol=1)


def test_tuck_brings_the_lower_lip_under_the_teeth(renderer: Renderer) -> None:
    mouth = renderer.mouth
    plain, tucked = (mouth.shape(0.12, 0.0, value) for value in (0.0, 1.0))
    middle = len(mouth.frame.x) // 2
    assert tucked.lower[middle] < plain.lower[middle]
    assert tucked.upper[middle] < plain.upper[middle]
    # the lip's edge then shows a part of the lip that lies deeper: less of the lip is left below it
    assert tucked.lower[middle] - tucked.d_lower[middle] > mouth.lower_src[middle] + 0.3 * mouth.lower_lip.max()


def test_rounded_lips_part_in_the_middle_only(renderer: Renderer) -> None:
    mouth = renderer.mouth
    plain, rounded = (mouth.shape(0.4, value, 0.0) for value in (0.0, -1.0))
    gaps = [shape.lower - shape.upper for shape in (plain, rounded)]
    aside = mouth.frame.index(np.array([-0.75, 0.75], np.float32) * mouth.half)
    assert (gaps[0][aside] > 1).all()
    assert (gaps[1][aside] == 0).all()
    assert gaps[1].max() == pytest.approx(gaps[0].max(), rel=0.05)  # as far open, as the curve says
    outer = [mouth.lower_outer + shape.d_lower_outer - shape.lower for shape in (plain, rounded)]
    middle = len(mouth.frame.x) // 2
    assert outer[1][middle] > 1.1 * outer[0][middle]  # they come forward, so more of them is seen


def test_pressed_lips_are_thinner_and_meet_at_the_same_place(renderer: Renderer) -> None:
    mouth = renderer.mouth
    closed, pressed = (mouth.shape(0.0, 0.0, 0.0, press=value) for value in (0.0, 1.0))
    np.testing.assert_array_equal(closed.lower, pressed.lower)
    np.testing.assert_array_equal(closed.upper, closed.lower)
    middle = len(mouth.frame.x) // 2
    thickness = [
        (mouth.lower_outer + shape.d_lower_outer - shape.lower + shape.upper - mouth.upper_outer - shape.d_upper_outer)[middle]
        for shape in (closed, pressed)
    ]
    assert thickness[1] < 0.9 * thickness[0]


def picture_of(inside: MouthInterior, aperture: float, spread: float, mouth: MouthWarp, tongue: float = 0.0) -> Frame:
    """All of it, at its own pixels."""
    x, y = (np.ascontiguousarray(plane) for plane in np.broadcast_arrays(inside.x, inside.y))
    return inside.colours(mouth.shape(aperture, spread, 0.0, tongue=tongue), x, y)


def test_upper_teeth_stay_while_the_jaw_takes_the_lower_ones_along(renderer: Renderer) -> None:
    inside = renderer._interior
    pictures = [picture_of(inside, aperture, 0.0, renderer.mouth) for aperture in (0.9, 1.2)]
    certain = inside._teeth[..., 3] > 0.999
    assert certain.any()
    np.testing.assert_allclose(pictures[0][certain], pictures[1][certain], atol=0.5)
    middle = inside._width // 2
    below = int(np.flatnonzero(inside._teeth[:, middle, 3] > 0.01)[-1]) + 1
    edges = [int(np.diff(picture[below:, middle].sum(axis=1)).argmax()) for picture in pictures]
    assert edges[1] - edges[0] > 2  # where the lower ones begin


def test_rounded_lips_leave_the_teeth_in_the_dark(renderer: Renderer) -> None:
    inside = renderer._interior
    plain, rounded = (picture_of(inside, 0.5, value, renderer.mouth) for value in (0.0, -1.0))
    teeth = inside._teeth[..., 3] > 0.9
    assert rounded[teeth].mean() < 0.4 * plain[teeth].mean()


def test_lips_meet_at_every_closure_of_a_photo_with_teeth(lite: LiteEngine, portrait: Photo, finder: FaceFinder) -> None:
    """One syllable after the other, frame by frame as they are spoken."""
    registration = lite.register(portrait, Framing())
    renderer, speaking = registration.renderer(RenderOptions()), Speaking()
    phones = "apabimupɛbo"
    segments = [(phone, 0.1 * n, 0.1 * (n + 1)) for n, phone in enumerate(phones)]
    times = (np.arange(int(2.5 * len(phones))) + 0.5) / 25
    seen = []
    for row in curves([("_", -0.3, 0.0), *segments, ("_", segments[-1][2], 2.0)], times):
        lips_said = speaking.step(spoken(np.array([*row, 0.5], np.float32), Controls(), registration.calibration), 0.5)
        seen.append(lips(finder, renderer.draw(lips_said))[0])
    for phone, start_s, end_s in segments:
        during = [gap for gap, at in zip(seen, times, strict=True) if start_s - 0.01 < at < end_s + 0.01]
        if phone in BILABIAL:
            assert min(during) < 0.015, phone
        elif phone != "u":
            assert max(during) > 0.04, phone


def test_an_open_vowel_is_no_laugh(renderer: Renderer) -> None:
    """The jaw opens and the upper lip hardly rises; the corners sink and come closer."""
    mouth = renderer.mouth
    closed, opened = (mouth.shape(value, 0.1, 0.0, smile=0.3) for value in (0.0, 1.0))
    middle = len(mouth.frame.x) // 2
    rise, drop = closed.upper[middle] - opened.upper[middle], opened.lower[middle] - closed.lower[middle]
    assert drop > 0.8 * opened.gap_px
    assert rise < 0.15 * opened.gap_px
    corner = mouth.frame.index(np.array([mouth.half], np.float32))
    assert opened.upper[corner] - closed.upper[corner] > 0.2 * opened.gap_px
    assert opened.d_x[corner] > closed.d_x[corner] + 0.05 * mouth.half  # what is seen there comes from farther out
    assert all(np.isfinite(table).all() for table in (opened.d_chin, opened.d_upper, opened.d_lower, opened.d_x))


def test_the_tongue_shows_behind_the_teeth(renderer: Renderer) -> None:
    mouth, inside = renderer.mouth, renderer._interior
    said = spoken(np.array([0.3, 0.1, 0.0, 0.5], np.float32), Controls(), UNCORRECTED)
    assert said.tongue > 0.9
    for row in ((1.0, 0.1, 0.0), (0.25, -1.0, 0.0), (0.35, 1.0, 0.0), (0.18, 0.1, 1.0), (0.0, 0.0, 0.0)):
        assert spoken(np.array([*row, 0.5], np.float32), Controls(), UNCORRECTED).tongue < 0.1
    down, up = (picture_of(inside, 0.35, 0.1, mouth, value) for value in (0.0, 1.0))
    redder = (up[..., 0] - up[..., 2]) - (down[..., 0] - down[..., 2])
    middle = slice(inside._width // 2 - 4, inside._width // 2 + 4)
    assert redder[:, middle].max() > 15
    assert np.abs(up - down)[:, : inside._width // 5].max() < 1  # of the corners nothing changes


def test_narrow_openings_are_darker(renderer: Renderer) -> None:
    """Little light falls between lips that are hardly parted, so teeth do not shine there."""
    mouth = renderer.mouth
    bright = []
    for aperture in (0.25, 1.0):
        picture = renderer.draw(Expression(aperture=aperture, smile=0.3))
        shape = mouth.shape(aperture, 0.0, 0.0, 0.3)
        at = mouth.frame.origin + mouth.frame.ey * (shape.upper[len(shape.upper) // 2] + 2.5)
        bright.append(float(picture[int(at[1]), int(at[0]) - 3 : int(at[0]) + 4].mean()))
    assert bright[0] < 0.95 * bright[1]


def test_blink_closes_both_eyes(finder: FaceFinder, renderer: Renderer) -> None:
    def openness(picture: Frame) -> tuple[float, float]:
        points = finder.find(picture)[0].points[:, :2]
        left = np.linalg.norm(points[159] - points[145]) / np.linalg.norm(points[33] - points[133])
        right = np.linalg.norm(points[386] - points[374]) / np.linalg.norm(points[362] - points[263])
        return float(left), float(right)

    for opened, closed in zip(openness(renderer.draw(Expression())), openness(renderer.draw(Expression(blink=1.0))), strict=True):
        assert closed < 0.5 * opened


def test_a_closed_lid_is_skin_with_a_thin_dark_edge(renderer: Renderer) -> None:
    shut = renderer.draw(Expression(blink=1.0)).astype(np.float32)
    for eye, lid in zip(renderer.eyes, renderer._lids, strict=True):
        frame = eye.frame
        height = np.linspace(float(eye.upper.min()) - 0.1 * frame.half, float(eye.lower.max()) + 0.3 * frame.half, 40)
        places = frame.origin + height[:, None] * frame.ey
        seen = np.array([shut[round(float(y)), round(float(x))].sum() for x, y in places])
        skin = float(lid.skin[len(frame.x) // 2].sum())
        dark = seen < 0.72 * skin
        assert dark.mean() < 0.3  # lashes, not an eye
        assert np.median(seen[~dark]) == pytest.approx(skin, rel=0.2)


def test_head_turns_and_shoulders_stay(finder: FaceFinder, renderer: Renderer) -> None:
    still = renderer.draw(Expression())
    moved = renderer.draw(Expression(pose=HeadPose(yaw=4, pitch=3, roll=2)))
    assert abs(finder.find(moved)[0].roll_deg - finder.find(still)[0].roll_deg) > 0.8
    height, width = still.shape[:2]
    for region in (moved[-height // 8 :], moved[:, : width // 40], moved[:, -width // 40 :]):
        reference = still[-height // 8 :] if region.shape[1] == width else None
        if reference is not None:
            np.testing.assert_array_equal(region, reference)
    np.testing.assert_array_equal(moved[:, : width // 40], still[:, : width // 40])


def test_what_does_not_move_is_the_photo(renderer: Renderer) -> None:
    """A resting face differs from the plain cut of the photo only around the mouth, whose smile is closed."""
    difference = np.abs(renderer.draw(Expression()).astype(int) - renderer._still).max(axis=2)
    ys, xs = np.nonzero(difference > 12)
    x, y = renderer.mouth.frame.origin
    reach = 3.2 * renderer.mouth.half
    assert len(ys)
    assert np.abs(xs - x).max() < reach
    assert np.abs(ys - y).max() < reach


def test_no_seams_beside_the_mouth(renderer: Renderer) -> None:
    """Layers meet in a continuous map: neighbouring pixels outside the lips come from neighbouring places."""
    mouth = renderer.mouth
    shape = mouth.shape(1.0, -0.6, 0.0)
    x, y = np.meshgrid(np.arange(-2.5 * mouth.half, 2.5 * mouth.half, 0.5), np.arange(mouth.nose_y, mouth.bounds[3], 0.5))
    x, y = x.astype(np.float32), y.astype(np.float32)
    x_src, y_src, column, _ = mouth.source(shape, x, y)
    in_lips = (y > shape.upper[column] - 1) & (y < shape.lower[column] + 1) & (np.abs(x_src) < mouth.half)
    steps = np.abs(np.diff(y_src, axis=0)), np.abs(np.diff(y_src, axis=1)), np.abs(np.diff(x_src, axis=1))
    for step, axis in zip(steps, (0, 1, 1), strict=True):
        clear = ~(np.diff(in_lips.astype(int), axis=axis) != 0) & ~(in_lips[1:] if axis == 0 else in_lips[:, 1:])
        assert step[clear].max() < 2.0  # half a pixel apart, never stretched more than four times
        assert np.diff(x_src, axis=1).min() >= 0  # nothing folds over


@pytest.mark.parametrize("size", [128, 320, 512, "source"])
def test_sizes(lite: LiteEngine, portrait: Photo, size: int | str) -> None:
    renderer = lite.register(portrait, Framing()).renderer(RenderOptions(size=size))  # type: ignore[arg-type]
    side = 512 if size == "source" else size
    picture = renderer.draw(Expression(aperture=0.5))
    assert picture.shape == (side, side, 3)
    assert picture.dtype == np.uint8


def test_source_size_is_bounded_and_even(lite: LiteEngine, portrait: Photo) -> None:
    odd = Photo(cv2.resize(portrait.pixels, (651, 701), interpolation=cv2.INTER_AREA), "odd")
    registration = lite.register(odd, Framing())
    assert registration.renderer(RenderOptions(size="source")).draw(Expression()).shape == (700, 650, 3)
    assert registration.renderer(RenderOptions(size="source", max_size=350)).draw(Expression()).shape == (350, 324, 3)


def test_no_face(lite: LiteEngine) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    with pytest.raises(FaceError, match=r"No face was found.*front"):
        lite.register(Photo(noise, "noise"), Framing())


def test_half_a_face_at_the_edge(lite: LiteEngine, portrait: Photo) -> None:
    half = np.ascontiguousarray(portrait.pixels[:, 225:])
    with pytest.raises(FaceError):
        lite.register(Photo(half, "half"), Framing())


def test_largest_face_first_and_others_by_number(lite: LiteEngine, portrait: Photo) -> None:
    small = cv2.resize(portrait.pixels, (360, 360), interpolation=cv2.INTER_AREA)
    two = np.concatenate([np.pad(small, ((0, 152), (0, 0), (0, 0))), portrait.pixels], axis=1)
    first, second = (lite.register(Photo(two, "two"), Framing(index)).face for index in (0, 1))
    assert first.interocular_px > 1.2 * second.interocular_px
    assert first.box[0] > 360 > second.box[2]
    with pytest.raises(FaceError, match=r"Face 2 was asked for, but the photo shows 2.*0 to 1"):
        lite.register(Photo(two, "two"), Framing(2))


def test_smaller_companions_are_found_and_helmets_are_not(finder: FaceFinder, portrait: Photo) -> None:
    group = np.full((600, 1100, 3), 150, np.uint8)
    group[:, :600] = cv2.resize(portrait.pixels, (600, 600))
    group[100:500, 650:1050] = cv2.resize(portrait.pixels[:, ::-1], (400, 400))  # the detector takes this helmet for a face
    first, second = (face.box for face in finder.find(group))
    assert first[0] < 240 < 300 < first[2]
    assert second[0] < 860 < 890 < second[2]


def test_small_face_in_a_large_photo_is_found(lite: LiteEngine, portrait: Photo) -> None:
    field = np.full((2400, 3200, 3), 128, np.uint8)
    field[1500:2012, 400:912] = portrait.pixels
    face = lite.register(Photo(field, "field"), Framing()).face
    assert 55 < face.interocular_px < 65


def test_border_is_filled_when_the_face_is_near_the_edge(lite: LiteEngine, portrait: Photo) -> None:
    close = np.ascontiguousarray(portrait.pixels[60:200, 165:290])
    picture = lite.register(Photo(close, "close"), Framing()).renderer(RenderOptions()).draw(Expression())
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert edge.mean() > 8  # no black bars


def test_a_wide_mouth_keeps_its_chin_where_the_photo_ends_below_it(lite: LiteEngine, finder: FaceFinder, portrait: Photo) -> None:
    x0, y0, x1, y1 = lite.register(portrait, Framing()).face.box
    face, bottom = y1 - y0, int(y1 + 0.03 * (y1 - y0))
    side = int(face / 0.7)
    left = int((x0 + x1) / 2 - side / 2)
    ends_at_chin = np.ascontiguousarray(portrait.pixels[bottom - side : bottom, left : left + side])
    renderer = lite.register(Photo(ends_at_chin, "chin"), Framing()).renderer(RenderOptions())
    wide = finder.largest_mesh(renderer.draw(Expression(aperture=1.2)))
    assert wide is not None
    assert wide[CHIN, 1] < 0.97 * renderer.height


def test_drawing_out_the_edge_takes_no_longer_for_a_large_photo(portrait: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    blurred: list[int] = []
    blur = cv2.GaussianBlur
    monkeypatch.setattr(cv2, "GaussianBlur", lambda pixels, *args, **kwargs: blurred.append(len(pixels)) or blur(pixels, *args, **kwargs))
    large = cv2.resize(portrait.pixels[60:200, 165:290], (1800, 2016))
    cut_pixels(large, face_cut(1800, 2016, (150.0, 100.0, 1650.0, 1950.0)), 320, 320)
    assert blurred
    assert max(blurred) <= 320


def test_poor_photos_are_told_kindly(lite: LiteEngine, portrait: Photo) -> None:
    assert lite.register(portrait, Framing()).warnings == ()
    blurred = cv2.GaussianBlur(cv2.resize(portrait.pixels, None, fx=2, fy=2), (0, 0), 6)
    assert any("blurred" in warning for warning in lite.register(Photo(blurred, "blurred"), Framing()).warnings)
    small = cv2.resize(portrait.pixels, (200, 200), interpolation=cv2.INTER_AREA)
    assert any("small" in warning for warning in lite.register(Photo(small, "small"), Framing()).warnings)


def test_bands_do_not_change_a_frame(lite: LiteEngine, portrait: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    face = lite.register(portrait, Framing()).face
    moved = Expression(aperture=0.7, blink=0.5, gaze_x=0.2, pose=HeadPose(yaw=3, pitch=-2, roll=1))

    def drawn() -> tuple[Frame, int]:
        renderer = Renderer(portrait.pixels, face, face_cut(512, 512, face.box), 320, 320)
        return renderer.draw(moved), len(renderer._bands)

    whole, one = drawn()
    monkeypatch.setattr("core.lite.renderer.BAND_PIXELS", 7_000)
    banded, several = drawn()
    assert one == 1
    assert several > 5
    np.testing.assert_array_equal(banded, whole)


@pytest.mark.parametrize("size", [320, 1080])
def test_few_samples_say_where_the_skin_around_the_mouth_and_the_lips_come_from(lite: LiteEngine, portrait: Photo, size: int) -> None:
    renderer = lite.register(portrait, Framing()).renderer(RenderOptions(size=size))
    mouth, head, pose, bigger = renderer.mouth, renderer.head, HeadPose(yaw=2, roll=2), size / 320
    shape = mouth.shape(1.0, -0.4, 0.0, 0.3)
    x0, y0, x1, y1 = head.box
    whole = slice(0, y1 - y0), slice(0, x1 - x0)
    x, y = to_local(mouth.frame, *head.at_pixels(head.places(pose), *whole))
    exact = mouth.source(shape, x, y)
    at = places_in(texture_matrix(mouth.frame, renderer._scale), exact.x, exact.y)
    local = renderer._mouth_places.at(pose)
    layers, moved_down = renderer._around_mouth(shape, local)
    lips = renderer._mouth_places.region(mouth.around_lips(shape), local)

    around = np.ones_like(x, bool)
    around[lips] = False  # drawn pixel by pixel
    sampled = np.dstack(head.at_pixels(renderer._places(pose, local, layers.x, moved_down), *whole))
    off = np.linalg.norm(sampled - at, axis=2)[around] / renderer._scale
    assert np.hypot(exact.x - x, exact.y - y)[around].max() > 3 * bigger  # it does move
    assert off.max() < 0.5 * bigger
    assert np.quantile(off, 0.99) < 0.2 * bigger

    joined = renderer._lips(lips, shape, layers, local)[0]
    skin = (exact.covered[lips] == 0) & (joined.covered == 0)
    off = np.hypot(joined.x - exact.x[lips], joined.y - exact.y[lips])[skin]
    assert np.quantile(off, 0.99) < 0.5 * bigger
    np.testing.assert_allclose(joined.covered, exact.covered[lips], atol=0.3)
