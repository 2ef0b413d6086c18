"""Connections to the PostgreSQL database that the processes of several machines share, and what becomes of work while it is away."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg_pool import ConnectionPool

from core.errors import BusyError, EngineUnavailable
from core.service.sql_job_store import INDEXES, Rows, table

logger = logging.getLogger(__name__)

T = TypeVar("T")
SCHEMA = "talking_head_1"
"""Where the tables are; the number grows when they change, so that old and new processes do not read each other's."""
STARTED_S = 15.0
"""How long a process that starts waits for the database."""
PATIENT_S = 5.0
"""How long a call waits for a database that is away; what asked is then refused, with a reason."""
AGAIN_S = 0.2
STATEMENT_S = 15
"""Longest statement, waiting for others included."""
IDLE_S = 10
"""A process that stands still within a transaction, or is cut off, loses its connection after so long: the others wait for its lock."""
_TCP = {"keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""A database whose machine is gone says nothing: the system notices within about 11 s. Settings of libpq, seconds and milliseconds."""
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
"""What a database raises that cannot be used now. Internal errors are those of one that has just become a read-only copy of another."""
_LOCK = 0x7A1C_1EAD
"""Key of the lock under which transactions are made one at a time."""
_TABLES = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
{table("BIGSERIAL PRIMARY KEY", "DOUBLE PRECISION", "BIGINT")}
{INDEXES}
CREATE TABLE IF NOT EXISTS workers (worker TEXT PRIMARY KEY, beats BIGINT NOT NULL);
ALTER TABLE workers ADD COLUMN IF NOT EXISTS slots BIGINT NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN IF NOT EXISTS seen TIMESTAMPTZ NOT NULL DEFAULT now();
"""


class Statements:
    """`Database` over one connection."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        rows: Rows = self._connection.execute(_own(statement), values)
        return rows

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> None:
        self._connection.cursor().executemany(_own(statement), rows)


class Postgres:
    """Thread-safe. url: postgresql://USER:PASSWORD@HOST/NAME. connections: at most. Raises EngineUnavailable where it cannot be reached."""

    def __init__(self, url: str, connections: int) -> None:
        self._problem = ""
        self._failed_s = float("-inf")
        limits = {"statement_timeout": STATEMENT_S, "lock_timeout": STATEMENT_S, "idle_in_transaction_session_timeout": IDLE_S}
        options = " ".join([f"-c search_path={SCHEMA}", *(f"-c {name}={seconds * 1000}" for name, seconds in limits.items())])
        self._pool = ConnectionPool(
            url,
            min_size=1,
            max_size=connections,
            open=False,
            kwargs={"connect_timeout": 5, "options": options, "application_name": "talking-head", **_TCP},
            reconnect_timeout=30,
        )
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # what it would say at each try is said here, once
        try:
            self._pool.open(wait=True, timeout=STARTED_S)
            with self._pool.connection() as connection:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                connection.execute(_TABLES.encode())
        except psycopg.Error as error:
            self._pool.close()
            raise EngineUnavailable(
                f"The database of jobs cannot be used ({_first_line(error)}).", "Check TALKING_HEAD_JOBS_DATABASE and the database."
            ) from error

    @property
    def problem(self) -> str:
        """That the database does not answer now; "" where it does. Anybody is told it, so where and who it is stands in the log alone."""
        return self._problem

    @property
    def lately_away(self) -> bool:
        """Whether it did not answer a moment ago."""
        return time.monotonic() - self._failed_s < 2.0

    def run(self, work: Callable[[Statements], T], *, alone: bool = False, patient_s: float = PATIENT_S) -> T:
        """`work` within one transaction, made again where the connection is lost. alone: no other such transaction is made meanwhile.

        Raises BusyError when the database is still away after patient_s.
        """
        deadline = time.monotonic() + patient_s
        while True:
            try:
                with self._pool.connection(timeout=max(0.05, deadline - time.monotonic())) as connection:
                    if alone:
                        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                    done = work(Statements(connection))
            except _AWAY as error:
                self._say(error)
                if time.monotonic() + AGAIN_S >= deadline:
                    raise BusyError("The database of jobs does not answer.", "Try again in a minute.", code="jobs_away") from error
                time.sleep(AGAIN_S)
                continue
            if self._problem:
                logger.warning("the database of jobs answers again")
                self._problem = ""
            return done

    def close(self) -> None:
        with contextlib.suppress(psycopg.Error):
            self._pool.close(timeout=2.0)

    def _say(self, error: Exception) -> None:
        self._failed_s = time.monotonic()
        if not self._problem:
            logger.warning("the database of jobs does not answer (%s)", _first_line(error))
        self._problem = "The database of jobs does not answer."


def _own(statement: str) -> bytes:
    """Statements are written with "?"; none has a question mark or per cent sign of another meaning."""
    return statement.replace("?", "%s").encode()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
