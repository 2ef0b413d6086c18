"""The folder of the caches: private, whole after a kill, in order whatever the clock says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import Cancelled, OutputError
from core.optimization.cache_folder import CacheFolder
from tests.support.paths import ROOT

MARKER = "about.json"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[CacheFolder]:
    folder = CacheFolder(tmp_path / "caches")
    yield folder
    folder.close()


def put(folder: CacheFolder, name: str, n_bytes: int = 100, owner: str = "ann") -> Path:
    staged = folder.staged()
    (staged / MARKER).write_text("{}")
    (staged / "data").write_bytes(b"x" * n_bytes)
    target = folder.subfolder("results") / owner / name
    assert folder.publish(staged, target)
    folder.mark_used(folder.subfolder("results"), target / MARKER)
    return target


def names(folder: CacheFolder) -> set[str]:
    return {entry.path.name for entry in folder.entries(folder.subfolder("results"), MARKER)}


def test_nothing_is_made_before_the_first_use_and_then_it_is_private(tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path / "caches")
    assert list(tmp_path.iterdir()) == []
    folder.digest("a")
    assert {path.stat().st_mode & 0o777 for path in (folder.root, *folder.root.iterdir()) if path.is_dir()} == {0o700}
    assert (folder.root / "key").stat().st_mode & 0o777 == 0o600
    folder.close()
    assert list((folder.root / "parts").iterdir()) == []


def test_the_key_outlives_restarts_and_no_other_folder_has_it(tmp_path: Path) -> None:
    digests = []
    for name in ("a", "a", "b"):
        folder = CacheFolder(tmp_path / name)
        digests.append(folder.digest("x", "y"))
        assert folder.digest("xy", "") != digests[-1]
        folder.close()
    assert digests[0] == digests[1] != digests[2]
    (tmp_path / "a" / "key").write_bytes(b"short")
    with pytest.raises(OutputError, match="damaged"):
        CacheFolder(tmp_path / "a").digest("x")


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: os.stat(tmp_path).st_uid + 1)
    with pytest.raises(OutputError, match=r"another user.*TALKING_HEAD_CACHE_DIR"):
        CacheFolder(tmp_path / "caches").digest("x")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file/caches"):
        CacheFolder(tmp_path / "file" / "caches").digest("x")


def test_a_published_entry_is_not_replaced(folder: CacheFolder) -> None:
    first = put(folder, "a")
    staged = folder.staged()
    (staged / MARKER).write_text("other")
    assert not folder.publish(staged, first)
    assert (first / MARKER).read_text() == "{}"


def test_those_unused_longest_make_room(folder: CacheFolder) -> None:
    subfolder = folder.subfolder("results")
    paths = [put(folder, name) for name in "abc"]
    folder.mark_used(subfolder, paths[0] / MARKER)
    assert folder.trim(subfolder, MARKER, 250, keep=()).gone == 1
    assert names(folder) == {"a", "c"}
    assert folder.trim(subfolder, MARKER, 0, keep={paths[2]}).gone == 1
    assert names(folder) == {"c"}


def test_order_of_use_survives_restarts_and_clocks_that_jump(
    folder: CacheFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = time.time_ns()
    for name, jump_days in (("first", 0), ("future", 4000), ("past", -4000), ("last", 0)):
        monkeypatch.setattr(time, "time_ns", lambda jump_days=jump_days: now_ns + jump_days * 86_400 * 10**9)
        again = CacheFolder(folder.root)
        put(again, name)
        again.close()
    order = sorted(folder.entries(folder.subfolder("results"), MARKER), key=lambda entry: entry.used_ns)
    assert [entry.path.name for entry in order] == ["first", "future", "past", "last"]


def test_an_entry_in_the_hands_of_another_stays(folder: CacheFolder) -> None:
    other = CacheFolder(folder.root)
    put(folder, "held"), put(folder, "free")
    with other.locked("held"):
        assert folder.trim(folder.subfolder("results"), MARKER, 0, keep=()).gone == 1
    assert names(folder) == {"held"}
    other.close()


def test_who_waits_for_a_lock_can_be_called_off(folder: CacheFolder) -> None:
    def called_off() -> None:
        raise Cancelled("enough")

    with folder.locked("a"):
        thread_got_it = threading.Event()

        def take() -> None:
            with folder.locked("a"):
                thread_got_it.set()

        thread = threading.Thread(target=take)
        thread.start()
        with pytest.raises(Cancelled), folder.locked("a", called_off):
            pass
        assert not thread_got_it.is_set()
    thread.join(5)
    assert thread_got_it.is_set()
    assert list((folder.root / "locks").iterdir()) == []


WRITER = """
import sys
from pathlib import Path
from core.optimization.cache_folder import CacheFolder
folder = CacheFolder(Path(sys.argv[1]))
for i in range(10**9):
    staged = folder.staged()
    (staged / "about.json").write_text("{}")
    with (staged / "data").open("wb") as file:
        for _ in range(50):
            file.write(b"x" * 20_000)
            file.flush()
    folder.publish(staged, folder.subfolder("results") / "ann" / f"{i}")
    print(i, flush=True)
"""


def test_a_kill_at_any_moment_leaves_whole_entries_only(folder: CacheFolder) -> None:
    for n_entries in (1, 3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder.root)], cwd=ROOT, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout:
            for _ in range(n_entries):
                writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        entries = folder.entries(folder.make_subfolder("results"), MARKER)
        assert len(entries) >= n_entries
        assert {entry.nbytes for entry in entries} == {1_000_002}
        assert (folder.root / "parts").is_dir()
        after = CacheFolder(folder.root)
        assert folder.root.exists()
        after.digest("x")
        own = {path.name.removesuffix(".lock") for path in (folder.root / "parts").iterdir()}
        assert len(own) == 2, "the leftovers of the killed process are still there"  # of `folder` and `after`
        after.close()
        folder.remove(folder.subfolder("results") / "ann")
