"""The imperceptible mark, found again: after what happens to videos on their way, and only where it is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.mark_attacks import ATTACKS, Attack, encoded, read
from core.media.mark import Mark
from core.media.mark_pattern import make_tile
from core.provenance.mark_detection import MOST_CHANCE, MarkDetector, MarkReading
from core.types import Frame, Photo

KEY, PAYLOAD = b"the key of some deployment", 0xC0FFEE01
N_FRAMES = 40
HARDEST = ("H.264 CRF 32", "480p at 400 kb/s", "resized to 50 %", "10 % cut off each side", "mirrored", "15 frames/s", "brightness -20 %",
           "filmed off a screen")  # fmt: skip


@pytest.fixture(scope="module")
def frames(portrait: Photo) -> list[Frame]:
    """A head that sways a little in front of a still ground."""
    still = cv2.resize(portrait.pixels[:700, :700], (320, 320), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[0:320, 0:320].astype(np.float32)
    head = np.exp(-(((x - 160) / 90) ** 2 + ((y - 150) / 110) ** 2))
    return [cv2.remap(still, x + 3 * np.sin(n / 6).astype(np.float32) * head, y, cv2.INTER_LINEAR) for n in range(N_FRAMES)]


def marked(frames: list[Frame], key: bytes | None = None) -> list[Frame]:
    result = [frame.copy() for frame in frames]
    mark = Mark(320, 320, make_tile(key, PAYLOAD))
    for frame in result:
        mark.draw(frame)
    return result


@pytest.fixture(scope="module")
def with_mark(frames: list[Frame]) -> list[Frame]:
    return marked(frames)


def reading_of(frames: list[Frame], key: bytes | None = None) -> MarkReading:
    """Of frames that no codec saw."""
    detector = MarkDetector(key)
    for frame in frames:
        detector.add(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY))
    return detector.read()


@pytest.mark.parametrize("name", HARDEST)
def test_found_after(name: str, with_mark: list[Frame]) -> None:
    reading = read(encoded(with_mark, ATTACKS[name]))
    assert reading.found, reading
    assert reading.chance < MOST_CHANCE
    assert reading.confidence > 1 - MOST_CHANCE
    assert reading.mirrored == (name == "mirrored")
    assert reading.scale == pytest.approx(1.25 if name.startswith("10 %") else 1.0, rel=0.02)


@pytest.mark.parametrize("name", ["as written", "480p at 400 kb/s", "10 % cut off each side", "filmed off a screen"])
def test_not_found_without_it_after(name: str, frames: list[Frame]) -> None:
    reading = read(encoded(frames, ATTACKS[name]))
    assert not reading.found
    assert reading.chance > 0.01
    assert reading.to_dict()["scale"] is None


def test_a_deployment_finds_its_own(frames: list[Frame]) -> None:
    own = marked(frames, KEY)
    assert reading_of(own, KEY).payload == PAYLOAD
    assert reading_of(own, KEY).to_dict()["id"] == "c0ffee01"
    assert reading_of(own).found, "anybody finds the public pattern"
    assert reading_of(own).payload is None
    assert reading_of(own, b"the key of another one").payload is None
    assert reading_of([frame[:, ::-1] for frame in own], KEY).payload == PAYLOAD


def test_a_number_is_not_read_where_none_is(with_mark: list[Frame]) -> None:
    reading = read(encoded(with_mark, ATTACKS["as written"]), KEY)
    assert reading.found
    assert reading.payload is None
    assert reading.payload_chance > 0.01


def test_noise_scores_as_the_bound_says() -> None:
    """The best of six million alignments of random phases lies where such a maximum lies, well below what counts as found."""
    scores = []
    for seed in range(6):
        detector = MarkDetector()
        detector.add(np.random.default_rng(seed).integers(0, 256, (320, 320), np.uint8))
        reading = detector.read()
        assert not reading.found
        scores.append(reading.score)
    assert 4.5 < float(np.median(scores)) < 6.2


def test_pictures_without_anything_in_them() -> None:
    assert MarkDetector().read() == MarkReading(False, 1.0)
    for size in ((2, 2), (16, 4000), (320, 320)):
        detector = MarkDetector()
        detector.add(np.zeros(size, np.uint8))
        assert not detector.read().found


def test_a_frame_of_another_shape_is_passed_over(with_mark: list[Frame]) -> None:
    detector = MarkDetector()
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in with_mark[:3]]
    for frame in (grey[0], grey[1][:200], grey[2]):
        detector.add(frame)
    assert detector.n_frames == 2
    assert detector.read().found


def test_a_whole_picture_needs_less_of_the_mark_than_a_part_of_one(with_mark: list[Frame], frames: list[Frame]) -> None:
    coded = Attack(options={"crf": "38", "preset": "medium"})
    whole = read(encoded(with_mark, coded))
    assert (whole.found, whole.scale, whole.mirrored) == (True, 1.0, False)
    assert not read(encoded([frame[8:, 8:] for frame in with_mark], coded)).found
    assert not read(encoded(frames, coded)).found
