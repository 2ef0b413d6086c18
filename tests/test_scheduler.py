"""Jobs run, wait, are cancelled and refused; turns on the device are fair."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest

from core.errors import AudioError, BusyError, Cancelled
from core.generation import Progress
from core.scheduler import PATIENCE_S, Job, Scheduler


def test_result_and_progress() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=1)
    seen: list[Progress] = []

    def work(job: Job[int]) -> int:
        job.report(Progress("animating", 1, 2))
        return 42

    job = scheduler.schedule(work, "a", seen.append)
    assert job.result(5) == 42
    assert job.state == "done"
    assert seen == [Progress("animating", 1, 2)]
    scheduler.close()


def test_error_reaches_the_waiter_and_the_worker_lives_on() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=4)

    def fail(job: Job[int]) -> int:
        raise AudioError("The recording is empty.")

    with pytest.raises(AudioError, match="empty"):
        scheduler.schedule(fail, "a").result(5)
    assert scheduler.schedule(lambda job: 7, "a").result(5) == 7
    scheduler.close()


def test_a_signal_that_another_thread_gets_ends_a_wait_without_end() -> None:
    class Stopped(Exception):
        pass

    def stop(number: int, frame: object) -> None:
        raise Stopped

    scheduler, release = Scheduler(max_jobs=1, max_queue=1), threading.Event()

    def work(job: Job[None]) -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        release.wait(30)

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        job = scheduler.schedule(work, "a")
        with pytest.raises(Stopped):
            job.result()
        assert job.state == "running"
    finally:
        release.set()
        signal.signal(signal.SIGUSR1, before)
        scheduler.close()


def test_full_queue_is_refused_and_positions_are_told() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=2)
    started, release = threading.Event(), threading.Event()

    def hold(job: Job[int]) -> int:
        started.set()
        release.wait(10)
        return 0

    running = scheduler.schedule(hold, "a")
    assert started.wait(5)
    first, second = scheduler.schedule(hold, "a"), scheduler.schedule(hold, "b")
    assert (scheduler.position(running), scheduler.position(first), scheduler.position(second)) == (0, 1, 2)
    with pytest.raises(BusyError, match="2 jobs are waiting"):
        scheduler.schedule(hold, "c")
    first.cancel()  # a cancelled job makes room at once
    third = scheduler.schedule(hold, "c")
    with pytest.raises(Cancelled):
        first.result(5)
    release.set()
    assert [running.result(5), second.result(5), third.result(5)] == [0, 0, 0]
    scheduler.close()


def test_cancel_stops_at_the_next_step() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=0)
    stepping = threading.Event()

    def endless(job: Job[int]) -> int:
        while True:
            stepping.set()
            job.report(Progress("animating"))

    job = scheduler.schedule(endless, "a")
    assert stepping.wait(5)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(5)
    assert job.state == "cancelled"
    scheduler.close()


def test_close_cancels_what_waits_and_refuses_what_comes() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=2)
    started, release = threading.Event(), threading.Event()

    def hold(job: Job[int]) -> int:
        started.set()
        release.wait(10)
        return 1

    running = scheduler.schedule(hold, "a")
    assert started.wait(5)
    waiting = scheduler.schedule(hold, "a")
    threading.Timer(0.05, release.set).start()
    scheduler.close()
    assert running.result(5) == 1
    with pytest.raises(Cancelled):
        waiting.result(5)
    with pytest.raises(BusyError, match="stopping"):
        scheduler.schedule(hold, "a")


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


def test_turns_that_are_not_due_are_first_come_first_served() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=0)
    order: list[int] = []
    queued = [threading.Event() for _ in range(4)]

    def take(index: int) -> None:
        queued[index].set()
        with scheduler.device_turn():
            order.append(index)

    with scheduler.device_turn():
        threads = []
        for index in range(4):
            threads.append(threading.Thread(target=take, args=(index,)))
            threads[-1].start()
            queued[index].wait(5)
            wait_until(lambda n=index: len(scheduler._turns) > n)  # type: ignore[misc]  # mypy: a default's type
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2, 3]


def test_turns_go_by_when_they_are_due_and_nobody_is_left_out_for_good() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=0)
    order: list[str] = []
    now_s = time.monotonic()

    def take(name: str, due_s: float | None) -> None:
        with scheduler.device_turn(due_s):
            order.append(name)

    asked = {"a job": None, "later": now_s + 0.2, "now": now_s, "much later": now_s + PATIENCE_S + 3600}
    with scheduler.device_turn():
        threads = []
        for n, (name, due_s) in enumerate(asked.items()):
            threads.append(threading.Thread(target=take, args=(name, due_s)))
            threads[-1].start()
            wait_until(lambda n=n: len(scheduler._turns) > n)  # type: ignore[misc]
    for thread in threads:
        thread.join(5)
    assert order == ["now", "later", "a job", "much later"]


def test_a_long_step_passes_its_turn_to_who_is_due_earlier() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=0)
    order: list[str] = []

    def take(name: str, due_s: float | None) -> None:
        with scheduler.device_turn(due_s):
            order.append(name)

    with scheduler.device_turn():
        scheduler.pass_turn()  # nobody is there
        threads = [threading.Thread(target=take, args=asked) for asked in (("live", time.monotonic()), ("another job", None))]
        for n, thread in enumerate(threads):
            thread.start()
            wait_until(lambda n=n: len(scheduler._turns) > n)  # type: ignore[misc]
        scheduler.pass_turn()
        order.append("long")
    for thread in threads:
        thread.join(5)
    assert order == ["live", "long", "another job"]


def test_one_owner_leaves_room_for_the_others() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=4)
    started, release = threading.Event(), threading.Event()

    def hold(job: Job[int]) -> int:
        started.set()
        release.wait(10)
        return 0

    jobs = [scheduler.schedule(hold, "a") for _ in range(3)]
    assert started.wait(5)
    with pytest.raises(BusyError, match="3 jobs of yours"):
        scheduler.schedule(hold, "a")
    jobs += [scheduler.schedule(hold, "b") for _ in range(2)]
    release.set()
    assert [job.result(5) for job in jobs] == [0] * 5
    scheduler.close()


def test_close_cancels_what_does_not_end_by_itself() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=0)
    stepping = threading.Event()

    def endless(job: Job[int]) -> int:
        while True:
            stepping.set()
            job.report(Progress("animating"))

    job = scheduler.schedule(endless, "a")
    assert stepping.wait(5)
    scheduler.close(grace_s=0.05)
    assert job.state == "cancelled"


def test_a_finished_job_needs_no_scheduler() -> None:
    job = Job.finished(7, "a")
    assert (job.state, job.progress, job.result(0), job.wait(0)) == ("done", Progress("done"), 7, True)


def test_who_gives_way_lets_others_have_the_place_and_goes_on_after_them() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=4)
    started, others_wait = threading.Event(), threading.Event()
    order: list[str] = []

    def patient(job: Job[None]) -> None:
        started.set()
        others_wait.wait(10)
        job.give_way(lambda: False)
        order.append("patient")
        job.give_way(lambda: False)  # nobody waits: it goes on at once

    def other(job: Job[None]) -> None:
        assert scheduler.n_resting == 1
        order.append(job.owner)

    first = scheduler.schedule(patient, "a")
    assert started.wait(5)
    rest = [scheduler.schedule(other, owner) for owner in ("b", "c")]
    assert scheduler.stats()["running"] == 1
    others_wait.set()
    for job in (first, *rest):
        job.result(5)
    assert order == ["b", "c", "patient"]
    assert (scheduler.n_resting, scheduler.stats()["running"]) == (0, 0)
    scheduler.close()


def test_who_gave_way_goes_on_without_a_place_when_it_must() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=4)
    started, waits, release = threading.Event(), threading.Event(), threading.Event()

    def patient(job: Job[int]) -> int:
        started.set()
        waits.wait(10)
        job.give_way(release.is_set)
        return 1

    def long(job: Job[int]) -> int:
        release.set()
        assert first.result(5) == 1, "it did not wait for this one to end"
        return 2

    first = scheduler.schedule(patient, "a")
    assert started.wait(5)
    second = scheduler.schedule(long, "b")
    waits.set()
    assert second.result(10) == 2
    scheduler.close()


def test_who_gave_way_can_be_cancelled_and_does_not_outlive_the_scheduler() -> None:
    scheduler = Scheduler(max_jobs=1, max_queue=4)
    told = threading.Event()
    scheduler.stand_behind(lambda: True, told.set)  # somebody always waits in another queue

    def patient(job: Job[None]) -> None:
        job.give_way(lambda: False)

    for end in (Job.cancel, lambda job: scheduler.close(grace_s=0.05)):
        told.clear()
        job = scheduler.schedule(patient, "a")
        assert told.wait(5)
        end(job)
        with pytest.raises(Cancelled):
            job.result(5)
