"""How long a part of a file may take: longer after a slow one, and as usual again once parts go quickly."""

from __future__ import annotations

from core.service.shared.pace import GOOD_IN_A_ROW, Pace


def slowed() -> Pace:
    pace = Pace([10.0, 20.0, 40.0], [800, 500, 500])
    assert pace.too_slow(0)
    assert pace.too_slow(1)
    assert pace.place == 2
    return pace


def test_good_answers_bring_the_usual_limit_back_step_by_step() -> None:
    pace = slowed()
    told = [pace.answered(2, 100, 1.9) for _ in range(GOOD_IN_A_ROW)]  # 500 bytes would take 9.5 s, of which 20 are allowed
    assert told == [False] * (GOOD_IN_A_ROW - 1) + [True]
    assert pace.place == 1
    assert not any(pace.answered(1, 100, 1.0) for _ in range(10))  # 800 bytes would take 8 s of the 10
    assert [pace.answered(1, 100, 0.5) for _ in range(GOOD_IN_A_ROW)][-1]
    assert pace.place == 0


def test_answers_count_only_in_a_row_and_with_the_limit_that_holds() -> None:
    pace = slowed()
    for took_s in (0.1, 0.1, 10.0, 0.1, 0.1):
        assert not pace.answered(2, 100, took_s)
    assert not pace.answered(1, 100, 0.1)  # begun before the way was that slow
    assert pace.place == 2
    assert not pace.too_slow(2)
    assert not pace.answered(2, 100, 0.1)
    assert pace.place == 2


def test_a_part_that_was_begun_long_ago_takes_no_limit_back() -> None:
    pace = slowed()
    assert pace.too_slow(0)
    assert pace.place == 2
