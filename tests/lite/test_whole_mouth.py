"""The mouth of a recording that is there as a whole."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import soundfile

from core.lite import phones, speech_encoder
from core.lite.mouth import APERTURE, MouthTracker
from core.lite.whole_mouth import PIECE_FRAMES, WholeMouth
from core.types import SAMPLES_PER_FRAME
from tests.support.paths import DATA


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return soundfile.read(DATA / "kal16_lips.flac", dtype="float32")[0]


def foreseen(speech: np.ndarray, sizes: list[int]) -> np.ndarray:
    tracker, rows, at, k = MouthTracker(), [], 0, 0
    tracker.foresee(speech)
    while at < len(speech):
        rows.append(tracker.push(speech[at : at + sizes[k % len(sizes)]]))
        at, k = at + sizes[k % len(sizes)], k + 1
    return np.concatenate((*rows, tracker.flush()))


def test_rows_are_the_same_however_they_are_asked_for(speech: np.ndarray) -> None:
    long = np.tile(speech, math.ceil((PIECE_FRAMES + 40) * SAMPLES_PER_FRAME / len(speech)))
    n = math.ceil(len(long) / SAMPLES_PER_FRAME)
    at_once = WholeMouth(long).rows(0, n)
    mouth = WholeMouth(long)
    np.testing.assert_array_equal(np.concatenate([mouth.rows(i, 7) for i in range(0, n, 7)])[:n], at_once)
    assert at_once.shape == (n, 3)
    assert n > PIECE_FRAMES


def test_recordings_heard_side_by_side_have_their_own_rows(speech: np.ndarray) -> None:
    """Each of them hears its next piece while another one does."""
    long = np.tile(speech, math.ceil(2.5 * PIECE_FRAMES * SAMPLES_PER_FRAME / len(speech)))
    n = math.ceil(len(long) / SAMPLES_PER_FRAME)
    sounds = [long, long[::-1].copy(), long[SAMPLES_PER_FRAME * 30 :]]
    alone = [WholeMouth(sound).rows(0, n) for sound in sounds]
    mouths = [WholeMouth(sound) for sound in sounds]
    beside = [np.concatenate([mouth.rows(i, 50) for mouth in mouths], 1) for i in range(0, n, 50)]
    np.testing.assert_array_equal(np.concatenate(beside)[:n], np.concatenate(alone, 1))


def test_pieces_join_without_a_seam(speech: np.ndarray) -> None:
    """Where a piece begins hardly shows: the rows are those of the same sound in the middle of a piece."""
    ahead = np.zeros((PIECE_FRAMES - 20) * SAMPLES_PER_FRAME, np.float32)
    n = len(speech) // SAMPLES_PER_FRAME
    moved = WholeMouth(np.concatenate((ahead, speech))).rows(PIECE_FRAMES - 20, n)
    assert np.corrcoef(moved[:, 0], WholeMouth(speech).rows(0, n)[:, 0])[0, 1] > 0.97


@pytest.mark.parametrize("n", [1, 639, 640, 641, 16_000])
def test_any_length_has_its_rows(speech: np.ndarray, n: int) -> None:
    rows = WholeMouth(speech[:n]).rows(0, 30)
    frames = math.ceil(n / SAMPLES_PER_FRAME)
    assert np.isfinite(rows).all()
    np.testing.assert_array_equal(rows[frames:], np.repeat(rows[frames - 1 : frames], 30 - frames, 0)[: max(0, 30 - frames)])
    assert foreseen(speech[:n], [n]).shape == (frames, 4)


def test_lips_touch_for_bilabials_the_teeth_for_labiodentals_and_open_for_vowels(speech: np.ndarray) -> None:
    """Of a voice that was held back from the training."""
    spoken = [(str(p), float(s), float(e)) for p, s, e, _ in json.loads((DATA / "kal16_lips.json").read_text("utf-8"))]
    n = math.ceil(len(speech) / SAMPLES_PER_FRAME)
    opening, tuck, touch = WholeMouth(speech).rows(0, n).T
    t = (np.arange(n) + 0.5) * SAMPLES_PER_FRAME / 16_000
    group = np.array(phones.GROUPS)[phones.classes(spoken, t)]
    met, open_wide = np.isin(group, phones.BILABIAL), np.isin(group, ("a", "ae"))
    assert touch[met].mean() > 3 * touch[open_wide].mean()
    assert tuck[group == "labiodental"].mean() > 3 * np.abs(tuck[open_wide]).mean()
    assert np.corrcoef(opening, phones.shapes(spoken, t).aperture)[0, 1] > 0.6


def test_opening_is_that_as_if_lips_never_met(speech: np.ndarray) -> None:
    """So touch and silence alone close them: an opening that falls by itself falls too where a speaker is only soft."""
    spoken = [(str(p), float(s), float(e)) for p, s, e, _ in json.loads((DATA / "kal16_lips.json").read_text("utf-8"))]
    n = math.ceil(len(speech) / SAMPLES_PER_FRAME)
    t = (np.arange(n) + 0.5) * SAMPLES_PER_FRAME / 16_000
    met = phones.contacts(spoken, t)[:, 0] > 0.9
    opening, drawn = WholeMouth(speech).rows(0, n)[:, 0], foreseen(speech, [len(speech)])[:, APERTURE]
    assert opening[met].min() > 0.1
    assert np.median(drawn[met]) == 0


def test_how_the_sound_is_cut_changes_nothing(speech: np.ndarray) -> None:
    expected = foreseen(speech, [len(speech)])
    for sizes in ([640], [37, 5000], [3200]):
        np.testing.assert_allclose(foreseen(speech, sizes), expected, atol=1e-5)


def test_the_next_utterance_is_not_that_recording(speech: np.ndarray) -> None:
    alone = MouthTracker()
    expected = np.concatenate((alone.push(speech), alone.flush()))
    tracker = MouthTracker()
    tracker.foresee(speech)
    first = np.concatenate((tracker.push(speech), tracker.flush()))
    np.testing.assert_array_equal(np.concatenate((tracker.push(speech), tracker.flush())), expected)
    assert np.abs(first - expected)[:, APERTURE].max() > 0.05


def test_lips_rest_in_silence() -> None:
    silence = np.zeros(32_000, np.float32)
    assert np.abs(foreseen(silence, [3200])[:, APERTURE]).max() == 0


def test_the_encoder_keeps_to_whispers_length(speech: np.ndarray) -> None:
    longest = np.resize(speech, speech_encoder.MOST_SAMPLES)[: 16_000 * 3 + 5]
    assert speech_encoder.encode(longest).shape == (math.ceil(len(longest) / speech_encoder.STEP), speech_encoder.WIDTH)


def test_gelu_is_near_the_exact_one() -> None:
    x = np.linspace(-6, 6, 121, dtype=np.float32)
    exact = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.tolist()]
    np.testing.assert_allclose(speech_encoder._gelu(x), exact, atol=5e-4)
