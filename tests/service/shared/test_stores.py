"""What a job store does, wherever its records are: in a file, or (slow) in a real PostgreSQL database."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.errors import BusyError
from core.service.errors import KeyReused
from core.service.job_store import Admission, JobRecord, Totals
from core.service.sql_job_store import SqlJobStore
from core.service.sqlite_store import SqliteJobStore
from tests.support.databases import PostgresServer

MANY = Admission(100, 100, 10**9)


def record(name: str, owner: str = "ada", **values: object) -> JobRecord:
    return dataclasses.replace(JobRecord(name, owner, "video", {"n": name}, fingerprint=name, created_s=1.0), **values)  # type: ignore[arg-type]


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.slow)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], SqlJobStore]]:
    """Opens the same store once more, as another process would."""
    stores: list[SqlJobStore] = []

    def in_file() -> SqlJobStore:
        return SqliteJobStore(lambda: tmp_path)

    def in_database() -> SqlJobStore:
        from core.service.shared.postgres import Postgres
        from core.service.shared.postgres_store import PostgresJobStore

        return PostgresJobStore(Postgres(server.url, 2), tmp_path)

    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
    make = in_file if request.param == "file" else in_database

    def open_one() -> SqlJobStore:
        stores.append(make())
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()  # type: ignore[attr-defined]


@pytest.fixture
def store(opened: Callable[[], SqlJobStore]) -> SqlJobStore:
    return opened()


@pytest.fixture
def other(opened: Callable[[], SqlJobStore], store: SqlJobStore) -> SqlJobStore:
    return opened()


def test_another_process_sees_every_record(store: SqlJobStore, other: SqlJobStore) -> None:
    store.add(record("a", input_bytes=7, request={"options": {"seed": 1}, "client_state": {"x": "ä"}}), MANY)
    assert other.get("a") == store.get("a")
    claimed = other.claim("worker", 2.0)
    assert claimed is not None
    assert (claimed.state, claimed.worker, claimed.attempts) == ("running", "worker", 1)
    assert store.claim("another", 2.0) is None
    other.progress("a", "animating", 5, 75, 2.5, 3.0)
    other.finish("a", "done", 4.0, result={"info": {"frames": 75}})
    done = store.get("a")
    assert done is not None
    assert (done.state, done.done, done.total, done.ended_s, done.result) == ("done", 5, 75, 4.0, {"info": {"frames": 75}})


def test_owners_take_turns_and_each_keeps_its_order(store: SqlJobStore) -> None:
    for name, owner in (("a1", "ada"), ("a2", "ada"), ("a3", "ada"), ("b1", "bob")):
        store.add(record(name, owner), MANY)
    assert [store.position(name) for name in ("a1", "a2", "a3", "b1")] == [1, 2, 3, 4]
    claimed = [store.claim("w", 2.0) for _ in range(4)]
    assert [job.id for job in claimed if job is not None] == ["a1", "b1", "a2", "a3"]
    assert store.position("a1") == 0


def test_a_job_is_not_overtaken_by_later_ones_of_its_owner(store: SqlJobStore) -> None:
    for name, created_s in (("a1", 1.0), ("a2", 2.0)):
        store.add(record(name, created_s=created_s), MANY)
    claimed = []
    for now_s in (3.0, 5.0, 7.0):
        job = store.claim("w", now_s)
        assert job is not None
        claimed.append(job.id)
        store.finish(job.id, "done", now_s + 1.0)
        store.add(record(f"a{len(claimed) + 2}", created_s=now_s + 1.0), MANY)
    assert claimed == ["a1", "a2", "a3"]


def test_a_job_whose_process_dies_again_and_again_lets_others_go_first(store: SqlJobStore) -> None:
    for name in ("a", "b"):
        store.add(record(name), MANY)
    begun = []
    for n in range(5):
        job = store.claim(f"w{n}", 2.0)
        assert job is not None
        begun.append(job.id)
        store.requeue(f"w{n}")
    assert begun == ["a", "a", "a", "b", "b"]


def test_owners_take_turns_one_job_after_the_other(store: SqlJobStore) -> None:
    for name, owner in (("a1", "ada"), ("a2", "ada"), ("b1", "bob"), ("a3", "ada"), ("b2", "bob")):
        store.add(record(name, owner), MANY)
    claimed = []
    for now_s in (2.0, 3.0, 4.0, 5.0, 6.0):
        job = store.claim("w", now_s)
        assert job is not None
        claimed.append(job.id)
        store.finish(job.id, "done", now_s + 0.5)
    assert claimed == ["a1", "b1", "a2", "b2", "a3"]


def test_a_pinned_job_runs_on_its_worker_only_until_that_is_gone(store: SqlJobStore) -> None:
    store.add(record("s", kind="stream", pinned_to="w1"), MANY)
    assert store.claim("w2", 2.0) is None
    assert store.workers() == {"w1"}
    assert [job.id for job in store.requeue("w1")] == ["s"]
    assert store.claim("w2", 3.0) is not None


def test_room_is_counted_in_jobs_and_in_bytes(store: SqlJobStore) -> None:
    with pytest.raises(BusyError, match="0 jobs are waiting"):
        store.add(record("a"), Admission(0, 5, 100))
    store.add(record("a", input_bytes=200), Admission(3, 2, 100))  # one alone is always taken
    for problem, job in (("MiB", record("b", "bob", input_bytes=1)),):
        with pytest.raises(BusyError, match=problem):
            store.add(job, Admission(3, 2, 100))
    store.add(record("b"), Admission(3, 2, 1000))
    with pytest.raises(BusyError, match="2 jobs of yours"):
        store.check_room("ada", Admission(3, 2, 1000))
    store.check_room("bob", Admission(3, 2, 1000))
    assert store.totals() == Totals(2, 0, 200)
    store.finish("a", "done", 2.0)
    assert store.totals() == Totals(1, 0, 0)


def test_the_same_request_under_way_is_one_job(store: SqlJobStore) -> None:
    first = store.add(record("a", kept=False), MANY)
    same = store.add(record("b", fingerprint="a"), MANY)
    assert (same.id, same.kept, first.kept) == ("a", True, False)
    assert store.add(record("c", "bob", fingerprint="a"), MANY).id == "c"  # another owner's is another job
    store.finish("a", "done", 2.0)
    assert store.add(record("d", fingerprint="a"), MANY).id == "d"


def test_an_idempotency_key_stands_for_one_request(store: SqlJobStore) -> None:
    store.add(record("a", idempotency_key="k"), MANY)
    store.finish("a", "done", 2.0)
    assert store.add(record("b", fingerprint="a", idempotency_key="k"), MANY).id == "a"
    with pytest.raises(KeyReused):
        store.add(record("c", idempotency_key="k"), MANY)
    assert store.add(record("d", "bob", idempotency_key="k"), MANY).id == "d"


def test_cancelling_ends_what_waits_and_asks_what_runs(store: SqlJobStore) -> None:
    for name in ("a", "b"):
        store.add(record(name), MANY)
    store.claim("w", 2.0)
    assert store.cancel("b", 3.0) == "cancelled"
    assert store.cancel("a", 3.0) == "running"
    running = store.get("a")
    assert running is not None
    assert running.cancel_requested
    store.finish("a", "cancelled", 4.0)
    store.finish("a", "done", 5.0)  # what has ended stays as it ended
    ended = store.get("a")
    assert ended is not None
    assert ended.state == "cancelled"
    assert store.cancel("nobody's", 1.0) is None


def test_what_was_recorded_and_not_answered_is_recorded_once(store: SqlJobStore) -> None:
    sent = record("a", idempotency_key="k")
    assert store.add(sent, MANY) == store.add(sent, MANY)
    assert len(store.find()) == 1


def test_a_job_that_its_worker_does_not_know_of_goes_back_to_the_queue(store: SqlJobStore) -> None:
    """Its beginning was recorded, and the answer lost."""
    for name in ("a", "b"):
        store.add(record(name), MANY)
        store.claim("w", 2.0)
    store.add(record("s", kind="stream", pinned_to="w"), MANY)
    assert [job.id for job in store.put_back_lost("w", {"b"})] == ["a"]
    states = {job.id: (job.state, job.pinned_to) for job in store.find()}
    assert states == {"a": ("queued", ""), "b": ("running", ""), "s": ("queued", "w")}


@pytest.mark.slow
def test_a_job_is_left_for_a_moment_to_the_worker_that_has_its_avatar(postgres: PostgresServer, tmp_path: Path) -> None:
    from core.service.shared.heartbeats import Heartbeats
    from core.service.shared.postgres import Postgres
    from core.service.shared.postgres_store import LEFT_S, PostgresJobStore

    database = Postgres(postgres.url, 2)
    store, beats = PostgresJobStore(database, tmp_path), Heartbeats(database)

    def video(name: str, avatar: str) -> JobRecord:
        return record(name, request={"n": name, "avatar": avatar}, created_s=10.0)

    def claimed(worker: str, now_s: float) -> str:
        job = store.claim(worker, now_s)
        return "" if job is None else job.id

    try:
        beats.announce("holder", 1)
        store.add(record("made", kind="avatar"), MANY)
        assert claimed("holder", 2.0) == "made"
        store.finish("made", "done", 3.0, result={"avatar": "token-of-ada"})
        store.add(video("first", "token-of-ada"), MANY)
        store.add(video("second", "token-of-nobody"), MANY)
        assert claimed("other", 10.5) == "second"
        assert claimed("other", 10.5) == ""
        assert claimed("holder", 10.5) == "first"
        store.add(video("third", "token-of-ada"), MANY)
        assert claimed("other", 10.5) == "third"  # the holder is busy
        store.finish("first", "done", 11.0)
        store.add(video("fourth", "token-of-ada"), MANY)
        store.requeue("other")
        store.finish("third", "done", 11.0)
        assert claimed("another", 10.0 + LEFT_S) == "second"  # it waited long enough
        assert claimed("another", 9.0) == "fourth"  # so does one whose clock is another
    finally:
        beats.withdraw()
        store.close()
