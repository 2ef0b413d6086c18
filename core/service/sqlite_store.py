"""The embedded job store: one SQLite file that all processes of a machine share.

A committed record survives the end of every process at any moment (write-ahead log). Where the file cannot be used (a full or read-only
disk), records live in memory until it can be used again; `problem` says so.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from core.errors import OutputError
from core.service.sql_job_store import INDEXES, INSERT, NAMES, Database, SqlJobStore, table

logger = logging.getLogger(__name__)

T = TypeVar("T")
FILE_NAME = "jobs.sqlite3"
VERSION = 1
"""Of the table; a file of another version is put aside, since its records cannot be read."""
LOCKED_S = 10.0
"""How long a transaction waits for those of other processes."""
RETRY_S = 5.0
"""How often a file that could not be used is tried again."""
_SCHEMA = table("INTEGER PRIMARY KEY AUTOINCREMENT", "REAL", "INTEGER") + INDEXES


class SqliteJobStore(SqlJobStore):
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

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # ---- the file

    def _read(self, work: Callable[[Database], T], *, at_once: bool = False) -> T:
        with self._lock:
            self._find_file()
            try:
                return work(self._connection)
            except sqlite3.Error as error:
                self._use_memory(error)
                return work(self._connection)

    def _transaction(self, work: Callable[[Database], T], *, patiently: bool = False) -> T:
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
    rows = source.execute(f"SELECT {', '.join(NAMES)} FROM jobs ORDER BY number").fetchall()  # noqa: S608
    with _immediate(target):
        for row in rows:
            known = target.execute("SELECT updated_s FROM jobs WHERE id = ?", (row[NAMES.index("id")],)).fetchone()
            if known is None:
                target.execute(f"INSERT OR IGNORE {INSERT}", row)
            elif known[0] < row[NAMES.index("updated_s")]:
                changes = ", ".join(f"{name} = ?" for name in NAMES)
                target.execute(f"UPDATE jobs SET {changes} WHERE id = ?", (*row, row[NAMES.index("id")]))  # noqa: S608
