"""Gathered batches: order, failures that stay with their item, cancelled items, and the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from core.errors import Cancelled
from core.optimization.gathering import Gatherer, Pending

WAIT_S = 20.0


class Squares:
    """Serves n * n in batches of 1, 2 or 4, once it is let; a negative number fails, and a batch above `room` finds no memory."""

    def __init__(self, room: int = 4) -> None:
        self.room, self.batches = room, []
        self.let, self.begun = threading.Event(), threading.Event()
        self.gatherer: Gatherer[int] = Gatherer(self.serve, lambda n: max(size for size in (1, 2, 4) if size <= n))

    def serve(self, batch: list[Pending[int]]) -> None:
        self.begun.set()
        assert self.let.wait(WAIT_S)
        numbers = [pending.item for pending in batch]
        self.batches.append(numbers)
        if len(numbers) > self.room:
            raise MemoryError("no room")
        if min(numbers) < 0:
            raise ValueError(f"{min(numbers)} has no place here")
        for pending in batch:
            pending.future.set_result(pending.item**2)


@pytest.fixture
def squares() -> Iterator[Squares]:
    made = Squares()
    yield made
    made.let.set()
    made.gatherer.close()


def busy(squares: Squares) -> None:
    """From here on, until it is let, the thread computes and what is submitted waits."""
    squares.gatherer.submit(0, "first", 0.0)
    assert squares.begun.wait(WAIT_S)


def test_the_earliest_due_are_served_first_in_full_batches(squares: Squares) -> None:
    busy(squares)
    futures = [squares.gatherer.submit(n, n, due_s=-n) for n in range(1, 8)]
    squares.let.set()
    assert [future.result(WAIT_S) for future in futures] == [n * n for n in range(1, 8)]
    assert squares.batches == [[0], [7, 6, 5, 4], [3, 2], [1]]


def test_one_that_fails_fails_alone(squares: Squares) -> None:
    busy(squares)
    futures = {n: squares.gatherer.submit(n, n, due_s=abs(n)) for n in (1, 2, -3, 4)}
    squares.let.set()
    assert [futures[n].result(WAIT_S) for n in (1, 2, 4)] == [1, 4, 16]
    with pytest.raises(ValueError, match="-3 has no place"):
        futures[-3].result(WAIT_S)
    assert squares.gatherer.submit(5, 5, 0.0).result(WAIT_S) == 25  # the thread lives on


def test_a_batch_without_room_is_served_in_smaller_ones(squares: Squares) -> None:
    squares.room = 1
    busy(squares)
    futures = [squares.gatherer.submit(n, n, due_s=n) for n in range(1, 5)]
    squares.let.set()
    assert [future.result(WAIT_S) for future in futures] == [1, 4, 9, 16]


def test_a_cancelled_one_is_not_served_and_delays_nobody(squares: Squares) -> None:
    busy(squares)
    futures = [squares.gatherer.submit(n, n, due_s=n) for n in range(1, 5)]
    assert futures[1].cancel()
    squares.let.set()
    assert [futures[i].result(WAIT_S) for i in (0, 2, 3)] == [1, 9, 16]
    assert 2 not in [n for batch in squares.batches for n in batch]


def test_closing_wakes_who_waits_and_refuses_what_comes(squares: Squares) -> None:
    busy(squares)
    waiting = squares.gatherer.submit(1, "waiting", 0.0)
    squares.gatherer.close()
    with pytest.raises(Cancelled):
        waiting.result(WAIT_S)
    with pytest.raises(Cancelled):
        squares.gatherer.submit(2, "late", 0.0)
