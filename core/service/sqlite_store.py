"""The embedded job store: one SQLite file that all processes of a machine share.

A committed record survives the end of every process at any moment (write-ahead log). Where the file cannot be used (a full or read-only
disk), records live in memory until it can be used again; `problem` says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from core.errors import BusyError, OutputError
from core.service.errors import KeyReused
from core.service.job_store import ATTEMPTS_IN_PLACE, Admission, JobKind, JobRecord, JobState, Totals

logger = logging.getLogger(__name__)

T = TypeVar("T")
FILE_NAME = "jobs.sqlite3"
VERSION = 1
"""Of the table; a file of another version is put aside, since its records cannot be read."""
LOCKED_S = 10.0
"""How long a transaction waits for those of other processes."""
RETRY_S = 5.0
"""How often a file that could not be used is tried again."""
_JSON = ("request", "result", "error")
_BOOLEAN = ("kept", "cancel_requested")
_NAMES = tuple(field.name for field in dataclasses.fields(JobRecord))
_TYPES = {"str": "TEXT", "int": "INTEGER", "bool": "INTEGER", "float": "REAL"}
_COLUMNS = ", ".join(f"{field.name} {_TYPES.get(str(field.type), 'TEXT')}" for field in dataclasses.fields(JobRecord))
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS jobs (number INTEGER PRIMARY KEY AUTOINCREMENT, {_COLUMNS}, UNIQUE (id));
CREATE UNIQUE INDEX IF NOT EXISTS by_key ON jobs (owner, idempotency_key) WHERE idempotency_key != '';
CREATE INDEX IF NOT EXISTS by_state ON jobs (state, number);
CREATE INDEX IF NOT EXISTS by_owner ON jobs (owner, number);
"""
_INSERT = f"INTO jobs ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608 - names of our own
_UNENDED = "state IN ('queued', 'running')"


class SqliteJobStore:
    """folder: gives the private folder of the file, making it where needed; raises OutputError where it cannot be used."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._connection = _opened(":memory:")
        self._file: tuple[Path, int] | None = None
        """Path and inode of the file behind the connection, None while records live in memory."""
        self._tried_s = float("-inf")
        self._problem = ""
        with self._lock:
            self._find_file()

    @property
    def problem(self) -> str:
        return self._problem

    def add(self, record: JobRecord, admission: Admission) -> JobRecord:
        def work(db: sqlite3.Connection) -> JobRecord:
            if record.idempotency_key:
                same = _one(db, "owner = ? AND idempotency_key = ?", record.owner, record.idempotency_key)
                if same is not None and same.fingerprint != record.fingerprint:
                    raise KeyReused(
                        "This idempotency key was used for another request.", "Choose a new one for each request.", code="key_reused"
                    )
                if same is not None:
                    return same
            elif not record.ended:
                where = f"owner = ? AND kind = ? AND fingerprint = ? AND {_UNENDED} AND NOT cancel_requested AND pinned_to = ''"
                same = _one(db, where, record.owner, record.kind, record.fingerprint) if not record.pinned_to else None
                if same is not None:
                    db.execute("UPDATE jobs SET kept = 1 WHERE id = ?", (same.id,))
                    return dataclasses.replace(same, kept=True)
            if not record.ended:
                _check_room(db, record.owner, admission, record.input_bytes)
            db.execute(f"INSERT {_INSERT}", _row(record))
            return record

        return self._transaction(work)

    def check_room(self, owner: str, admission: Admission, input_bytes: int = 0) -> None:
        self._read(lambda db: _check_room(db, owner, admission, input_bytes))

    def get(self, job_id: str) -> JobRecord | None:
        return self._read(lambda db: _one(db, "id = ?", job_id))

    def find(self, owner: str | None = None, states: Collection[JobState] = (), kinds: Collection[JobKind] = ()) -> list[JobRecord]:
        where, values = ["1"], list[Any]()
        for column, wanted in (("owner", () if owner is None else (owner,)), ("state", states), ("kind", kinds)):
            if wanted:
                where.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                values += wanted
        return self._read(lambda db: _records(db, f"{' AND '.join(where)} ORDER BY number DESC", *values))

    def position(self, job_id: str) -> int:
        before = (
            "SELECT count(*) FROM jobs JOIN (SELECT number AS own FROM jobs WHERE id = ? AND state = 'queued')"
            " WHERE state = 'queued' AND number <= own"
        )
        return int(self._read(lambda db: db.execute(before, (job_id,)).fetchone()[0]))

    def claim(self, worker: str, now_s: float) -> JobRecord | None:
        running = "(SELECT count(*) FROM jobs AS other WHERE other.owner = jobs.owner AND other.state = 'running')"
        overtook = "(SELECT count(*) FROM jobs AS other WHERE other.owner = jobs.owner AND other.started_s > jobs.created_s)"
        given_up = f"attempts / {ATTEMPTS_IN_PLACE}"
        next_one = f"state = 'queued' AND pinned_to IN ('', ?) ORDER BY {running}, {given_up}, {overtook}, number LIMIT 1"

        def work(db: sqlite3.Connection) -> JobRecord | None:
            record = _one(db, next_one, worker)
            if record is None:
                return None
            db.execute(
                "UPDATE jobs SET state = 'running', worker = ?, attempts = attempts + 1, started_s = ?, updated_s = ? WHERE id = ?",
                (worker, now_s, now_s, record.id),
            )
            return _one(db, "id = ?", record.id)

        if self._read(lambda db: _one(db, next_one, worker)) is None:  # a look is cheap, a transaction keeps others waiting
            return None
        return self._transaction(work)

    def progress(self, job_id: str, stage: str, done: int, total: int, animating_s: float, now_s: float) -> None:
        values = (stage, done, total, animating_s, now_s, job_id)
        change = "UPDATE jobs SET stage = ?, done = ?, total = ?, animating_s = ?, updated_s = ? WHERE id = ? AND state = 'running'"
        self._transaction(lambda db: db.execute(change, values))

    def finish(
        self, job_id: str, state: JobState, now_s: float, result: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None
    ) -> None:
        values = (state, now_s, now_s, json.dumps(result), json.dumps(error), job_id)
        change = f"UPDATE jobs SET state = ?, ended_s = ?, updated_s = ?, result = ?, error = ? WHERE id = ? AND {_UNENDED}"  # noqa: S608
        self._transaction(lambda db: db.execute(change, values))

    def cancel(self, job_id: str, now_s: float) -> JobState | None:
        def work(db: sqlite3.Connection) -> JobState | None:
            db.execute("UPDATE jobs SET state = 'cancelled', ended_s = ? WHERE id = ? AND state = 'queued'", (now_s, job_id))
            db.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND state = 'running'", (job_id,))
            record = _one(db, "id = ?", job_id)
            return None if record is None else record.state

        return self._transaction(work)

    def note(self, job_id: str, notes: Mapping[str, Any], now_s: float) -> None:
        def work(db: sqlite3.Connection) -> None:
            record = _one(db, "id = ? AND state = 'done'", job_id)
            if record is not None:
                result = json.dumps({**(record.result or {}), **notes})
                db.execute("UPDATE jobs SET result = ?, updated_s = ? WHERE id = ?", (result, now_s, job_id))

        self._transaction(work)

    def keep(self, job_id: str) -> None:
        self._transaction(lambda db: db.execute("UPDATE jobs SET kept = 1 WHERE id = ?", (job_id,)))

    def requeue(self, worker: str) -> list[JobRecord]:
        def work(db: sqlite3.Connection) -> list[JobRecord]:
            back = _records(db, f"(worker = ? AND state = 'running') OR (pinned_to = ? AND {_UNENDED})", worker, worker)
            change = "UPDATE jobs SET state = 'queued', stage = 'queued', worker = '', pinned_to = '', done = 0, total = 0, animating_s = 0"
            db.executemany(f"{change} WHERE id = ?", [(record.id,) for record in back])
            return [dataclasses.replace(record, state="queued", worker="", pinned_to="") for record in back]

        return self._transaction(work)

    def workers(self) -> set[str]:
        busy = f"SELECT worker FROM jobs WHERE state = 'running' UNION SELECT pinned_to FROM jobs WHERE {_UNENDED}"  # noqa: S608
        return {name for (name,) in self._read(lambda db: db.execute(busy).fetchall()) if name}

    def remove(self, job_ids: Collection[str]) -> None:
        self._transaction(lambda db: db.executemany("DELETE FROM jobs WHERE id = ?", [(job_id,) for job_id in job_ids]))

    def totals(self) -> Totals:
        return self._read(_totals)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # ---- the file

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            self._find_file()
            try:
                return work(self._connection)
            except sqlite3.Error as error:
                self._use_memory(error)
                return work(self._connection)

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            self._find_file()
            try:
                with _immediate(self._connection):
                    return work(self._connection)
            except sqlite3.Error as error:
                self._use_memory(error)
                with _immediate(self._connection):
                    return work(self._connection)

    def _find_file(self) -> None:
        """Opens the file where that was not done, or where another one lies in its place now. What is known moves along."""
        if self._file is not None and _inode(self._file[0]) == self._file[1]:
            self._problem = ""  # it may have been away for a while, and be back
            return
        if time.monotonic() - self._tried_s < RETRY_S:
            return
        self._tried_s = time.monotonic()
        try:
            path = self._folder() / FILE_NAME
            connection = _opened_file(path)
            _copy(self._connection, connection)
        except (OSError, OutputError, sqlite3.Error) as error:
            self._say(error)
            return
        self._connection.close()
        self._connection, self._file, self._problem = connection, (path, _inode(path)), ""

    def _use_memory(self, error: sqlite3.Error) -> None:
        """From now on, until the file can be used again."""
        if self._file is None:
            raise error
        memory = _opened(":memory:")
        with contextlib.suppress(sqlite3.Error):
            _copy(self._connection, memory)
        self._connection.close()
        self._connection, self._file, self._tried_s = memory, None, time.monotonic()
        self._say(error)

    def _say(self, error: Exception) -> None:
        problem = f"Jobs do not outlive a restart now: {str(error).rstrip('.')}."
        if problem != self._problem:
            logger.warning("%s", problem)
        self._problem = problem


def _opened(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LOCKED_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _opened_file(path: Path) -> sqlite3.Connection:
    """A file that is damaged, or of another version, is put aside."""
    if path.exists() and not _is_ours(path):
        aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
        logger.warning("%s cannot be read; it is put aside as %s", path, aside.name)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    connection = _opened(str(path))
    path.chmod(0o600)
    return connection


def _is_ours(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=LOCKED_S)) as connection:
            return bool(connection.execute("PRAGMA user_version").fetchone()[0] in (0, VERSION))
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, full or read-only: no damage
            raise
        return False


def _inode(path: Path) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return -1


@contextlib.contextmanager
def _immediate(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _copy(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """All records that the target does not have, or has in an older state."""
    rows = source.execute(f"SELECT {', '.join(_NAMES)} FROM jobs ORDER BY number").fetchall()  # noqa: S608
    with _immediate(target):
        for row in rows:
            known = target.execute("SELECT updated_s FROM jobs WHERE id = ?", (row[_NAMES.index("id")],)).fetchone()
            if known is None:
                target.execute(f"INSERT OR IGNORE {_INSERT}", row)
            elif known[0] < row[_NAMES.index("updated_s")]:
                changes = ", ".join(f"{name} = ?" for name in _NAMES)
                target.execute(f"UPDATE jobs SET {changes} WHERE id = ?", (*row, row[_NAMES.index("id")]))  # noqa: S608


def _check_room(db: sqlite3.Connection, owner: str, admission: Admission, input_bytes: int) -> None:
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


def _totals(db: sqlite3.Connection) -> Totals:
    sums = "coalesce(sum(state = 'queued'), 0), coalesce(sum(state = 'running'), 0), coalesce(sum(input_bytes), 0)"
    queued, running, nbytes = db.execute(f"SELECT {sums} FROM jobs WHERE {_UNENDED}").fetchone()  # noqa: S608
    return Totals(queued, running, nbytes)


def _one(db: sqlite3.Connection, where: str, *values: Any) -> JobRecord | None:
    return next(iter(_records(db, where, *values)), None)


def _records(db: sqlite3.Connection, where: str, *values: Any) -> list[JobRecord]:
    rows = db.execute(f"SELECT {', '.join(_NAMES)} FROM jobs WHERE {where}", values).fetchall()  # noqa: S608 - all conditions are ours
    return [_record(row) for row in rows]


def _record(row: tuple[Any, ...]) -> JobRecord:
    values = dict(zip(_NAMES, row, strict=True))
    for name in _JSON:
        values[name] = json.loads(values[name])
    for name in _BOOLEAN:
        values[name] = bool(values[name])
    return JobRecord(**values)


def _row(record: JobRecord) -> tuple[Any, ...]:
    values = {name: getattr(record, name) for name in _NAMES}
    for name in _JSON:
        values[name] = json.dumps(None if values[name] is None else dict(values[name]))
    return tuple(values[name] for name in _NAMES)
