"""The job store that the processes of several machines share: the same statements as the embedded one, in PostgreSQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from core.errors import BusyError
from core.service.job_store import Admission, JobKind, JobRecord, JobState
from core.service.shared.heartbeats import DEAD_S
from core.service.shared.postgres import PATIENT_S, Postgres
from core.service.sql_job_store import Database, SqlJobStore

T = TypeVar("T")
AT_ONCE_S = 0.5
LOOKED_AT, LEFT_S = 8, 1.0
"""Jobs at the head of the queue of which a worker takes one, and how long one of them is left to the worker that made the last video of its
avatar."""
ENDED_S = 60.0
"""How long the end of a job waits to be recorded; after that it is done again."""


class PostgresJobStore(SqlJobStore):
    """What was recorded survives every process of ours; how safe it is otherwise is the database's affair.

    outputs: the folder of videos on this machine; what a record says of a file counts from there, for other machines have another.
    Calls raise BusyError (code jobs_away) while the database does not answer for longer than `PATIENT_S`.
    """

    def __init__(self, database: Postgres, outputs: Path) -> None:
        self._database, self._outputs = database, outputs

    def _next(self, db: Database, worker: str, now_s: float) -> JobRecord | None:
        """A job with an avatar is left for a moment to the worker that has the avatar in memory, where that one has a free place."""
        first = self._first(db, worker, LOOKED_AT)
        return next((record for record in first if not self._is_better_elsewhere(db, record, worker, now_s)), None)

    @staticmethod
    def _is_better_elsewhere(db: Database, record: JobRecord, worker: str, now_s: float) -> bool:
        avatar = record.request.get("avatar", "")
        if not avatar or not 0 <= now_s - record.created_s < LEFT_S:  # clocks that differ by more take the preference away, and no time
            return False
        made_by = (
            "SELECT worker FROM jobs WHERE owner = ? AND worker != '' AND (request LIKE ? OR result LIKE ?)"
            " ORDER BY started_s DESC LIMIT 1"
        )
        row = db.execute(made_by, (record.owner, f"%{avatar}%", f"%{avatar}%")).fetchone()
        if row is None or row[0] == worker:
            return False
        free = (
            "SELECT 1 FROM workers WHERE worker = ? AND seen > now() - make_interval(secs => ?)"
            " AND slots > (SELECT count(*) FROM jobs WHERE jobs.state = 'running' AND jobs.worker = workers.worker)"
        )
        return db.execute(free, (row[0], DEAD_S)).fetchone() is not None

    @property
    def problem(self) -> str:
        return self._database.problem

    def add(self, record: JobRecord, admission: Admission) -> JobRecord:
        output = Path(record.output)
        if output.is_relative_to(self._outputs):
            record = dataclasses.replace(record, output=str(output.relative_to(self._outputs)))
        return self._here(super().add(record, admission))

    def get(self, job_id: str) -> JobRecord | None:
        record = super().get(job_id)
        return None if record is None else self._here(record)

    def find(self, owner: str | None = None, states: Collection[JobState] = (), kinds: Collection[JobKind] = ()) -> list[JobRecord]:
        return [self._here(record) for record in super().find(owner, states, kinds)]

    def claim(self, worker: str, now_s: float) -> JobRecord | None:
        record = super().claim(worker, now_s)
        return None if record is None else self._here(record)

    def requeue(self, worker: str) -> list[JobRecord]:
        return [self._here(record) for record in super().requeue(worker)]

    def put_back_lost(self, worker: str, running: Collection[str]) -> list[JobRecord]:
        return [self._here(record) for record in super().put_back_lost(worker, running)]

    def progress(self, job_id: str, stage: str, done: int, total: int, animating_s: float, now_s: float) -> None:
        """Left out while the database is away: the next one tells more, and whoever draws does not wait for it."""
        if self._database.lately_away:
            return
        try:
            super().progress(job_id, stage, done, total, animating_s, now_s)
        except BusyError:
            pass

    def close(self) -> None:
        self._database.close()

    def _here(self, record: JobRecord) -> JobRecord:
        return dataclasses.replace(record, output=str(self._outputs / record.output)) if record.output else record

    def _read(self, work: Callable[[Database], T], *, at_once: bool = False) -> T:
        return self._database.run(work, patient_s=AT_ONCE_S if at_once else PATIENT_S)

    def _transaction(self, work: Callable[[Database], T], *, patiently: bool = False) -> T:
        return self._database.run(work, alone=True, patient_s=ENDED_S if patiently else PATIENT_S)
