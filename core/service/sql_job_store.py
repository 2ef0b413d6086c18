"""The job store as statements of SQL, for any database that knows transactions: what is common to the embedded and the shared one."""

from __future__ import annotations

import abc
import dataclasses
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from core.errors import BusyError
from core.service.errors import KeyReused
from core.service.job_store import ATTEMPTS_IN_PLACE, Admission, JobKind, JobRecord, JobState, Totals

T = TypeVar("T")
NAMES = tuple(field.name for field in dataclasses.fields(JobRecord))
INSERT = f"INTO jobs ({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))})"  # noqa: S608 - names of our own
INDEXES = """
CREATE UNIQUE INDEX IF NOT EXISTS by_key ON jobs (owner, idempotency_key) WHERE idempotency_key != '';
CREATE INDEX IF NOT EXISTS by_state ON jobs (state, number);
CREATE INDEX IF NOT EXISTS by_owner ON jobs (owner, number);
"""
_JSON = ("request", "result", "error")
_BOOLEAN = ("kept", "cancel_requested")
_BACK = "UPDATE jobs SET state = 'queued', stage = 'queued', worker = '', done = 0, total = 0, animating_s = 0, result = 'null'"
_UNENDED = "state IN ('queued', 'running')"
_WITH_TURNS = """jobs JOIN (
    SELECT waiting.owner AS of_owner, count(CASE WHEN other.state = 'running' THEN 1 END) AS running,
        count(CASE WHEN other.started_s > waiting.since_s THEN 1 END) AS overtook
    FROM (SELECT owner, min(created_s) AS since_s FROM jobs WHERE state = 'queued' GROUP BY owner) AS waiting
    JOIN jobs AS other ON other.owner = waiting.owner GROUP BY waiting.owner
) AS turns ON turns.of_owner = jobs.owner"""
"""Jobs, with how many of their owner's run and have been started since one of them waits: counted once for each owner."""


class Rows(Protocol):
    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Database(Protocol):
    """Within a transaction. "?" stands for a value."""

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows: ...

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> object: ...


def table(number_type: str, real_type: str, integer_type: str) -> str:
    """The statement that makes the table of jobs; `number` counts them in the order in which they came."""
    types = {"str": "TEXT", "int": integer_type, "bool": integer_type, "float": real_type}
    columns = ", ".join(f"{field.name} {types.get(str(field.type), 'TEXT')}" for field in dataclasses.fields(JobRecord))
    return f"CREATE TABLE IF NOT EXISTS jobs (number {number_type}, {columns}, UNIQUE (id));"


class SqlJobStore(abc.ABC):
    """`JobStore`, but for where the database is. One transaction is made at a time, in all processes that share the database.

    A transaction may be made again after its answer was lost: each of them then does what it did, and no more.
    """

    @abc.abstractmethod
    def _read(self, work: Callable[[Database], T], *, at_once: bool = False) -> T:
        """What `work` finds, which changes nothing. at_once: a database that is away is hardly waited for."""

    @abc.abstractmethod
    def _transaction(self, work: Callable[[Database], T], *, patiently: bool = False) -> T:
        """patiently: what is told cannot be told again by anybody; a database that is away is waited for longer."""

    def add(self, record: JobRecord, admission: Admission) -> JobRecord:
        def work(db: Database) -> JobRecord:
            known = _one(db, "id = ?", record.id)
            if known is not None:  # recorded, and the answer was lost
                return known
            if record.idempotency_key:
                same = _one(db, "owner = ? AND idempotency_key = ?", record.owner, record.idempotency_key)
                if same is not None and same.fingerprint != record.fingerprint:
                    raise KeyReused(
                        "This idempotency key was used for another request.", "Choose a new one for each request.", code="key_reused"
                    )
                if same is not None:
                    return same
            elif not record.ended:
                where = f"owner = ? AND kind = ? AND fingerprint = ? AND {_UNENDED} AND cancel_requested = 0 AND pinned_to = ''"
                same = _one(db, where, record.owner, record.kind, record.fingerprint) if record.kind != "stream" else None
                if same is not None:
                    db.execute("UPDATE jobs SET kept = 1 WHERE id = ?", (same.id,))
                    return dataclasses.replace(same, kept=True)
            if not record.ended:
                _check_room(db, record.owner, admission, record.input_bytes)
            db.execute(f"INSERT {INSERT}", _row(record))
            return record

        return self._transaction(work)

    def check_room(self, owner: str, admission: Admission, input_bytes: int = 0) -> None:
        self._read(lambda db: _check_room(db, owner, admission, input_bytes))

    def get(self, job_id: str) -> JobRecord | None:
        return self._read(lambda db: _one(db, "id = ?", job_id))

    def find(self, owner: str | None = None, states: Collection[JobState] = (), kinds: Collection[JobKind] = ()) -> list[JobRecord]:
        where, values = ["1 = 1"], list[Any]()
        for column, wanted in (("owner", () if owner is None else (owner,)), ("state", states), ("kind", kinds)):
            if wanted:
                where.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                values += wanted
        return self._read(lambda db: _records(db, f"{' AND '.join(where)} ORDER BY number DESC", *values))

    def position(self, job_id: str) -> int:
        before = (
            "SELECT count(*) FROM jobs CROSS JOIN (SELECT number AS own FROM jobs WHERE id = ? AND state = 'queued') AS itself"
            " WHERE state = 'queued' AND number <= own"
        )
        return int(self._read(lambda db: db.execute(before, (job_id,)).fetchone()[0]))

    def waiting(self) -> list[str]:
        those = "SELECT id FROM jobs WHERE state = 'queued' AND pinned_to = ''"
        return [job_id for (job_id,) in self._read(lambda db: db.execute(those).fetchall(), at_once=True)]

    def claim(self, worker: str, now_s: float) -> JobRecord | None:
        def work(db: Database) -> JobRecord | None:
            record = self._next(db, worker, now_s)
            if record is None:
                return None
            db.execute(
                "UPDATE jobs SET state = 'running', worker = ?, attempts = attempts + 1, started_s = ?, updated_s = ? WHERE id = ?",
                (worker, now_s, now_s, record.id),
            )
            return _one(db, "id = ?", record.id)

        if self._read(lambda db: self._next(db, worker, now_s)) is None:  # a look is cheap, a transaction keeps others waiting
            return None
        return self._transaction(work)

    def _next(self, db: Database, worker: str, now_s: float) -> JobRecord | None:
        """The job that is next for a worker, still queued."""
        return next(iter(self._first(db, worker, 1)), None)

    @staticmethod
    def _first(db: Database, worker: str, number: int) -> list[JobRecord]:
        """Those of its queue that come first: owners take turns, and each one's jobs come in the order in which they were asked for."""
        order = f"ORDER BY running, attempts / {ATTEMPTS_IN_PLACE}, overtook, number LIMIT ?"
        return _records(db, f"state = 'queued' AND pinned_to IN ('', ?) {order}", worker, number, source=_WITH_TURNS)

    def progress(self, job_id: str, stage: str, done: int, total: int, animating_s: float, now_s: float) -> None:
        values = (stage, done, total, animating_s, now_s, job_id)
        change = "UPDATE jobs SET stage = ?, done = ?, total = ?, animating_s = ?, updated_s = ? WHERE id = ? AND state = 'running'"
        self._transaction(lambda db: db.execute(change, values))

    def note_running(self, job_id: str, result: Mapping[str, Any]) -> None:
        change = "UPDATE jobs SET result = ? WHERE id = ? AND state = 'running'"
        self._transaction(lambda db: db.execute(change, (json.dumps(result), job_id)))

    def finish(
        self, job_id: str, state: JobState, now_s: float, result: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None,
        attempt: int | None = None,
    ) -> bool:  # fmt: skip
        values = (state, now_s, now_s, json.dumps(result), json.dumps(error), job_id)
        change = f"UPDATE jobs SET state = ?, ended_s = ?, updated_s = ?, result = ?, error = ? WHERE id = ? AND {_UNENDED}"  # noqa: S608

        def work(db: Database) -> bool:
            record = _one(db, "id = ?", job_id)
            if record is not None and attempt is not None and record.attempts != attempt:
                return False
            db.execute(change, values)
            return True

        return self._transaction(work, patiently=True)

    def cancel(self, job_id: str, now_s: float) -> JobState | None:
        def work(db: Database) -> JobState | None:
            db.execute("UPDATE jobs SET state = 'cancelled', ended_s = ? WHERE id = ? AND state = 'queued'", (now_s, job_id))
            db.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND state = 'running'", (job_id,))
            record = _one(db, "id = ?", job_id)
            return None if record is None else record.state

        return self._transaction(work)

    def note(self, job_id: str, notes: Mapping[str, Any], now_s: float) -> None:
        def work(db: Database) -> None:
            record = _one(db, "id = ? AND state = 'done'", job_id)
            if record is not None:
                result = json.dumps({**(record.result or {}), **notes})
                db.execute("UPDATE jobs SET result = ?, updated_s = ? WHERE id = ?", (result, now_s, job_id))

        self._transaction(work)

    def keep(self, job_id: str) -> None:
        self._transaction(lambda db: db.execute("UPDATE jobs SET kept = 1 WHERE id = ?", (job_id,)))

    def requeue(self, worker: str) -> list[JobRecord]:
        def work(db: Database) -> list[JobRecord]:
            back = _records(db, f"(worker = ? AND state = 'running') OR (pinned_to = ? AND {_UNENDED})", worker, worker)
            db.executemany(f"{_BACK}, pinned_to = '' WHERE id = ?", [(record.id,) for record in back])
            return [dataclasses.replace(record, state="queued", worker="", pinned_to="") for record in back]

        return self._transaction(work)

    def put_back_lost(self, worker: str, running: Collection[str]) -> list[JobRecord]:
        def work(db: Database) -> list[JobRecord]:
            lost = [one for one in _records(db, "worker = ? AND state = 'running'", worker) if one.id not in running]
            db.executemany(f"{_BACK} WHERE id = ?", [(record.id,) for record in lost])
            return lost

        return self._transaction(work)

    def workers(self) -> set[str]:
        busy = f"SELECT worker FROM jobs WHERE state = 'running' UNION SELECT pinned_to FROM jobs WHERE {_UNENDED}"  # noqa: S608
        return {name for (name,) in self._read(lambda db: db.execute(busy).fetchall()) if name}

    def remove(self, job_ids: Collection[str]) -> None:
        self._transaction(lambda db: db.executemany("DELETE FROM jobs WHERE id = ?", [(job_id,) for job_id in job_ids]))

    def totals(self) -> Totals:
        return self._read(_totals, at_once=True)


def _check_room(db: Database, owner: str, admission: Admission, input_bytes: int) -> None:
    totals = _totals(db)
    own = db.execute(f"SELECT count(*) FROM jobs WHERE owner = ? AND {_UNENDED}", (owner,)).fetchone()[0]  # noqa: S608
    if totals.queued + totals.running >= admission.max_unended:
        raise BusyError(
            f"Busy: {totals.queued} jobs are waiting already.", "Try again in a minute.", code="busy", parameters={"waiting": totals.queued}
        )
    if own >= admission.owner_max:
        raise BusyError(
            f"Busy: {own} jobs of yours are under way already.", "Wait until one of them is done.",
            code="owner_busy", parameters={"own": own},
        )  # fmt: skip
    if totals.input_bytes and totals.input_bytes + input_bytes > admission.max_bytes:
        waiting = f"{totals.input_bytes / 2**20:.0f} MiB"
        raise BusyError(
            f"Busy: the jobs under way hold {waiting} of recordings and photos.", "Try again in a minute.",
            code="busy_bytes", parameters={"mib": round(totals.input_bytes / 2**20)},
        )  # fmt: skip


def _totals(db: Database) -> Totals:
    sums = "count(CASE WHEN state = 'queued' THEN 1 END), count(CASE WHEN state = 'running' THEN 1 END), coalesce(sum(input_bytes), 0)"
    queued, running, nbytes = db.execute(f"SELECT {sums} FROM jobs WHERE {_UNENDED}").fetchone()  # noqa: S608
    return Totals(queued, running, int(nbytes))


def _one(db: Database, where: str, *values: Any) -> JobRecord | None:
    return next(iter(_records(db, where, *values)), None)


def _records(db: Database, where: str, *values: Any, source: str = "jobs") -> list[JobRecord]:
    rows = db.execute(f"SELECT {', '.join(NAMES)} FROM {source} WHERE {where}", values).fetchall()  # noqa: S608 - all conditions are ours
    return [_record(row) for row in rows]


def _record(row: tuple[Any, ...]) -> JobRecord:
    values = dict(zip(NAMES, row, strict=True))
    for name in _JSON:
        values[name] = json.loads(values[name])
    for name in _BOOLEAN:
        values[name] = bool(values[name])
    return JobRecord(**values)


def _row(record: JobRecord) -> tuple[Any, ...]:
    values = {name: getattr(record, name) for name in NAMES}
    for name in _JSON:
        values[name] = json.dumps(None if values[name] is None else dict(values[name]))
    for name in _BOOLEAN:
        values[name] = int(values[name])
    return tuple(values[name] for name in NAMES)
