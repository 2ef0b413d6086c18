"""The folder of the checkpoints: its disk, its owner, its links."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from manager.errors import DiskFullError, FolderError
from manager.folder import TEMPORARY_FOLDER, Folder
from manager.store import Store
from tests.support.hub_server import HubServer
from tests.support.small_hub import CATALOGUE, CONTENTS, DECODER, assert_complete


def test_too_little_disk_is_said_before_the_download(store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Folder, "free_bytes", lambda self: 1_000_000)
    with pytest.raises(DiskFullError, match=r"1.0 MB free, the checkpoints need 67.\d MB.*DITTO_MODELS_DIR"):
        store.ensure()
    assert hub.count("GET") == 0


def test_a_disk_that_fills_up_while_downloading(command: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """A real limit of the system: no file of this process may grow beyond 100 kB, and one wants 300."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
    process = command("download", before=limit)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 1
    assert complaint.splitlines()[-1].startswith(f"The disk of {tmp_path / 'models'} is full. Free some")
    assert not any((tmp_path / "models" / ".partial").iterdir())  # the disk does not stay full


def default_store(hub: HubServer) -> Store:
    return Store(None, CATALOGUE, hub.url)


def test_the_default_folder() -> None:
    assert Path("/tmp/ditto_models") == TEMPORARY_FOLDER  # noqa: S108


def test_the_default_folder_outlives_a_restart_of_the_machine(tmp_path: Path, default_folder: Path) -> None:
    assert Store().folder.path == default_folder == tmp_path / "talking-head" / "ditto_models"
    (tmp_path / "ditto_models").mkdir()  # in place of /tmp/ditto_models: checkpoints that were fetched there are not fetched again
    assert Store().folder.path == tmp_path / "ditto_models"
    (tmp_path / "ditto_models").rmdir()
    (tmp_path / "ditto_models").symlink_to(tmp_path)
    assert Store().folder.path == default_folder


def test_the_environment_chooses_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DITTO_MODELS_DIR", str(tmp_path / "chosen"))
    assert Store().folder.path == tmp_path / "chosen"


@pytest.mark.parametrize("mode", [None, 0o755, 0o777])
def test_the_default_folder_is_private(hub: HubServer, default_folder: Path, mode: int | None) -> None:
    if mode is not None:
        default_folder.mkdir()
        default_folder.chmod(mode)
    assert_complete(default_store(hub).ensure())
    assert stat.S_IMODE(default_folder.stat().st_mode) == 0o700


def test_what_others_could_have_changed_is_verified_again(hub: HubServer, default_folder: Path) -> None:
    store = default_store(hub)
    store.ensure()
    path = store.folder.file(DECODER)
    times = path.stat()
    path.write_bytes(bytes(len(CONTENTS[DECODER])))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    default_folder.chmod(0o777)
    store.folder.open()
    assert_complete(store.ensure())
    (default_folder / "link").symlink_to("/etc")
    default_folder.chmod(0o777)
    with pytest.raises(FolderError, match="symbolic link"):
        store.folder.open()


def test_a_symbolic_link_is_refused(hub: HubServer, default_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    default_folder.symlink_to(tmp_path / "elsewhere")
    for act in (lambda: default_store(hub).ensure(), lambda: default_store(hub).status("pytorch"), lambda: default_store(hub).remove()):
        with pytest.raises(FolderError, match=r"is a symbolic link.*DITTO_MODELS_DIR"):
            act()
    default_folder.unlink()
    default_folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FolderError, match="is a symbolic link"):
        default_store(hub).ensure()
    assert not any((tmp_path / "elsewhere").iterdir())
    assert not hub.seen


def test_a_symbolic_link_in_place_of_a_file_is_refused(hub: HubServer, default_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(CONTENTS[DECODER])
    path = default_folder / DECODER
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "other")
    with pytest.raises(FolderError, match="not a regular file"):
        default_store(hub).ensure()


def test_a_folder_of_somebody_else_is_refused(hub: HubServer, default_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default_folder.mkdir()
    owner = default_folder.stat().st_uid
    if owner == 0:
        os.chown(default_folder, 4242, 4242)
        owner = 4242
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    for act in (lambda: default_store(hub).ensure(), lambda: default_store(hub).locate(), lambda: default_store(hub).verify()):
        with pytest.raises(FolderError, match=rf"belongs to another user \(id {owner}\).*DITTO_MODELS_DIR"):
            act()
    assert not hub.seen


def test_a_chosen_folder_of_somebody_else_is_refused_but_not_that_of_root(
    store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.ensure()
    owner = store.folder.path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        assert_complete(store.ensure())
    else:
        with pytest.raises(FolderError, match="belongs to another user"):
            store.ensure()


def test_a_folder_that_is_a_file_or_cannot_be_made(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="is not a folder"):
        Store(tmp_path / "file", CATALOGUE, hub.url).ensure()
    with pytest.raises(FolderError, match="cannot be made"):
        Store(tmp_path / "file" / "below", CATALOGUE, hub.url).ensure()


def test_a_folder_that_an_administrator_filled(store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be read and not written: its files are verified and used, and what is missing is said."""
    store.ensure()
    (store.folder.path / ".verified.json").unlink()
    (store.folder.path / ".lock").unlink(missing_ok=True)
    monkeypatch.setattr(Folder, "writable", False)
    assert_complete(store.ensure())
    assert {v.verdict for v in store.verify()} == {"verified"}
    assert not (store.folder.path / ".verified.json").exists()
    store.folder.file(DECODER).unlink()
    with pytest.raises(FolderError, match=r"decoder.pth cannot be put into .*cannot be written to"):
        store.ensure()
