"""Clips in the lite engine: new lips in each frame, nothing else; what is drawn is measured with the face landmarker."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

import numpy as np
import pytest

from core.aux_models.face_mesh import Face
from core.engines.lite import LiteEngine
from core.engines.lite_clip import LiteClipRegistration
from core.errors import FaceError, OptionError
from core.media.source import Clip, load_source
from core.notices import read_notice
from core.request import Controls, Framing, RenderOptions
from core.settings import Settings
from core.types import Audio, Frame, Photo, Samples
from tests.support.talking_clip import encoded, talking_frames

WHOLE = RenderOptions(size="source")
N = 36


@pytest.fixture(scope="module")
def pictures(lite: LiteEngine, portrait: Photo, speech: Audio) -> list[Frame]:
    return talking_frames(lite, portrait, speech, N)


@pytest.fixture(scope="module")
def clip(pictures: list[Frame], settings: Settings) -> Clip:
    return loaded(pictures, settings)


@pytest.fixture(scope="module")
def registration(lite: LiteEngine, clip: Clip) -> LiteClipRegistration:
    return registered(lite, clip)


def loaded(pictures: list[Frame], settings: Settings, rate: int = 25) -> Clip:
    clip = load_source(encoded(pictures, rate), settings)
    assert isinstance(clip, Clip)
    return clip


def registered(lite: LiteEngine, clip: Clip) -> LiteClipRegistration:
    registration = lite.register(clip, Framing())
    assert isinstance(registration, LiteClipRegistration)
    return registration


def film(
    lite: LiteEngine, registration: LiteClipRegistration, pieces: Iterable[Samples], options: RenderOptions = WHOLE, mouth: float = 1.0
) -> list[Frame]:
    session = lite.session(registration, Controls(mouth=mouth), options)
    frames = [frame for piece in pieces for frame in session.push(piece)]
    return frames + list(session.flush())


def gaps(lite: LiteEngine, frames: Iterable[Frame]) -> np.ndarray:
    """Distance of the lips over that of the eyes, in each frame."""

    def gap(face: Face) -> float:
        return float(np.linalg.norm(face.points[13, :2] - face.points[14, :2])) / face.interocular_px

    return np.array([gap(lite._finder.find(frame)[0]) for frame in frames])


def silence(n_frames: int) -> Samples:
    return np.zeros(640 * n_frames, np.float32)


def test_lips_that_talk_in_the_clip_are_closed_in_silence(lite: LiteEngine, registration: LiteClipRegistration, clip: Clip) -> None:
    before, after = gaps(lite, clip.frames()), gaps(lite, film(lite, registration, [silence(N)]))
    assert (before > 0.1).sum() >= 5
    assert after[before > 0.1].max() < 0.035
    assert after.max() < 0.04


def test_lips_open_with_the_speech_not_with_the_clip(
    lite: LiteEngine, registration: LiteClipRegistration, clip: Clip, speech: Audio
) -> None:
    said = speech.samples[::-1].copy()[: 640 * N]
    drawn = gaps(lite, film(lite, registration, [said]))
    still = lite.register(Photo(next(iter(clip.frames())), "first"), Framing())
    session = lite.session(still, Controls(head_motion=0, blink=0), WHOLE)
    wanted = gaps(lite, [*session.push(said), *session.flush()])
    assert wanted.max() > 0.1
    assert np.corrcoef(drawn, wanted)[0, 1] > 0.85
    assert abs(np.corrcoef(drawn, gaps(lite, clip.frames()))[0, 1]) < 0.6


def test_what_is_not_mouth_or_jaw_is_the_clips_to_the_bit(
    lite: LiteEngine, registration: LiteClipRegistration, clip: Clip, speech: Audio
) -> None:
    drawn = film(lite, registration, [speech.samples[: 640 * N]])
    for number, (before, after) in enumerate(zip(clip.frames(), drawn, strict=True)):
        changed = np.argwhere((before != after).any(axis=2))
        (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
        x0, y0, x1, y1 = registration.tracked.boxes[number]
        assert top > y0 + 0.45 * (y1 - y0)  # below the eyes
        assert left > x0 - 0.1 * (x1 - x0)
        assert right < x1 + 0.1 * (x1 - x0)
        assert bottom < y1 + 0.5 * (y1 - y0)  # skin of the neck gives way


def test_no_seam_where_the_drawing_ends(lite: LiteEngine, registration: LiteClipRegistration, clip: Clip) -> None:
    """Steps between neighbouring pixels are no larger than in the clip where the jaw moves most."""
    before = list(clip.frames())
    widest = int(np.argmax(gaps(lite, before)))
    after = film(lite, registration, [silence(N)])[widest]
    changed = (before[widest] != after).any(axis=2)
    edge = changed & ~np.roll(changed, -1, axis=0)

    def steps(frame: Frame) -> np.ndarray:
        return np.abs(np.diff(frame.astype(int), axis=0, append=frame[-1:].astype(int))).max(axis=2)[edge]

    assert np.percentile(steps(after), 95) <= np.percentile(steps(before[widest]), 95) + 3


def test_cutting_the_audio_changes_nothing_and_sessions_do_not_meet(
    lite: LiteEngine, registration: LiteClipRegistration, speech: Audio
) -> None:
    samples, options = speech.samples[:16_000], RenderOptions(size=128)
    whole, other = film(lite, registration, [samples], options), lite.session(registration, Controls(), options)
    session, pieces = lite.session(registration, Controls(), options), []
    for piece in np.array_split(samples, 9):
        pieces += list(session.push(piece))
        list(other.push(piece[::-1].copy()))
    pieces += list(session.flush())
    assert len(whole) == 25
    assert max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(whole, pieces, strict=True)) <= 1


def test_a_restored_registration_draws_the_same_to_the_bit(
    lite: LiteEngine, registration: LiteClipRegistration, clip: Clip, speech: Audio
) -> None:
    arrays, values = lite.save(registration)
    restored = lite.restore((arrays, json.loads(json.dumps(values))), lambda: clip)
    assert isinstance(restored, LiteClipRegistration)
    assert (restored.warnings, restored.face_box, restored.nbytes) == (registration.warnings, registration.face_box, restored.nbytes)
    samples = [speech.samples[:12_800]]
    for a, b in zip(film(lite, registration, samples), film(lite, restored, samples), strict=True):
        assert np.array_equal(a, b)
    with pytest.raises(ValueError, match="photo"):
        lite.restore((arrays, values), lambda: Photo(next(iter(clip.frames())), "first"))
    with pytest.raises(ValueError, match="frames were registered"):  # the setting of the longest clip has changed since
        lite.restore((arrays, values), lambda: dataclasses.replace(clip, max_frames=N - 1))
    with pytest.raises(ValueError, match="frames were registered"):
        lite.restore(({**arrays, "boxes": arrays["boxes"][:-1]}, values), lambda: clip)


def test_what_is_kept_of_a_clip_is_little(registration: LiteClipRegistration, clip: Clip) -> None:
    per_frame = registration.tracked.nbytes / N
    assert per_frame < 1000  # its points; no pictures
    assert registration.nbytes < len(clip.data) + 4 * clip.width * clip.height * 3 + N * 1000 + 2**22


def test_idle_goes_on_with_the_clip_and_closes_the_lips(
    lite: LiteEngine, registration: LiteClipRegistration, clip: Clip, speech: Audio
) -> None:
    session = lite.session(registration, Controls(), WHOLE)
    spoken = list(session.push(speech.samples[:6400]))
    session.interrupt()
    idle = list(session.idle(N - len(spoken)))
    assert gaps(lite, idle)[4:].max() < 0.04
    for before, after in zip(list(clip.frames())[len(spoken) :], idle, strict=True):
        assert np.array_equal(before[:60], after[:60])  # hair and background


def test_a_clip_may_be_shorter_than_the_speech(lite: LiteEngine, registration: LiteClipRegistration, clip: Clip) -> None:
    frames, stored = film(lite, registration, [silence(N + 10)]), list(clip.frames())
    assert len(frames) == N + 10
    for back in range(10):
        assert np.array_equal(frames[N + back][:60], stored[N - 1 - back][:60])


@pytest.mark.parametrize("fps", [10, 50, "source"])
def test_frames_come_at_the_rate_that_is_asked_for(
    lite: LiteEngine, pictures: list[Frame], settings: Settings, speech: Audio, fps: int | str
) -> None:
    clip = loaded(pictures, settings, rate=30)
    registration = registered(lite, clip)
    options = dataclasses.replace(WHOLE, fps=fps)  # type: ignore[arg-type]
    session = lite.session(registration, Controls(), options)
    rate = 30 if fps == "source" else fps
    assert session.fps == rate
    assert session.clip_frames == pytest.approx(N / 30 * float(rate), abs=1)
    frames = [*session.push(silence(25)), *session.flush()]
    assert len(frames) == rate
    assert gaps(lite, frames[:: max(1, len(frames) // 12)]).max() < 0.05


def test_frames_without_the_face_pass_as_they_are_and_say_so(
    lite: LiteEngine, pictures: list[Frame], settings: Settings, speech: Audio
) -> None:
    without = [picture if number < 12 else np.full_like(picture, 90) for number, picture in enumerate(pictures)]
    clip = loaded(without, settings)
    registration = registered(lite, clip)
    session = lite.session(registration, Controls(), WHOLE)
    shown = [(frame, session.skipped) for frame in session.push(speech.samples[: 640 * N])]
    assert [why for _, why in shown[:10]] == [None] * 10
    assert shown[20][1] == "no_face"
    assert np.array_equal(shown[20][0], list(clip.frames())[20])
    with pytest.raises(FaceError):
        lite.register(loaded([np.full_like(pictures[0], 90)] * 8, settings), Framing())


@pytest.mark.parametrize("controls", [Controls(blink=0.5), Controls(head_motion=0), Controls(gaze_x=0.2)])
def test_what_only_photos_have_is_refused_by_name(lite: LiteEngine, clip: Clip, controls: Controls) -> None:
    with pytest.raises(OptionError, match="(blink|head_motion|gaze_x) is for photos"):
        lite.verify(clip, Framing(), controls, RenderOptions())


def test_another_background_goes_with_the_person(
    lite: LiteEngine, registration: LiteClipRegistration, clip: Clip, speech: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    green = dataclasses.replace(WHOLE, background="#00ff00")
    plain, drawn = (film(lite, registration, [speech.samples[:6400]], options) for options in (WHOLE, green))
    for number, (before, after) in enumerate(zip(plain, drawn, strict=True)):
        x0, y0, x1, y1 = (int(value) for value in registration.tracked.boxes[number])
        face = slice(y0 + 15, y1 - 15), slice(x0 + 15, x1 - 15)
        assert np.abs(before[face].astype(int) - after[face]).mean() < 3
        assert np.median(np.abs(after[:30, :30].astype(int) - (0, 255, 0))) <= 2
    still = lite.still(registration, Controls(), green, "smile")
    assert np.median(np.abs(still[:30, :30].astype(int) - (0, 255, 0))) <= 2
    monkeypatch.setattr(registration._people, "mask", lambda pixels: np.zeros(pixels.shape[:2], np.float32))
    session = lite.session(registration, Controls(), green)
    assert [read_notice(each) for each in session.warnings] == [("background_kept", {})]
    monkeypatch.undo()


def test_one_part_of_the_picture_holds_the_face_wherever_it_goes(lite: LiteEngine, registration: LiteClipRegistration) -> None:
    for options in (RenderOptions(size=128), RenderOptions(size=128, aspect="9:16"), RenderOptions(size=128, crop=(0.0, 0.0, 0.3, 0.3))):
        shown = registration.framed(options)
        cut = shown.cut
        assert 0 <= cut.x
        assert 0 <= cut.y
        assert cut.x + cut.width <= registration.clip.width
        assert cut.y + cut.height <= registration.clip.height
        boxes = registration.tracked.boxes
        assert (boxes[:, 0] >= cut.x - 2).all()
        assert (boxes[:, 2] <= cut.x + cut.width + 2).all()
        assert film(lite, registration, [silence(1)], options)[0].shape == (shown.height, shown.width, 3)


def test_a_still_and_the_cost_of_a_frame(lite: LiteEngine, registration: LiteClipRegistration) -> None:
    shut, parted = (lite.still(registration, Controls(), WHOLE, shown) for shown in ("gaze_x", "mouth"))
    closed_gap, open_gap = gaps(lite, [shut, parted])
    assert closed_gap < 0.03
    assert open_gap > 0.08
    cost = lite.frame_cost(registration, RenderOptions())
    assert cost is not None
    assert 0 < cost.turn_s < cost.total_s
