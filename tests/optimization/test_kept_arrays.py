"""Arrays kept for later within a bound of bytes."""

from __future__ import annotations

import numpy as np

from core.optimization.kept_arrays import KeptArrays


def test_the_least_recently_used_goes_first() -> None:
    kept = KeptArrays(300)
    for name in "abc":
        kept.put(name, np.zeros(100, np.uint8))
    assert kept.get("a") is not None
    kept.put("d", np.zeros(150, np.uint8))
    assert [kept.get(name) is not None for name in "abcd"] == [True, False, False, True]
    assert kept.nbytes == 250
    kept.put("d", np.ones(200, np.uint8))  # in place of the one before
    assert kept.nbytes == 300
    assert np.array_equal(kept.get("d"), np.ones(200, np.uint8))
    kept.put("e", np.zeros(301, np.uint8))  # more than all together may have
    assert kept.get("e") is None
    assert kept.nbytes == 300
