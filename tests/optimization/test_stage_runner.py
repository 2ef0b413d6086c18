"""The stage runner: order, overlap, errors, leaving early, and that no thread is left behind."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from core.errors import Cancelled
from core.optimization.parallel_processing import WAITING, StageRunner


def doubled(item: int) -> int:
    return 2 * item


def as_text(item: int) -> str:
    return str(item)


def stages_alive() -> int:
    return sum(thread.name.startswith("stage-") for thread in threading.enumerate())


def idents() -> set[int | None]:
    return {thread.ident for thread in threading.enumerate() if thread.name.startswith("stage-")}


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    gc.collect()
    deadline = time.monotonic() + 5
    while stages_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert stages_alive() == 0


def test_results_come_in_order() -> None:
    runner = StageRunner([doubled, as_text])
    assert list(runner.run(range(7))) == ["0", "2", "4", "6", "8", "10", "12"]
    assert list(runner.run([])) == []
    assert list(StageRunner([doubled]).run([3])) == [6]
    runner.close()


def test_the_same_threads_serve_every_run() -> None:
    """A thread for every push would leave its allocator's memory behind, and cost its start."""
    runner = StageRunner([doubled, as_text])
    list(runner.run(range(3)))
    first = idents()
    assert len(first) == 2
    for _ in range(20):
        assert list(runner.run([5])) == ["10"]
    assert idents() == first
    runner.close()
    assert stages_alive() == 0
    assert list(runner.run([1])) == ["2"]  # closed is not broken
    runner.close()


def test_stages_overlap_each_other_and_the_reading() -> None:
    """The second stage holds the first item until the first stage has the second one and the third was read."""
    begun, read = threading.Event(), threading.Event()

    def first(item: int) -> int:
        if item == 1:
            begun.set()
        return item

    def second(item: int) -> int:
        if item == 0:
            assert begun.wait(20)
            assert read.wait(20)
        return item

    def items() -> Iterator[int]:
        yield 0
        yield 1
        read.set()
        yield 2

    runner = StageRunner([first, second])
    assert list(runner.run(items())) == [0, 1, 2]
    runner.close()


@pytest.mark.parametrize("broken", [0, 1])
def test_the_first_error_reaches_the_consumer_and_ends_everything(broken: int) -> None:
    class Cause(Exception):
        pass

    def stage(number: int) -> Any:
        def run(item: int) -> int:
            if number == broken and item == 20:
                raise Cause(f"stage {number}")
            return item

        return run

    runner = StageRunner([stage(0), stage(1)])
    with pytest.raises(Cause, match=f"stage {broken}"):
        for _ in runner.run(iter(range(10**9))):
            pass
    assert stages_alive() == 0
    assert list(runner.run([1, 2])) == [1, 2]
    runner.close()


def test_an_error_of_the_items_reaches_the_consumer() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(StageRunner([doubled]).run(items()))


def test_a_stage_that_failed_before_the_items_did_is_the_cause() -> None:
    failed = threading.Event()

    def bad(item: int) -> int:
        failed.set()
        raise ValueError("first")

    def items() -> Iterator[int]:
        yield 1
        assert failed.wait(20)
        deadline = time.monotonic() + 20
        while stages_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        raise OSError("second")

    with pytest.raises(ValueError, match="first"):
        list(StageRunner([bad]).run(items()))


def test_a_consumer_that_leaves_drops_what_is_under_way() -> None:
    runner = StageRunner([doubled, doubled])
    run = runner.run(iter(range(10**9)))
    assert next(run) == 0
    run.close()  # type: ignore[attr-defined]
    assert stages_alive() == 0
    assert list(runner.run([1])) == [4]
    runner.close()


def test_closing_does_not_wait_for_a_long_step() -> None:
    go_on, begun = threading.Event(), threading.Event()

    def long(item: int) -> int:
        begun.set()
        go_on.wait(20)
        return item

    runner = StageRunner([long])
    caught: list[BaseException] = []

    def wait_for_it() -> None:
        try:
            list(runner.run([1]))
        except Cancelled as error:
            caught.append(error)

    thread = threading.Thread(target=wait_for_it)
    thread.start()
    assert begun.wait(20)
    started = time.monotonic()
    runner.close()
    assert time.monotonic() - started < 5
    thread.join(20)
    assert len(caught) == 1
    go_on.set()


def test_what_is_under_way_is_bounded() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    runner = StageRunner([doubled])
    run = runner.run(items())
    for _ in range(10):
        next(run)
    assert taken <= 10 + 1 + WAITING + 1
    run.close()  # type: ignore[attr-defined]


def test_nothing_is_computed_that_was_not_asked_for() -> None:
    done = []

    def counted(item: int) -> int:
        done.append(item)
        return item

    runner = StageRunner([counted])
    assert stages_alive() == 0  # nor does a thread start before there is an item
    assert list(runner.run(range(4))) == [0, 1, 2, 3]
    assert done == [0, 1, 2, 3]
    runner.close()


def test_a_forgotten_runner_takes_its_threads_along() -> None:
    runner = StageRunner([doubled])
    assert list(runner.run([1])) == [2]
    assert stages_alive() == 1
    del runner
