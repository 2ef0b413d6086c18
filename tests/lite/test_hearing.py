"""What is heard of an utterance, at once and ahead."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from core.lite.hearing import RISE, Hearing
from core.types import SAMPLES_PER_FRAME
from tests.support.paths import DATA

PIECE = 20 * SAMPLES_PER_FRAME


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return soundfile.read(DATA / "kal16_lips.flac", dtype="float32")[0][: 90 * SAMPLES_PER_FRAME + 17]


def heard(hearing: Hearing, speech: np.ndarray, size: int, foresee: bool = True) -> np.ndarray:
    if foresee:
        hearing.foresee(speech)
    rows = [hearing.push(speech[at : at + size]) for at in range(0, len(speech), size)]
    return np.concatenate((*rows, hearing.flush()))


def test_what_is_heard_ahead_is_the_same_however_it_is_pushed(speech: np.ndarray) -> None:
    rows = heard(Hearing(PIECE), speech, PIECE)
    assert rows.shape == (91, RISE + 1)
    assert rows[:, RISE].max() > 0
    for size in (7_001, len(speech)):
        np.testing.assert_array_equal(heard(Hearing(PIECE), speech, size), rows)


def test_the_voice_rises_alike_in_what_is_heard_as_it_comes(speech: np.ndarray) -> None:
    ahead, as_it_comes = (heard(Hearing(PIECE), speech, PIECE, foresee) for foresee in (True, False))
    np.testing.assert_allclose(as_it_comes[:, RISE], ahead[:, RISE], atol=1e-5)


def test_no_row_comes_later_than_without_foresight(speech: np.ndarray) -> None:
    foreseen, blind = Hearing(PIECE), Hearing(PIECE)
    foreseen.foresee(speech)
    n_foreseen = n_blind = 0
    for at in range(0, len(speech), 3_000):
        n_foreseen += len(foreseen.push(speech[at : at + 3_000]))
        n_blind += len(blind.push(speech[at : at + 3_000]))
        assert n_foreseen >= n_blind


def test_an_utterance_that_ends_while_it_is_heard_leaves_nothing_in_the_next(speech: np.ndarray) -> None:
    alone = heard(Hearing(PIECE), speech[::-1].copy(), PIECE)
    hearing = Hearing(PIECE)
    for _ in range(3):
        hearing.foresee(speech)
        hearing.push(speech[:PIECE])  # a thread hears the second piece from now on
        hearing.reset()
    np.testing.assert_array_equal(heard(hearing, speech[::-1].copy(), PIECE), alone)
