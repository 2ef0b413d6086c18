"""The embedded job store: what happens to its file. What it does with records: shared/test_stores.py."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.service import sqlite_store
from core.service.job_store import Admission, JobRecord
from core.service.sqlite_store import FILE_NAME, SqliteJobStore

MANY = Admission(100, 100, 10**9)


def record(name: str, owner: str = "ada", **values: object) -> JobRecord:
    return dataclasses.replace(JobRecord(name, owner, "video", {"n": name}, fingerprint=name, created_s=1.0), **values)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteJobStore]:
    opened = open_store(folder)
    yield opened
    opened.close()


def open_store(folder: Path) -> SqliteJobStore:
    def make() -> Path:
        folder.mkdir(exist_ok=True)
        return folder

    return SqliteJobStore(make)


def test_what_is_known_moves_along_when_the_folder_vanishes(store: SqliteJobStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_store, "RETRY_S", 0.0)
    store.add(record("a"), MANY)
    shutil.rmtree(folder)
    store.add(record("b"), MANY)
    assert (folder / FILE_NAME).is_file()
    other = open_store(folder)
    assert {job.id for job in other.find()} == {"a", "b"}
    other.close()


def test_records_live_in_memory_while_the_file_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_store, "RETRY_S", 0.0)
    (tmp_path / "in-the-way").write_text("")
    folder = tmp_path / "in-the-way" / "jobs"
    store = SqliteJobStore(lambda: folder)
    store.add(record("a"), MANY)
    assert "do not outlive a restart" in store.problem
    (tmp_path / "in-the-way").unlink()
    folder.mkdir(parents=True)
    assert store.get("a") is not None
    assert store.problem == ""
    other = SqliteJobStore(lambda: folder)
    assert other.get("a") is not None
    other.close()
    store.close()


def test_a_full_disk_loses_no_state(store: SqliteJobStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(record("a"), MANY)
    store.claim("w", 2.0)
    store._connection.execute("PRAGMA max_page_count = 1")  # as if the disk were full: what SQLite says then is the same
    for n in range(50):
        store.add(record(f"x{n}", request={"text": "x" * 5000}), Admission(1000, 1000, 10**9))
    assert "full" in store.problem
    store.finish("a", "done", 3.0)
    monkeypatch.setattr(sqlite_store, "RETRY_S", 0.0)
    done = store.get("a")
    assert done is not None
    assert done.state == "done"
    assert store.problem == ""
    assert len(store.find()) == 51


@pytest.mark.parametrize("content", [b"this is no database, but it is long enough to be looked at as one" * 100, None])
def test_a_damaged_file_is_put_aside(folder: Path, content: bytes | None) -> None:
    folder.mkdir()
    path = folder / FILE_NAME
    if content is None:
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
    else:
        path.write_bytes(content)
    store = open_store(folder)
    store.add(record("a", created_s=time.time()), MANY)
    assert store.problem == ""
    assert any("damaged" in other.name for other in folder.iterdir())
    store.close()
