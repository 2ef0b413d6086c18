"""PostgreSQL and Redis that go away for a while, and come back: nothing accepted is lost, and whoever asks is told."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.errors import BusyError, EngineUnavailable
from core.service.errors import TooMany
from core.service.job_inputs import JobInputs
from core.service.job_runner import Running
from core.service.job_store import Admission
from core.service.jobs import Jobs
from core.service.new_job import NewJob
from core.service.outputs import OutputFolder
from core.service.quotas import RateLimit
from core.service.topics import Topics
from tests.support.databases import PostgresServer, RedisServer
from tests.support.serving import wait_for

pytestmark = pytest.mark.slow

Work = Callable[[Running, Any], Mapping[str, Any]]


class Machine:
    """One process of one of several machines, over a shared database."""

    def __init__(self, folder: Path, url: str, work: Work) -> None:
        from core.service.shared.heartbeats import Heartbeats
        from core.service.shared.postgres import Postgres
        from core.service.shared.postgres_store import PostgresJobStore

        def inputs() -> Path:
            path = folder / "inputs"
            path.mkdir(exist_ok=True)
            return path

        self.database = Postgres(url, 4)
        self.heartbeats = Heartbeats(self.database)
        outputs = OutputFolder(folder / "outputs", 3600)
        outputs.prepare()
        self.jobs = Jobs(
            PostgresJobStore(self.database, outputs.root), Topics(None), JobInputs([inputs]), outputs, work, self.heartbeats,
            slots=1, admission=Admission(20, 20, 10**9), decoded_bytes=1000, ttl_s=3600,
        )  # fmt: skip
        self.jobs.start()

    def die(self) -> None:
        """As if its process were killed: its count stands still, and it takes nothing more."""
        self.heartbeats._ending.set()
        self.jobs._runner._closing = True


@pytest.fixture
def machine(tmp_path: Path, postgres: PostgresServer) -> Iterator[Callable[[Work], Machine]]:
    made: list[Machine] = []

    def make(work: Work) -> Machine:
        made.append(Machine(tmp_path, postgres.url, work))
        return made[-1]

    yield make
    for one in made:
        one.jobs.close(0.0, 0.5)


def new(n: int) -> NewJob[Any]:
    return NewJob("ada", "video", {"n": n}, {}, None, 0)


def done(jobs: Jobs, job_id: str) -> bool:
    try:
        return jobs.get(job_id, "ada").state == "done"
    except BusyError:
        return False


def test_a_database_that_is_away_ends_no_job(machine: Callable[[Work], Machine], postgres: PostgresServer) -> None:
    begun, gate = threading.Event(), threading.Event()

    def work(running: Running, decoded: Any) -> dict[str, Any]:
        begun.set()
        assert gate.wait(60)
        return {"avatar": f"number {running.record.request['n']}"}

    one = machine(work)
    accepted = [one.jobs.submit(new(n)).id for n in range(2)]
    assert begun.wait(10)
    postgres.stop(signal.SIGQUIT)
    gate.set()  # it ends while the database is away
    with pytest.raises(BusyError) as refused:
        one.jobs.submit(new(2))
    assert refused.value.code == "jobs_away"
    assert "does not answer" in one.jobs.problem
    postgres.start()
    wait_for(lambda: all(done(one.jobs, job_id) for job_id in accepted), 60)
    assert one.jobs.get(accepted[1], "ada").avatar == "number 1"
    assert one.jobs.problem == ""


def test_the_jobs_of_a_machine_that_died_run_on_another(machine: Callable[[Work], Machine]) -> None:
    gate, begun = threading.Event(), threading.Event()

    def hang(running: Running, decoded: Any) -> dict[str, Any]:
        begun.set()
        gate.wait(60)
        return {}

    first = machine(hang)
    job = first.jobs.submit(new(1))
    assert begun.wait(10)
    second = machine(lambda running, decoded: {"avatar": "of the second"})
    time.sleep(3)
    assert second.jobs.get(job.id, "ada").state == "running"  # it lives: nobody takes its job
    first.die()
    wait_for(lambda: done(second.jobs, job.id), 40)
    gate.set()
    assert second.jobs.get(job.id, "ada").avatar == "of the second"


def test_a_database_that_was_away_makes_nobody_dead(machine: Callable[[Work], Machine], postgres: PostgresServer) -> None:
    from core.service.shared import heartbeats

    first, second = machine(lambda running, decoded: {}), machine(lambda running, decoded: {})
    worker = first.jobs.worker
    assert not second.heartbeats.is_dead(worker)
    postgres.stop()
    time.sleep(heartbeats.DEAD_S + 1)
    postgres.start()
    assert not second.heartbeats.is_dead(worker)
    wait_for(lambda: second.heartbeats.is_dead(worker) is False)


def test_a_database_that_is_not_there_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.service.shared import postgres as module

    monkeypatch.setattr(module, "STARTED_S", 0.5)
    with pytest.raises(EngineUnavailable, match="database of jobs cannot be used") as refused:
        module.Postgres("postgresql://tests:hidden@127.0.0.1:9/none", 2)
    assert "hidden" not in str(refused.value)


def test_news_reach_other_machines_and_come_again_after_redis_was_away(redis_server: RedisServer) -> None:
    from core.service.shared.redis_news import RedisNews

    here, there = Topics(RedisNews(redis_server.url)), Topics(RedisNews(redis_server.url))
    heard = threading.Event()
    there.subscribe("job:a", heard.set)

    def told() -> bool:
        here.publish("job:a")
        return heard.wait(0.2)

    try:
        wait_for(told)
        redis_server.stop()
        heard.clear()
        here.publish("job:a")
        redis_server.start()
        wait_for(told)
    finally:
        here.close()
        there.close()


def has_room(limit: RateLimit) -> bool:
    try:
        limit.check("ada")
    except TooMany:
        return False
    return True


def test_a_redis_that_is_away_is_asked_once_by_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.service.shared import redis_rates

    monkeypatch.setattr(redis_rates, "AWAY_S", 60.0)
    rates = redis_rates.RedisRates("redis://127.0.0.1:9/0")
    asked: list[str] = []
    script = rates._script
    monkeypatch.setattr(rates, "_script", lambda **given: (asked.append("asked"), script(**given))[1])
    assert [rates.take("videos", "ada", 3, 1) for _ in range(3)] == [None] * 3
    assert len(asked) == 1
    rates.close()


def test_rates_count_over_all_machines_and_by_process_while_redis_is_away(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.service.shared import redis_rates

    monkeypatch.setattr(redis_rates, "AWAY_S", 0.1)
    rates = [redis_rates.RedisRates(redis_server.url) for _ in range(2)]
    here, there = (RateLimit(3, "videos", one) for one in rates)
    for limit in (here, there, here):
        limit.take("ada")
    with pytest.raises(TooMany) as refused:
        there.take("ada")
    assert 0 < refused.value.retry_after_s <= 20
    with pytest.raises(TooMany):
        here.check("ada")
    there.take("bob")
    redis_server.stop()
    for _ in range(3):
        there.take("ada")  # of this process alone
    with pytest.raises(TooMany):
        there.take("ada")
    redis_server.start()
    wait_for(lambda: has_room(there))  # a new Redis knows of nobody
    for one in rates:
        one.close()


def test_a_database_that_became_a_copy_is_one_that_is_away(postgres: PostgresServer) -> None:
    from core.service.shared.postgres import Postgres, Statements

    def writes(db: Statements) -> None:
        db.execute("SET TRANSACTION READ ONLY")
        db.execute("INSERT INTO workers (worker, beats) VALUES ('a', 0)")

    database = Postgres(postgres.url, 2)
    try:
        with pytest.raises(BusyError) as refused:
            database.run(writes, patient_s=0.3)
        assert refused.value.code == "jobs_away"
        assert database.problem == "The database of jobs does not answer."  # anybody is told it at /health
    finally:
        database.close()


def test_a_worker_counts_on_after_an_error_of_the_database(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.service.shared import heartbeats
    from core.service.shared.postgres import Postgres

    monkeypatch.setattr(heartbeats, "BEAT_S", 0.1)
    database = Postgres(postgres.url, 2)
    beats = heartbeats.Heartbeats(database)

    def counted() -> bool:
        return bool(database.run(lambda db: db.execute("SELECT count(*) FROM workers").fetchone())[0])

    try:
        beats.announce("a", 1)
        database.run(lambda db: db.execute("ALTER TABLE workers RENAME TO gone"))
        time.sleep(0.5)
        assert not beats.is_dead("b")
        database.run(lambda db: db.execute("ALTER TABLE gone RENAME TO workers"))
        database.run(lambda db: db.execute("DELETE FROM workers"))
        wait_for(counted)
    finally:
        beats.withdraw()
        database.close()


def test_a_process_that_stands_still_does_not_hold_up_the_others(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.service.shared import postgres as module

    monkeypatch.setattr(module, "IDLE_S", 1)
    still, other = module.Postgres(postgres.url, 1), module.Postgres(postgres.url, 1)
    go_on, locked = threading.Event(), threading.Event()

    def stands(db: module.Statements) -> None:
        locked.set()
        go_on.wait(30)

    def run() -> None:
        with contextlib.suppress(BusyError):
            still.run(stands, alone=True, patient_s=0.1)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert locked.wait(10)
        other.run(lambda db: db.execute("DELETE FROM workers"), alone=True, patient_s=20)
        assert not go_on.is_set()
    finally:
        go_on.set()
        thread.join()
        still.close()
        other.close()
