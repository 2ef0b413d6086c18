"""Which frames of a video source show the new mouth, and how much of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from core.aux_models.shown_frames import Why, check_shown, shown_frames, skipped_spans, skipped_warnings
from core.errors import FaceError
from core.generation import Skipped
from core.notices import read_notice


def lost(n: int, *spans: tuple[int, int], why: Why = "no_face") -> list[Why]:
    return [why if any(start <= i < end for start, end in spans) else None for i in range(n)]


def weights(why: Sequence[Why], cuts: Sequence[int] = (), fps: float = 25) -> list[float]:
    return np.round(shown_frames(why, fps, cuts).weight * 6).tolist()


@pytest.mark.parametrize(("fps", "longest"), [(25, 10), (50, 20), (12.5, 5)])
def test_gaps_up_to_four_tenths_of_a_second_are_bridged(fps: float, longest: int) -> None:
    assert set(shown_frames(lost(60, (20, 20 + longest)), fps).why) == {None}
    assert shown_frames(lost(60, (20, 21 + longest)), fps).why.count("no_face") == longest + 1


def test_what_is_not_bridged() -> None:
    assert shown_frames(lost(30, (10, 14), why="other_face"), 25).why.count("other_face") == 4
    assert shown_frames(lost(30, (0, 3), (27, 30)), 25).why.count("no_face") == 6  # there is nothing on the other side
    assert shown_frames(lost(30, (10, 14)), 25, cuts=(12,)).why.count("no_face") == 4
    assert shown_frames(lost(30, (10, 14)), 25, cuts=(14,)).why.count("no_face") == 4
    assert shown_frames(lost(30, (10, 14)), 25, cuts=(9, 15)).why.count("no_face") == 0


def test_who_passes_before_a_face_makes_one_span() -> None:
    why: list[Why] = [*[None] * 9, *["no_face"] * 3, *["other_face"] * 12, *["no_face"] * 2, *[None] * 9]
    assert shown_frames(why, 25).why == (*[None] * 9, *["other_face"] * 17, *[None] * 9)


def test_the_mouth_comes_and_goes_over_five_frames() -> None:
    assert weights(lost(30, (10, 22))) == [6, 6, 6, 6, 6, 5, 4, 3, 2, 1, *[0] * 12, 1, 2, 3, 4, 5, 6, 6, 6]


def test_it_switches_at_a_cut() -> None:
    assert weights(lost(28, (10, 22)), cuts=(10,)) == [*[6] * 10, *[0] * 12, 1, 2, 3, 4, 5, 6]
    assert weights(lost(28, (10, 22)), cuts=(10, 22)) == [*[6] * 10, *[0] * 12, *[6] * 6]
    assert weights(lost(16, (10, 16)), cuts=(7,)) == [*[6] * 7, 3, 2, 1, *[0] * 6]


def test_a_mouth_does_not_flicker_up_between_two_spans() -> None:
    shown = shown_frames([*lost(20, (8, 20)), *[None] * 4, *lost(20, (0, 12), why="turned_away")], 25)
    assert shown.why == (*[None] * 8, *["no_face"] * 16, *["turned_away"] * 12, *[None] * 8)


def test_spans_and_the_warning() -> None:
    why: list[Why] = [None, None, "no_face", "no_face", "other_face", None, "too_small"]
    spans = skipped_spans(why, 25)
    assert spans == (Skipped(0.08, 0.16, "no_face"), Skipped(0.16, 0.2, "other_face"), Skipped(0.24, 0.28, "too_small"))
    (sentence,) = skipped_warnings(spans, 0.28)
    assert read_notice(sentence) == ("frames_skipped", {"seconds": "0.2", "total": "0.3"})
    assert skipped_warnings((), 10) == ()


def test_a_video_in_which_nothing_is_shown() -> None:
    check_shown(shown_frames(lost(10, (0, 9)), 25))
    with pytest.raises(FaceError, match="turned too far to the side, or none was found"):
        check_shown(shown_frames([*lost(8, (0, 8)), *lost(12, (0, 12), why="turned_away")], 25))
