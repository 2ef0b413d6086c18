"""Two servers without a common folder, over one database and bucket: each has the people and the videos of the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.databases import PostgresServer, RedisServer
from tests.support.s3 import BUCKET, S3Server, Way, way_to
from tests.support.server_process import Process, running
from tests.support.serving import KEY, OTHER_KEY, form, wait_for

pytestmark = pytest.mark.slow

PLAIN = ("--no-page", "--ditto", "off")
SMALL = '{"size": 128, "visemes": true}'


@pytest.fixture
def way(s3: S3Server) -> Iterator[Way]:
    with way_to(s3) as way:
        yield way


@pytest.fixture
def together(postgres: PostgresServer, redis_server: RedisServer, way: Way) -> dict[str, str]:
    return {
        "TALKING_HEAD_JOBS_DATABASE": postgres.url, "TALKING_HEAD_REDIS_URL": redis_server.url,
        "TALKING_HEAD_S3_BUCKET": f"s3://{BUCKET}/talking-head", "TALKING_HEAD_S3_ENDPOINT": way.url,
        "TALKING_HEAD_API_KEYS": f"{KEY},{OTHER_KEY}",
    }  # fmt: skip


@pytest.fixture
def servers(tmp_path: Path, together: dict[str, str]) -> Iterator[tuple[Process, Process]]:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with running(folders[0], *PLAIN, **together) as first, running(folders[1], *PLAIN, **together) as second:
        yield first, second


def options(seed: int) -> str:
    return SMALL.replace("}", f', "seed": {seed}}}')


def state(client: httpx.Client, job_id: str) -> str:
    answer = client.get(f"/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["state"])


def tokens(client: httpx.Client) -> list[str]:
    return [one["token"] for one in client.get("/avatars").json()["avatars"]]


def test_a_person_registered_on_one_server_speaks_on_the_other(servers: tuple[Process, Process], tmp_path: Path) -> None:
    first, second = servers
    with first.client() as here, second.client() as there, second.client(OTHER_KEY) as stranger:
        token = str(here.post("/avatars", **form(audio=None, name="Ada")).json()["token"])
        assert tokens(there) == [token]
        assert tokens(stranger) == []
        thumbnail = there.get(f"/avatars/{token}/thumbnail")
        assert thumbnail.content == here.get(f"/avatars/{token}/thumbnail").content
        assert there.get("/avatars").json()["avatars"] == here.get("/avatars").json()["avatars"]

        first.stop()
        made = there.post("/generate", **form(image=None, avatar=token, options=SMALL))
        assert made.status_code == 200, made.text
        assert list((tmp_path / "second" / "cache" / "avatars").glob(f"*/{token}/lite.safetensors"))  # not registered once more
        assert stranger.post("/generate?async=1", **form(image=None, avatar=token, options=SMALL)).status_code == 404


def test_who_is_deleted_on_one_server_is_gone_on_the_other(servers: tuple[Process, Process], tmp_path: Path) -> None:
    first, second = servers
    with first.client() as here, second.client() as there:
        token = str(here.post("/avatars", **form(audio=None)).json()["token"])
        job = str(there.post("/generate?async=1", **form(image=None, avatar=token, options=SMALL)).json()["id"])
        wait_for(lambda: state(there, job) == "done")
        assert there.get(f"/avatars/{token}/thumbnail").status_code == 200
        assert here.delete(f"/avatars/{token}").status_code == 200
        wait_for(lambda: tokens(there) == [])
        assert there.post("/generate?async=1", **form(image=None, avatar=token, options=SMALL)).status_code == 404
        assert [client.get(f"/jobs/{job}/result").status_code for client in (here, there)] == [404, 404]
        wait_for(lambda: not list(tmp_path.glob(f"*/cache/avatars/*/{token}")))
        wait_for(lambda: not list(tmp_path.glob("second/cache/results/*/*/video.mp4")))  # nor the kept video of the person
        assert here.post("/avatars", **form(audio=None)).json()["token"] == token
        wait_for(lambda: tokens(there) == [token])


def test_each_server_gives_what_the_other_made_also_after_a_restart_with_an_empty_disk(
    servers: tuple[Process, Process], together: dict[str, str], tmp_path: Path
) -> None:
    first, second = servers
    with first.client() as here, second.client() as there:
        jobs = [here.post("/generate?async=1", **form(options=options(n))).json()["id"] for n in range(4)]
        wait_for(lambda: all(state(there, job) == "done" for job in jobs), 120)
        made = {job: here.get(f"/jobs/{job}/result").content for job in jobs}
        for job, video in made.items():
            assert there.get(f"/jobs/{job}/result").content == video
            assert video[4:8] == b"ftyp"
            assert here.get(f"/jobs/{job}/visemes").json() == there.get(f"/jobs/{job}/visemes").json()
        again = [(client, client.post("/generate?async=1", **form(options=options(0))).json()["id"]) for client in (here, there)]
        assert "done" in [state(client, job) for client, job in again]  # the one that made it has kept it
        for client, job in again:
            wait_for(lambda client=client, job=job: state(client, job) == "done")  # type: ignore[misc]
            assert (there if client is here else here).get(f"/jobs/{job}/result").content == made[jobs[0]]
        token = str(here.post("/avatars", **form(audio=None)).json()["token"])
        first.stop()
        second.stop()
    third = tmp_path / "third"
    third.mkdir()
    with running(third, *PLAIN, **together) as new, new.client() as client:
        assert {job: client.get(f"/jobs/{job}/result").content for job in jobs} == made
        assert tokens(client) == [token]


def test_a_bucket_that_is_away_is_said_and_what_was_accepted_is_done(servers: tuple[Process, Process], way: Way) -> None:
    with servers[0].client() as here:
        jobs = [here.post("/generate?async=1", **form(options=options(n))).json()["id"] for n in range(3)]
        way.cut()
        refused = here.post("/generate?async=1", **form(options=SMALL))
        assert refused.status_code == 503
        assert "store of files does not answer" in refused.json()["error"]["message"]
        assert here.get("/avatars").status_code == 503
        wait_for(lambda: "files" in [one["part"] for one in here.get("/health").json()["degraded"]])
        assert all(state(here, job) in ("queued", "running", "done") for job in jobs)
        way.mend()
        wait_for(lambda: all(state(here, job) == "done" for job in jobs), 120)
        assert all(here.get(f"/jobs/{job}/result").status_code == 200 for job in jobs)
        wait_for(lambda: here.get("/health").json()["degraded"] == [])
