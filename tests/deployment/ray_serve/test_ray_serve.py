"""The service over Ray Serve, with a real cluster, PostgreSQL and Redis: jobs of an ingress run on render replicas, whatever dies."""

from __future__ import annotations

import io
import json
import os
import signal
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.sync.client import connect

from tests.support.databases import PostgresServer, RedisServer
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.ray_service import RayService, ray_service
from tests.support.server_process import running
from tests.support.serving import KEY, error, form, wait_for

pytestmark = pytest.mark.slow

RENDERER = "ServeReplica:default:Renderer"


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of what replicas share."""
    folder = tmp_path_factory.mktemp("shared")
    postgres, redis = PostgresServer(folder), RedisServer(folder)
    postgres.start()
    redis.start()
    folders = {"OUTPUT_DIR": str(folder / "out"), "CACHE_DIR": str(folder / "cache")}
    yield {"JOBS_DATABASE": postgres.url, "REDIS_URL": redis.url, **folders}
    redis.stop()
    postgres.stop()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, databases: dict[str, str]) -> Iterator[RayService]:
    """It begins with one render replica, and may have two."""
    replicas = {"MIN_RENDERERS": "1", "MAX_RENDERERS": "2", "LATE_S": "1", "RENDER_CPUS": "0.5", "DRAIN_S": "1", "STOP_GRACE_S": "1"}
    with ray_service(tmp_path_factory.mktemp("ray"), {**databases, **replicas, "REQUESTS_PER_MINUTE": "100000"}) as started:
        yield started


@pytest.fixture
def client(service: RayService) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def speech(times: int) -> bytes:
    """The recording of the tests, several times one after the other."""
    with wave.open(str(SPEECH)) as recording:
        about, sound = recording.getparams(), recording.readframes(recording.getnframes())
    made = io.BytesIO()
    with wave.open(made, "wb") as longer:
        longer.setparams(about)
        longer.writeframes(sound * times)
    return made.getvalue()


def begin(client: httpx.Client, seed: int, size: int = 128, times: int = 1) -> str:
    answer = client.post("/generate?async=1", **form(speech(times), options=json.dumps({"size": size, "seed": seed})))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def state(client: httpx.Client, job_id: str) -> str:
    return str(client.get(f"/jobs/{job_id}").json()["state"])


def slots(client: httpx.Client) -> int:
    return int(client.get("/health").json()["queue"]["slots"])


def test_a_video_is_made_elsewhere_and_answered_here(client: httpx.Client) -> None:
    health = client.get("/health")
    assert health.status_code == 200
    assert health.json()["queue"]["max_jobs"] == 0
    answer = client.post("/generate", **form(options='{"size": 128, "seed": 1}'))
    assert answer.status_code == 200, answer.text
    assert answer.content[4:8] == b"ftyp"
    assert client.get("/health").json()["loaded"] == []  # nothing was made in this process
    wait_for(lambda: client.get(f"/jobs/{answer.headers['X-Job-Id']}").status_code == 404)  # who waited has it


def test_progress_is_seen_and_a_running_job_is_cancelled(service: RayService, client: httpx.Client) -> None:
    job_id = begin(client, 2, size=512, times=5)
    with connect(f"{service.ws}/jobs/{job_id}/events", additional_headers={"X-API-Key": KEY}, proxy=None) as socket:
        seen = [json.loads(socket.recv(60))]
        while seen[-1]["done"] < 5:
            seen.append(json.loads(socket.recv(60)))
        assert seen[-1]["state"] == "running"
        assert client.delete(f"/jobs/{job_id}").json()["state"] == "cancelled"
    assert client.get(f"/jobs/{job_id}").status_code == 404


def test_what_is_an_owners_is_theirs_whichever_ingress_is_asked(
    client: httpx.Client, databases: dict[str, str], tmp_path: Path
) -> None:
    shared = {f"TALKING_HEAD_{name}": value for name, value in databases.items()}
    with running(tmp_path, "--no-page", "--ditto", "off", TALKING_HEAD_MAX_JOBS="0", **shared) as other, other.client() as there:
        assert slots(there) == slots(client)
        registered = there.post("/avatars?async=1", files={"image": ("x", PORTRAIT.read_bytes())})
        assert registered.status_code == 202, registered.text
        wait_for(lambda: state(client, registered.json()["id"]) == "done")
        token = client.get(f"/jobs/{registered.json()['id']}").json()["avatar"]
        spoken = client.post("/generate?async=1", **form(image=None, avatar=token, options='{"size": 128}'))
        assert spoken.status_code == 202, spoken.text
        job = spoken.json()["id"]
        wait_for(lambda: state(there, job) == "done")
        assert there.get(f"/jobs/{job}/result").content == client.get(f"/jobs/{job}/result").content
        unwanted = begin(client, 6, size=512, times=10)
        wait_for(lambda: there.get(f"/jobs/{unwanted}").json()["done"] > 0)
        assert there.delete(f"/jobs/{unwanted}").json()["state"] == "cancelled"
        wait_for(lambda: client.get(f"/jobs/{unwanted}").status_code == 404)


def test_the_page_is_shown(client: httpx.Client) -> None:
    wait_for(lambda: client.get("/").status_code == 200, 120)
    assert "Talking" in client.get("/").text
    assert client.get("/", headers={"X-API-Key": ""}, follow_redirects=False).status_code in (303, 401)


def test_a_stream_is_made_elsewhere_and_read_here(client: httpx.Client) -> None:
    with client.stream("POST", "/stream", **form(options='{"size": 128, "seed": 3}')) as answer:
        assert answer.status_code == 200, answer.read()
        pieces = b"".join(answer.iter_bytes())
    assert pieces[4:8] == b"ftyp"
    assert pieces.count(b"moof") > 2
    wait_for(lambda: client.get("/health").json()["queue"]["running"] == 0)


def test_a_reader_who_leaves_ends_the_work(client: httpx.Client) -> None:
    with client.stream("POST", "/stream", **form(speech(30), options='{"size": 512, "seed": 4}')) as answer:
        next(answer.iter_bytes())
    wait_for(lambda: client.get("/health").json()["queue"]["running"] == 0, 30)


def test_keys_names_bodies_and_sockets_are_checked_as_in_a_server_of_its_own(service: RayService, client: httpx.Client) -> None:
    error(client.get("/jobs/x", headers={"X-API-Key": "another"}), 401)
    error(client.get("/health", headers={"Host": "foreign.example"}), 421)
    error(client.post("/generate", files={"audio": b"x" * 450 * 2**20}), 413)
    error(client.get("/jobs/x"), 404)
    with pytest.raises(websockets.InvalidStatus) as refused:
        connect(f"{service.ws}/jobs/x/events", proxy=None)
    assert refused.value.response.status_code == 401


def test_a_long_queue_brings_another_replica_and_a_killed_one_loses_nothing(service: RayService, client: httpx.Client) -> None:
    jobs = [begin(client, seed, size=512, times=12) for seed in range(10, 15)]  # more than one has done when the other is there
    wait_for(lambda: slots(client) == 2, 120)
    wait_for(lambda: [state(client, job) for job in jobs].count("running") == 2, 120)
    os.kill(service.processes(RENDERER)[0], signal.SIGKILL)
    wait_for(lambda: all(state(client, job) == "done" for job in jobs), 240)
    for job in jobs:
        assert client.get(f"/jobs/{job}/result").content[4:8] == b"ftyp"


def test_it_ends_in_good_order_and_gives_what_was_begun_back(service: RayService, client: httpx.Client, databases: dict[str, str]) -> None:
    jobs = [begin(client, seed, size=512, times=30) for seed in range(20, 23)]
    wait_for(lambda: "running" in [state(client, job) for job in jobs], 120)
    assert service.stop() == 0
    wait_for(lambda: not service.processes(), 60)
    import psycopg

    with psycopg.connect(databases["JOBS_DATABASE"]) as database:
        left = dict(database.execute("SELECT id, state FROM talking_head_1.jobs WHERE id = ANY(%s)", (jobs,)).fetchall())
        alive = "SELECT count(*) FROM talking_head_1.workers WHERE seen > now() - interval '12 s'"  # one was killed, long ago
        workers = database.execute(alive).fetchone()
    assert set(left) == set(jobs)
    assert set(left.values()) <= {"queued", "done"}
    assert "queued" in left.values()
    assert workers == (0,)


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Set TALKING_HEAD_JOBS_DATABASE"), ray_service(tmp_path, {}):
        pass
