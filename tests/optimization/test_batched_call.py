"""A function computed for several callers at once."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="shared batches are tensors, and torch is not installed")

from core.errors import Cancelled  # noqa: E402
from core.optimization.batched_call import BatchedCall  # noqa: E402

CPU = torch.device("cpu")


class Scaled:
    """(n, 3), (2, n) -> (n, 3); remembers the batches. `broken`: an input that it fails at."""

    broken = -1.0

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, rows: Any, factors: Any) -> Any:
        self.batches.append(len(rows))
        if bool((rows == self.broken).any()):
            raise ValueError("broken")
        return rows * factors.sum(0)[:, None]


def arguments(i: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((1, 3), i, np.float32), np.full((2, 1), i, np.float32)


def together(call: BatchedCall, items: list[int]) -> list[Any]:
    found: list[Any] = [None] * len(items)
    barrier = threading.Barrier(len(items))

    def ask(place: int, item: int) -> None:
        barrier.wait(30)
        try:
            found[place] = call(arguments(item), place)
        except ValueError as error:
            found[place] = error

    threads = [threading.Thread(target=ask, args=given) for given in enumerate(items)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


@pytest.mark.parametrize("record", [True, False])
def test_each_gets_its_own_and_batches_have_their_sizes(record: bool) -> None:
    scaled = Scaled()
    call = BatchedCall(scaled, CPU, (1, 2, 4), 0.5, (0, 1), record)
    found = together(call, list(range(7)))
    assert all(np.array_equal(found[i], np.full((1, 3), 2 * i * i)) for i in range(7))
    assert sum(scaled.batches) == 7
    assert set(scaled.batches) <= {1, 2, 4}
    assert max(scaled.batches) > 1
    call.close()
    with pytest.raises(Cancelled):
        call(arguments(1), "late")


def test_one_that_cannot_be_computed_fails_alone() -> None:
    call = BatchedCall(Scaled(), CPU, (1, 2, 4), 0.5, (0, 1))
    found = together(call, [1, -1, 2])
    assert isinstance(found[1], ValueError)
    assert np.array_equal(found[0], np.full((1, 3), 2))
    assert np.array_equal(found[2], np.full((1, 3), 8))
    call.close()


def test_a_warm_one_has_computed_every_size() -> None:
    scaled = Scaled()
    call = BatchedCall(scaled, CPU, (1, 2, 4), 0.0, (0, 1))
    call.warmup(arguments(3))
    assert scaled.batches == [1, 2, 4]
    assert np.array_equal(call(arguments(2), 0), np.full((1, 3), 8))
    call.close()
