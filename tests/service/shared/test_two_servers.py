"""Two servers over one database and folder, as on two machines: each knows the jobs of the other, and does them when that was killed."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from tests.support.databases import PostgresServer, RedisServer
from tests.support.server_process import Process, running
from tests.support.serving import form, wait_for

pytestmark = pytest.mark.slow


def begin(client: httpx.Client, seed: int) -> str:
    answer = client.post("/generate?async=1", **form(options=f'{{"size": 128, "seed": {seed}}}'))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def state(client: httpx.Client, job_id: str) -> str:
    return str(client.get(f"/jobs/{job_id}").json()["state"])


def test_two_servers_are_one_service(tmp_path: Path, postgres: PostgresServer, redis_server: RedisServer) -> None:
    together = {
        "TALKING_HEAD_OUTPUT_DIR": str(tmp_path / "out"),
        "TALKING_HEAD_CACHE_DIR": str(tmp_path / "cache"),
        "TALKING_HEAD_JOBS_DATABASE": postgres.url,
        "TALKING_HEAD_REDIS_URL": redis_server.url,
    }
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    options = ("--no-page", "--ditto", "off")
    with running(folders[0], *options, **together) as first, running(folders[1], *options, **together) as second:
        with first.client() as here, second.client() as there:
            jobs = [begin(here, seed) for seed in range(6)]
            wait_for(lambda: all(state(there, job) == "done" for job in jobs[:2]), 60)
            assert there.get(f"/jobs/{jobs[0]}/result").content[4:8] == b"ftyp"
            assert here.get(f"/jobs/{jobs[0]}", headers={"X-API-Key": "another"}).status_code == 401
            kill(first)
            assert not (tmp_path / "cache" / "jobs" / "jobs.sqlite3").exists()
            wait_for(lambda: all(state(there, job) == "done" for job in jobs), 90)
    import redis

    with redis.Redis(port=redis_server.port) as counts:
        assert any(key.startswith(b"talking-head:rate:videos") for key in counts.keys())  # noqa: SIM118 - of Redis


def kill(server: Process) -> None:
    server.process.kill()
    server.process.wait()
    time.sleep(0.1)
