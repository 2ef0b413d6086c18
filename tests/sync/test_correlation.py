"""Curves that are shifted by known amounts, with gaps and with few rows, are found again; others are not."""

from __future__ import annotations

import numpy as np
import pytest

from core.sync.correlation import LAGS, OPENING, Curves, match, without_slow

ALL = np.ones(250, bool)


def speech_like(seed: int, n: int = 250, shift: float = 0.0) -> Curves:
    """Two curves with what lips have of frequencies, up to 6 Hz, read `shift` rows later."""
    rng = np.random.default_rng(seed)
    rows = np.arange(n) - shift
    hz = rng.uniform(0.5, 6, (24, 1, 2))
    phase, size = rng.uniform(0, 2 * np.pi, hz.shape), rng.uniform(0.3, 1, hz.shape)
    out: Curves = (size * np.sin(2 * np.pi * hz * rows[:, None] / 25 + phase)).sum(0)
    return out


@pytest.mark.parametrize("shift", [-10.0, -3.3, -0.5, 0.0, 0.25, 1.75, 7.0, 12.4])
def test_a_shift_is_found_between_rows(shift: float) -> None:
    found = match(speech_like(1, shift=shift), speech_like(1), ALL)
    assert found is not None
    assert found.lag == pytest.approx(shift, abs=0.12)
    assert found.certain
    assert found.confidence > 0.9


def test_rows_that_were_not_seen_count_for_nothing() -> None:
    seen = speech_like(2, shift=4)
    seen[np.random.default_rng(0).random(250) < 0.4] = np.nan
    seen[100:130] = np.nan
    found = match(seen, speech_like(2), ALL)
    assert found is not None
    assert found.lag == pytest.approx(4, abs=0.2)
    assert found.seconds < 9


def test_a_few_rows_are_enough_where_lips_obey() -> None:
    seen = np.full((250, 2), np.nan)
    rows = np.arange(5, 245, 15)
    seen[rows] = speech_like(3, shift=2)[rows]
    found = match(seen, speech_like(3), ALL, sparse=True)
    assert found is not None
    assert found.lag == pytest.approx(2, abs=0.5)
    assert found.certain
    assert found.seconds == pytest.approx(16 * 0.2)


def test_other_curves_are_seldom_certain() -> None:
    pairs = [match(speech_like(seed), speech_like(seed + 1000), ALL) for seed in range(60)]
    assert sum(pair is not None and pair.certain for pair in pairs) <= 6


def test_a_head_that_turns_slowly_hides_nothing() -> None:
    slow = 20 * np.sin(np.arange(250)[:, None] / 60)
    found = match(speech_like(4, shift=-6) + slow, speech_like(4), ALL)
    assert found is not None
    assert found.lag == pytest.approx(-6, abs=0.2)
    assert np.abs(without_slow(slow)).max() < 4


def test_nothing_is_found_without_a_second_of_speech_or_without_movement() -> None:
    speech = np.zeros(250, bool)
    speech[:20] = True
    assert match(speech_like(5), speech_like(5), speech) is None
    assert match(np.full((250, 2), np.nan), speech_like(5), ALL) is None
    assert match(np.zeros((250, 2)), speech_like(5), ALL) is None


def test_a_mouth_that_only_opens_is_compared_by_that() -> None:
    seen = speech_like(6)
    seen[:, 1] = 0.5
    found = match(seen, speech_like(6), ALL)
    assert found is not None
    assert LAGS[np.nanargmax(found.correlations)] == 0
    assert OPENING == 0
