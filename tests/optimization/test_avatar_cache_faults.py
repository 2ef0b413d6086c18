"""Avatars that are damaged, deleted, pushed out or registered twice at once."""

from __future__ import annotations

import dataclasses
import errno
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.engines.base import Engine
from core.errors import AvatarError, OutputError
from core.request import Request
from core.studio import Studio
from core.types import Audio, Photo
from tests.support.avatars import SMALL, folder_of, video
from tests.support.paths import ROOT


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 0xFF
    path.write_bytes(data)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES = (damage_cut, damage_flip, damage_empty, Path.unlink)


def test_damage_is_noticed_and_made_good_from_the_kept_source(
    open_again: Callable[..., Studio], portrait: Photo, short: Audio, tmp_path: Path, detections: list[str]
) -> None:
    studio = open_again(keep_results=False)
    avatar = studio.preload_avatar(portrait, "ann")
    folder, whole = folder_of(studio, avatar), video(studio, avatar, short, tmp_path)
    for damage in DAMAGES:
        damage(folder / "lite.safetensors")
        damage(folder / "thumbnail.jpg")
        del detections[:]
        studio = open_again(keep_results=False)
        assert video(studio, avatar, short, tmp_path) == whole
        assert detections, f"{damage.__name__} went unnoticed"
        assert studio.thumbnail(avatar.token, "ann")[:2] == b"\xff\xd8"
        del detections[:]
        studio = open_again(keep_results=False)
        assert video(studio, avatar, short, tmp_path) == whole
        assert detections == [], "it was not kept again"


@pytest.mark.parametrize("name", ["avatar.json", "source"])
def test_damage_beyond_repair_is_an_error_that_says_so(
    name: str, open_again: Callable[..., Studio], portrait: Photo, short: Audio, tmp_path: Path
) -> None:
    for damage in DAMAGES:
        studio = open_again(keep_results=False)
        avatar = studio.preload_avatar(portrait, "ann")
        folder = folder_of(studio, avatar)
        damage(folder / name)
        (folder / "lite.safetensors").unlink()
        studio = open_again(keep_results=False)
        with pytest.raises(AvatarError):
            video(studio, avatar, short, tmp_path)
        assert studio.list_avatars("ann") == []
        assert studio.preload_avatar(portrait, "ann").token == avatar.token


def test_another_revision_of_the_engine_registers_anew(
    open_again: Callable[..., Studio], portrait: Photo, lite: Engine, short: Audio, tmp_path: Path, detections: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    avatar = open_again().preload_avatar(portrait, "ann")
    del detections[:]
    monkeypatch.setattr(lite, "_revision", "another")
    studio = open_again(keep_results=False)
    video(studio, avatar, short, tmp_path)
    assert detections
    video(studio, avatar, short, tmp_path)
    del detections[:]
    video(open_again(keep_results=False), avatar, short, tmp_path)
    assert detections == []


def test_deletion_means_gone(open_again: Callable[..., Studio], portrait: Photo, short: Audio, tmp_path: Path) -> None:
    studio = open_again()
    other = dataclasses.replace(portrait, sha256="another")
    avatar, kept = studio.preload_avatar(portrait, "ann"), studio.preload_avatar(other, "ann")
    video(studio, avatar, short, tmp_path)
    video(studio, kept, short, tmp_path)
    freed = studio.delete_avatar(avatar.token, "ann")
    assert freed > portrait.pixels.nbytes
    assert studio.list_avatars("ann") == [kept]
    assert studio.stats()["avatars"]["memory"]["entries"] == 1
    assert studio.stats()["results"]["entries"] == 1
    for call in (studio.avatar, studio.delete_avatar):
        with pytest.raises(AvatarError):
            call(avatar.token, "ann")
    with pytest.raises(AvatarError):
        video(studio, avatar, short, tmp_path)
    assert not any(avatar.token in str(path) for path in tmp_path.rglob("*"))
    assert studio.clear_cache("avatars", "ann") > 0
    assert studio.list_avatars("ann") == []
    assert studio.stats()["results"]["entries"] == 0


def test_a_video_that_ends_after_its_avatar_was_deleted_is_not_kept(
    open_again: Callable[..., Studio], portrait: Photo, short: Audio, tmp_path: Path
) -> None:
    studio = open_again()
    avatar = studio.preload_avatar(portrait, "ann")

    def delete(progress: Any) -> None:
        if progress.stage == "finishing":
            studio.delete_avatar(avatar.token, "ann")

    generation = studio.generate(Request(short, avatar, owner="ann", options=SMALL), tmp_path / "v.mp4", delete)
    assert generation.path.is_file()
    assert studio.stats()["results"]["entries"] == 0
    assert studio.stats()["avatars"]["disk"]["entries"] == 0


def test_a_full_disk_is_an_error_and_leaves_nothing(
    open_again: Callable[..., Studio], portrait: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = open_again()
    write, written = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        written.append(path.name)
        if path.name.endswith(".safetensors"):
            write(path, data[:1000])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="the disk is full"):
            studio.preload_avatar(portrait, "ann")
    assert "source" in written
    assert studio.list_avatars("ann") == []
    root = studio.settings.cache_dir
    assert [path for path in root.rglob("*") if path.is_file() and path.name not in ("key", ".clock") and path.suffix != ".lock"] == []
    assert studio.preload_avatar(portrait, "ann").name == ""


def test_those_unused_longest_make_room_but_none_that_is_in_use(
    open_again: Callable[..., Studio], portrait: Photo, short: Audio, tmp_path: Path
) -> None:
    size = open_again().preload_avatar(portrait, "ann").nbytes
    studio = open_again(avatars_bytes=int(2.5 * size), keep_results=False)
    photos = [portrait, *(dataclasses.replace(portrait, sha256=f"photo {i}") for i in range(3))]
    first, second = (studio.preload_avatar(photo, "ann") for photo in photos[:2])
    video(studio, first, short, tmp_path)  # now the second is unused longest
    third = studio.preload_avatar(photos[2], "bob")
    assert {avatar.token for owner in ("ann", "bob") for avatar in studio.list_avatars(owner)} == {first.token, third.token}
    with pytest.raises(AvatarError):
        studio.avatar(second.token, "ann")
    with studio._avatars.store.using(first), studio._avatars.store.using(third):
        fourth = studio.preload_avatar(photos[3], "ann")
        assert {avatar.token for avatar in studio.list_avatars("bob")} == {third.token}
        assert studio.stats()["avatars"]["disk"]["evictions"] == 1
    assert studio.list_avatars("bob") == []  # room that could not be made before is made when somebody is done
    assert {avatar.token for avatar in studio.list_avatars("ann")} == {first.token, fourth.token}


def test_memory_has_a_limit_and_counts_what_registrations_grow_by(
    open_again: Callable[..., Studio], portrait: Photo, short: Audio, tmp_path: Path
) -> None:
    studio = open_again(registrations_bytes=16 * 2**20, keep_results=False)
    avatars = [studio.preload_avatar(dataclasses.replace(portrait, sha256=f"photo {i}"), "ann") for i in range(3)]
    assert studio.stats()["avatars"]["memory"]["entries"] == 3
    video(studio, avatars[0], short, tmp_path, size=1024)
    memory = studio.stats()["avatars"]["memory"]
    assert memory["entries"] < 3
    assert memory["evictions"] > 0
    assert memory["bytes"] <= 16 * 2**20 or memory["entries"] == 1


def test_two_threads_register_once(open_again: Callable[..., Studio], portrait: Photo, detections: list[str]) -> None:
    studio = open_again(max_jobs=4)
    jobs = [studio.submit_avatar(portrait, "ann") for _ in range(4)]
    assert len({job.result(30).token for job in jobs}) == 1
    assert detections.count("find") == 1


PROCESS = """
import sys, time
from pathlib import Path
from core.engines.lite import LiteEngine
from core.media.image import load_image
from core.settings import Settings
from core.studio import open_studio
root = Path(sys.argv[1])
register = LiteEngine.register
def counted(self, *arguments):
    with (root / "count").open("a") as file:
        file.write("x")
    time.sleep(0.3)
    return register(self, *arguments)
LiteEngine.register = counted
settings = Settings(cache_dir=root / "caches", output_dir=root / "outputs")
studio = open_studio(settings, serving=True)
studio.engine("lite")
photo = load_image(Path("assets/portrait.png"), settings)
(root / f"ready-{sys.argv[2]}").touch()
while not (root / "go").exists():
    time.sleep(0.01)
print(studio.preload_avatar(photo, "ann").token)
studio.close()
"""


@pytest.mark.slow  # two processes
def test_two_processes_register_once(tmp_path: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(tmp_path), name], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    while not all((tmp_path / f"ready-{name}").exists() for name in "ab"):
        assert all(process.poll() is None for process in started)
        time.sleep(0.02)
    (tmp_path / "go").touch()
    tokens = {process.communicate(timeout=60)[0].strip() for process in started}
    assert len(tokens) == 1
    assert (tmp_path / "count").read_text() == "x"


def test_eviction_under_load_never_breaks_a_request(
    open_again: Callable[..., Studio], portrait: Photo, short: Audio, tmp_path: Path
) -> None:
    """Everybody's avatar pushes everybody else's out, all the time: each call works, or says that the avatar is gone."""
    size = open_again().preload_avatar(portrait, "ann").nbytes
    studio = open_again(avatars_bytes=int(1.5 * size), registrations_bytes=0, max_jobs=3, max_queue=100, keep_results=False)
    errors: list[BaseException] = []
    lost = 0

    def visitor(number: int) -> None:
        nonlocal lost
        photo = dataclasses.replace(portrait, sha256=f"photo {number}")
        try:
            for _ in range(2):
                avatar = studio.preload_avatar(photo, f"owner {number}")
                try:
                    request = Request(short, avatar, owner=f"owner {number}", options=SMALL)
                    studio.generate(request, tmp_path / f"{number}.mp4")
                except AvatarError:
                    lost += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=visitor, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert studio.stats()["avatars"]["disk"]["bytes"] <= 1.5 * size
