"""The stage runner: order, errors, cancelling, and that no thread is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from core.optimization.parallel_processing import run_stages


def doubled(items: Iterator[int]) -> Iterator[int]:
    for item in items:
        yield 2 * item


def pairs(items: Iterator[int]) -> Iterator[tuple[int, ...]]:
    held: list[int] = []
    for item in items:
        held.append(item)
        if len(held) == 2:
            yield tuple(held)
            held = []
    if held:
        yield tuple(held)


def stages_alive() -> int:
    return sum(thread.name.startswith("stage-") for thread in threading.enumerate())


def test_items_come_in_order_and_stages_may_gather_and_keep_back() -> None:
    assert list(run_stages(range(7), [doubled, pairs])) == [(0, 2), (4, 6), (8, 10), (12,)]
    assert list(run_stages([], [doubled, pairs])) == []
    assert list(run_stages(range(3), [])) == [0, 1, 2]
    assert stages_alive() == 0


def test_stages_overlap() -> None:
    def slow(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            time.sleep(0.03)
            yield item

    started = time.perf_counter()
    assert list(run_stages(range(10), [slow, slow, slow])) == list(range(10))
    assert time.perf_counter() - started < 0.03 * 10 * 3 * 0.7


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_the_first_error_reaches_the_consumer_and_ends_everything(broken: int) -> None:
    class Cause(Exception):
        pass

    def stage(number: int) -> Any:
        def run(items: Iterator[int]) -> Iterator[int]:
            for item in items:
                if number == broken and item == 20:
                    raise Cause(f"stage {number}")
                yield item

        return run

    started = time.perf_counter()
    with pytest.raises(Cause, match=f"stage {broken}"):
        for _ in run_stages(iter(range(10**9)), [stage(0), stage(1), stage(2)]):
            pass
    assert time.perf_counter() - started < 1
    assert stages_alive() == 0


def test_an_error_of_the_source_reaches_the_consumer() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(run_stages(source(), [doubled]))


def test_a_consumer_that_leaves_ends_stages_that_wait_on_full_queues() -> None:
    closed = threading.Event()

    def holding(items: Iterator[int]) -> Iterator[int]:
        try:
            yield from items
        finally:
            closed.set()

    run = run_stages(iter(range(10**9)), [holding, doubled])
    assert next(run) == 0
    time.sleep(0.05)  # the queues fill up
    started = time.perf_counter()
    run.close()
    assert time.perf_counter() - started < 1
    assert closed.is_set()
    assert stages_alive() == 0


def test_queues_are_bounded() -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    run = run_stages(source(), [doubled], queue_items=2)
    next(run)
    time.sleep(0.05)
    assert taken <= 8
    run.close()


def test_nothing_starts_before_the_first_item_is_asked_for() -> None:
    run = run_stages(iter([1]), [doubled])
    assert stages_alive() == 0
    run.close()
