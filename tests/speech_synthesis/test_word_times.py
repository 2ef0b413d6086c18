"""Written words and the times at which they are heard."""

from __future__ import annotations

import numpy as np

from core.speech_synthesis.base import Speech, from_int16, joined, to_int16
from core.speech_synthesis.word_times import word_times
from core.types import Word


def test_each_written_word_has_its_time() -> None:
    assert word_times("Hi Ada!", [(0, 0.1, 0.3), (3, 0.3, 0.9)]) == (Word("Hi", 0.1, 0.3), Word("Ada!", 0.3, 0.9))


def test_a_number_is_one_word_though_it_is_said_in_several() -> None:
    assert word_times("42 is", [(0, 0.0, 0.2), (1, 0.2, 0.5), (3, 0.5, 0.6)]) == (Word("42", 0.0, 0.5), Word("is", 0.5, 0.6))


def test_a_word_said_together_with_the_one_before_shares_its_time() -> None:
    words = word_times("of the sea", [(0, 1.0, 2.0), (7, 2.0, 3.0)])
    assert [word.text for word in words] == ["of", "the", "sea"]
    assert np.allclose([(word.start_s, word.end_s) for word in words], [(1.0, 1.4), (1.4, 2.0), (2.0, 3.0)])


def test_what_is_not_said_takes_no_time() -> None:
    assert word_times("– Hi", [(2, 0.5, 0.8)]) == (Word("–", 0.5, 0.5), Word("Hi", 0.5, 0.8))
    assert word_times("…", []) == (Word("…", 0.0, 0.0),)
    assert word_times("", []) == ()


def test_pieces_are_joined_with_times_from_the_start() -> None:
    pieces = [
        Speech(np.zeros(50, np.float32), 100, "a", (Word("a", 0.1, 0.2),)),
        Speech(np.zeros(100, np.float32), 100),
        Speech(np.ones(10, np.float32), 100, "b", (Word("b", 0.0, 0.1),)),
    ]
    whole = joined(pieces)
    assert (whole.text, whole.duration_s, whole.sample_rate_hz) == ("a b", 1.6, 100)
    assert whole.words == (Word("a", 0.1, 0.2, ends_piece=True), Word("b", 1.5, 1.6, ends_piece=True))


def test_samples_of_16_bits_are_bounded_and_come_back() -> None:
    samples = np.array([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0], np.float32)
    assert to_int16(samples).tolist() == [-32768, -32768, 0, 16384, 32767, 32767]
    values = np.arange(-32768, 32768, dtype=np.int16)
    assert np.array_equal(to_int16(from_int16(values)), values)
