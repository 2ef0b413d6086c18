"""The job store that the processes of several machines share: the same statements as the embedded one, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from core.errors import BusyError
from core.service.shared.postgres import PATIENT_S, Postgres
from core.service.sql_job_store import Database, SqlJobStore

T = TypeVar("T")
AT_ONCE_S = 0.5
ENDED_S = 60.0
"""How long the end of a job waits to be recorded; after that it is done again."""


class PostgresJobStore(SqlJobStore):
    """What was recorded survives every process of ours; how safe it is otherwise is the database's affair.

    Calls raise BusyError (code jobs_away) while the database does not answer for longer than `PATIENT_S`.
    """

    def __init__(self, database: Postgres) -> None:
        self._database = database

    @property
    def problem(self) -> str:
        return self._database.problem

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

    def _read(self, work: Callable[[Database], T], *, at_once: bool = False) -> T:
        return self._database.run(work, patient_s=AT_ONCE_S if at_once else PATIENT_S)

    def _transaction(self, work: Callable[[Database], T], *, patiently: bool = False) -> T:
        return self._database.run(work, alone=True, patient_s=ENDED_S if patiently else PATIENT_S)
