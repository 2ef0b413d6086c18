"""Sessions: frames for audio, however it is cut; silence; idle; interrupt; seeds; controls."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from core.engines.lite import LiteEngine, LiteRegistration
from core.errors import OptionError
from core.notices import read_notice
from core.request import Controls, Framing, RenderOptions
from core.types import Audio, Frame, Photo, Samples

SMALL = RenderOptions(size=128)


@pytest.fixture(scope="module")
def registration(lite: LiteEngine, portrait: Photo) -> LiteRegistration:
    return lite.register(portrait, Framing())


def film(
    lite: LiteEngine,
    registration: LiteRegistration,
    pieces: Iterable[Samples],
    controls: Controls | None = None,
    options: RenderOptions = SMALL,
) -> list[Frame]:
    session = lite.session(registration, controls or Controls(), options)
    frames = [frame for piece in pieces for frame in session.push(piece)]
    return frames + list(session.flush())


@pytest.mark.parametrize("samples", [160, 640, 641, 16_000, 20_001])
def test_exactly_one_frame_per_640_samples(lite: LiteEngine, registration: LiteRegistration, speech: Audio, samples: int) -> None:
    assert len(film(lite, registration, [speech.samples[:samples]])) == -(-samples // 640)


def test_cutting_the_audio_changes_nothing(lite: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    samples = speech.samples[:24_000]
    whole = film(lite, registration, [samples])
    rng = np.random.default_rng(0)
    cuts = np.sort(rng.integers(0, len(samples), 40))
    pieces = film(lite, registration, np.split(samples, cuts))
    assert len(whole) == len(pieces)
    worst = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(whole, pieces, strict=True))
    assert worst <= 1


def test_seed_decides(lite: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    samples = [speech.samples[:16_000]]
    first, again = film(lite, registration, samples), film(lite, registration, samples)
    other = film(lite, registration, samples, options=RenderOptions(size=128, seed=99))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_sessions_do_not_influence_each_other(lite: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    samples = speech.samples[:16_000]
    alone = film(lite, registration, [samples])
    a = lite.session(registration, Controls(), SMALL)
    b = lite.session(registration, Controls(), RenderOptions(size=128, seed=5))
    frames: list[Frame] = []
    for piece in np.array_split(samples, 7):
        frames += a.push(piece)
        list(b.push(piece[::-1].copy()))
    frames += a.flush()
    assert all(np.array_equal(x, y) for x, y in zip(alone, frames, strict=True))


def test_speech_moves_the_lips_and_silence_does_not(lite: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    still = Controls(blink=0, head_motion=0)
    x, y = (int(v) for v in registration.renderer(SMALL).mouth.frame.origin)

    def movement(frames: list[Frame]) -> float:
        mouths = np.stack([frame[y - 6 : y + 14, x - 12 : x + 12] for frame in frames]).astype(float)
        return float(np.abs(np.diff(mouths, axis=0)).mean())

    silent = film(lite, registration, [np.zeros(24_000, np.float32)], still)
    spoken = film(lite, registration, [speech.samples[:24_000]], still)
    assert movement(spoken) > 10 * movement(silent)


def test_controls_have_an_effect(lite: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    samples = [speech.samples[:16_000]]
    plain = film(lite, registration, samples)
    for changed in (Controls(blink=0), Controls(head_motion=0), Controls(mouth=0.5), Controls(gaze_x=0.7), Controls(gaze_y=-0.7)):
        frames = film(lite, registration, samples, changed)
        if changed.blink == 0:  # the first blink may come after the first second
            continue
        assert any(not np.array_equal(a, b) for a, b in zip(plain, frames, strict=True)), changed


@pytest.mark.parametrize("controls", [Controls(blink=4), Controls(mouth=0), Controls(gaze_x=float("nan"))])
def test_controls_out_of_range_are_refused_by_name(lite: LiteEngine, registration: LiteRegistration, controls: Controls) -> None:
    with pytest.raises(OptionError, match=r"(blink|mouth|gaze_x) is .* must lie between"):
        lite.session(registration, controls, SMALL)


@pytest.mark.parametrize("options", [RenderOptions(size=63), RenderOptions(size=321), RenderOptions(size=5000), RenderOptions(seed=-1)])
def test_options_out_of_range_are_refused_by_name(lite: LiteEngine, registration: LiteRegistration, options: RenderOptions) -> None:
    with pytest.raises(OptionError, match=r"(size|seed) is "):
        lite.session(registration, Controls(), options)


def test_a_crop_is_the_same_part_of_the_whole_picture(lite: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    """At the photo's own pixels nothing is resampled, so what both show is the same."""
    samples, still = [speech.samples[:3200]], Controls(head_motion=0)
    whole = film(lite, registration, samples, still, RenderOptions(size="source"))
    part = film(lite, registration, samples, still, RenderOptions(size="source", crop=(0.125, 0.0, 0.5, 0.75)))
    assert part[0].shape == (384, 256, 3)
    assert np.abs(whole[-1][:384, 64:320].astype(int) - part[-1]).mean() < 1


def test_a_crop_that_was_moved_is_told(lite: LiteEngine, registration: LiteRegistration) -> None:
    moved = lite.session(registration, Controls(), RenderOptions(size=128, crop=(0.0, 0.8, 0.2, 0.2)))
    assert [read_notice(each) for each in moved.warnings] == [("crop_moved", {})]
    assert lite.session(registration, Controls(), RenderOptions(size=128, aspect="9:16")).warnings == ()


def test_idle_lives_and_interrupt_forgets(lite: LiteEngine, registration: LiteRegistration, speech: Audio) -> None:
    session = lite.session(registration, Controls(), SMALL)
    idle = list(session.idle(50))
    assert len(idle) == 50
    assert any(not np.array_equal(idle[0], frame) for frame in idle)
    list(session.push(speech.samples[:8000]))
    session.interrupt()
    assert len([*session.push(speech.samples[:6400]), *session.flush()]) == 10
