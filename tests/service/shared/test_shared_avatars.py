"""Avatars in a bucket: what is looked through now and then, and the key by which all machines name them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import OutputError
from core.optimization import shared_avatars
from core.optimization.cache_folder import CacheFolder
from core.optimization.shared_folder import SharedFolder
from core.service.state import open_state
from core.settings import Settings
from tests.support.databases import PostgresServer
from tests.support.machine_avatars import OWNER, MachineAvatars
from tests.support.s3 import BUCKET, S3Server

pytestmark = pytest.mark.slow

@pytest.fixture
def bucket(s3: S3Server) -> SharedFolder:
    from core.service.shared.s3_files import S3Files

    return SharedFolder(S3Files(f"s3://{BUCKET}", s3.url), "avatars", 10_000)


@pytest.fixture
def machine(tmp_path: Path, bucket: SharedFolder, monkeypatch: pytest.MonkeyPatch) -> Callable[[], MachineAvatars]:
    monkeypatch.setattr(shared_avatars, "FRESH_S", 0.0)
    monkeypatch.setattr(shared_avatars, "SWEPT_S", 0.0)
    made: list[MachineAvatars] = []

    def make() -> MachineAvatars:
        made.append(MachineAvatars(tmp_path / f"machine{len(made)}", bucket, 1000))
        return made[-1]

    return make


def names(bucket: SharedFolder) -> list[str]:
    return sorted(one.name.rpartition("/")[2] for one in bucket.list())


def test_a_description_comes_first_and_files_as_they_are_needed(machine: Callable[[], MachineAvatars], bucket: SharedFolder) -> None:
    here, there = machine(), machine()
    made = here.make(1)
    there.shared.refresh_all(there.entry(0).parent)
    copy = there.entry(1)
    assert (copy / "avatar.json").read_bytes() == (made / "avatar.json").read_bytes()
    assert not (copy / "source").exists()
    assert there.shared.nbytes(copy) == here.shared.nbytes(made) > 1000
    there.shared.bring(copy / "source")
    there.shared.bring(copy / "none.safetensors")
    assert (copy / "source").read_bytes() == bytes(1000)
    here.shared.push_file(made / "avatar.json", b'{"sha256": "photo 1", "name": "Ada"}')
    there.shared.refresh(copy)
    assert json.loads((copy / "avatar.json").read_bytes())["name"] == "Ada"
    assert names(bucket) == ["avatar.json", "source"]


def test_a_deleted_one_goes_where_it_is_looked_for_and_where_nobody_looks(
    machine: Callable[[], MachineAvatars], bucket: SharedFolder
) -> None:
    here, looks, sweeps = machine(), machine(), machine()
    made = here.make(1)
    for one in (looks, sweeps):
        one.shared.refresh(one.entry(1))
    here.shared.drop(made)
    looks.shared.refresh(looks.entry(1))
    time.sleep(0.01)
    sweeps.shared.sweep(10**9)
    for one in (looks, sweeps):
        assert not one.entry(1).exists()
        assert one.gone == [(OWNER, "photo 1")]
    assert names(bucket) == []


def test_those_unused_longest_make_room_and_what_belongs_to_none_goes(
    machine: Callable[[], MachineAvatars], bucket: SharedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine()
    made = [here.make(n) for n in range(3)]
    bucket.push(f"{OWNER}/{9:040x}/source", b"of a process that was ended")
    time.sleep(1.1)  # a bucket's clock shows seconds
    here.shared.mark_used(made[0])
    here.shared.sweep(1)
    assert names(bucket).count("avatar.json") == 3  # none of it is old
    monkeypatch.setattr(shared_avatars, "UNMARKED_S", -10.0)
    here.shared.sweep(1500)
    assert {one.name.split("/")[1] for one in bucket.list()} == {made[0].name}


def test_one_not_yet_shared_is_kept(machine: Callable[[], MachineAvatars], bucket: SharedFolder) -> None:
    here = machine()
    made = here.make(1)
    os.unlink(made / ".shared")
    here.shared.drop(made)
    here.shared.refresh(made)
    here.shared.sweep(10**9)
    assert (made / "source").exists()
    assert here.gone == []


def test_all_machines_have_the_key_of_the_first(tmp_path: Path, postgres: PostgresServer, s3: S3Server) -> None:
    settings = Settings(jobs_database=postgres.url, s3_bucket=f"s3://{BUCKET}", s3_endpoint=s3.url)
    states = [open_state(settings, str(n), lambda: tmp_path, tmp_path) for n in range(3)]
    try:
        first, second, third = (CacheFolder(tmp_path / str(n)) for n in range(3))
        (third.make_subfolder("avatars") / "owner" / "token").mkdir(parents=True)
        apart = {one.digest("owner", "ada") for one in (first, second, third)}
        assert len(apart) == 3
        key = first.share_key(states[0].settle_key)
        assert second.share_key(states[1].settle_key) == key
        assert first.digest("owner", "ada") == second.digest("owner", "ada") == CacheFolder(second.root).digest("owner", "ada")
        assert (second.root / "key").stat().st_mode & 0o777 == 0o600
        with pytest.raises(OutputError, match="avatars that the other machines do not know"):
            third.share_key(states[2].settle_key)
    finally:
        for state in states:
            state.store.close()
            state.topics.close()
