"""Lips that are told the phones: they meet for every m, b and p, however the sound is cut, and wherever phones are known."""

from __future__ import annotations

import numpy as np
import pytest

from core.lite.mouth import APERTURE, LOOK_AHEAD_SAMPLES, TUCK, MouthTracker
from core.types import Phone

SECONDS = 4.0
BILABIALS = ("p", "b", "m")


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    times = np.arange(round(SECONDS * 16_000)) / 16_000
    buzz = np.sign(np.sin(2 * np.pi * 120 * times)) * (0.6 + 0.4 * np.sin(2 * np.pi * 2.3 * times))
    return (0.1 * buzz + np.random.default_rng(3).normal(0, 0.01, len(times))).astype(np.float32)


@pytest.fixture(scope="module")
def phones() -> list[Phone]:
    """A silence, then syllables of 60 to 190 ms a phone, and a silence of 0.4 s."""
    rng, at, out = np.random.default_rng(4), 0.2, [Phone("", 0.0, 0.2)]
    said = ["m", "a", "p", "aɪ", "f", "uː", "b", "ɛ", "s", "v", "ɑ", "tʃ", "m", "i"]
    while at < SECONDS - 0.7:
        for ipa in said:
            end = round(at + float(rng.uniform(0.06, 0.19)), 3)
            out.append(Phone(ipa, at, end))
            at = end
    return [phone for phone in out if phone.end_s <= SECONDS - 0.4]


def rows(voice: np.ndarray, phones: list[Phone], cuts: list[int], early_s: float) -> np.ndarray:
    """early_s: how long before the sound in which it begins a phone is told."""
    tracker, out, waiting, at = MouthTracker(), [], [*phones], 0
    for piece in np.split(voice, cuts):
        at += len(piece)
        while waiting and waiting[0].start_s * 16_000 < at + early_s * 16_000:
            tracker.expect([waiting.pop(0)])
        out.append(tracker.push(piece))
    out.append(tracker.flush())
    return np.concatenate(out)


def test_lips_meet_for_every_bilabial_and_tuck_for_every_labiodental(voice: np.ndarray, phones: list[Phone]) -> None:
    drawn = rows(voice, phones, [], 0.0)
    assert sum(phone.ipa in BILABIALS for phone in phones) > 5
    for phone in phones:
        frames = drawn[int(phone.start_s * 25) : int(np.ceil(phone.end_s * 25))]
        if phone.ipa in BILABIALS:
            assert frames[:, APERTURE].min() < 0.05, phone
        if phone.ipa in ("f", "v"):
            assert frames[:, TUCK].max() > 0.7, phone
            assert frames[:, APERTURE].min() < 0.15, phone
        if phone.ipa in ("a", "ɑ"):
            assert frames[:, APERTURE].max() > 0.3, phone


def test_neither_cuts_nor_the_moment_of_telling_change_a_frame(voice: np.ndarray, phones: list[Phone]) -> None:
    whole = rows(voice, phones, [], 0.0)
    for step, early_s in ((640, 0.0), (640, 0.3), (997, 0.0), (3200, 9.0), (12_345, 0.0)):
        cut = rows(voice, phones, list(range(step, len(voice), step)), early_s)
        np.testing.assert_allclose(cut, whole, atol=1e-5)


def test_where_no_phones_are_known_the_sound_decides(voice: np.ndarray, phones: list[Phone]) -> None:
    alone, told = rows(voice, [], [], 0.0), rows(voice, [phone for phone in phones if phone.end_s < 2.0], [], 0.0)
    np.testing.assert_array_equal(told[51:], alone[51:])
    assert np.abs(told[10:45, APERTURE] - alone[10:45, APERTURE]).max() > 0.2


def test_the_look_ahead_stays(voice: np.ndarray, phones: list[Phone]) -> None:
    tracker = MouthTracker()
    tracker.expect(phones)
    assert LOOK_AHEAD_SAMPLES <= 0.115 * 16_000
    assert len(tracker.push(voice[: 21 * 640 + LOOK_AHEAD_SAMPLES])) == 21


def test_the_next_utterance_knows_nothing_of_the_last(voice: np.ndarray, phones: list[Phone]) -> None:
    tracker = MouthTracker()
    tracker.expect(phones)
    tracker.push(voice)
    tracker.flush()
    np.testing.assert_array_equal(np.concatenate((tracker.push(voice), tracker.flush())), rows(voice, [], [], 0.0))
