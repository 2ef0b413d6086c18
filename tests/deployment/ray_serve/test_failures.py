"""The service over Ray Serve while what it needs is away, is slow, or dies: each job that was accepted is done, others are refused with
a reason. Two machines without a common folder, over PostgreSQL, Redis and a bucket; the clock of the second is a minute ahead.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import threading
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.support.databases import PostgresServer, RedisServer
from tests.support.live_caller import Caller, call
from tests.support.live_caller import speech as samples
from tests.support.live_streams import check_frames, check_sound, last_event, speak, spoken, stream_of
from tests.support.paths import ROOT
from tests.support.ray_service import RayService, ray_service
from tests.support.s3 import BUCKET, CREDENTIALS, S3Server, Way
from tests.support.serving import form, wait_for

pytestmark = pytest.mark.slow

RENDERER, INGRESS = "ServeReplica:default:Renderer", "ServeReplica:default:Ingress"
AWAY_S, EVERY_S, PATIENCE_S = 20.0, 1.5, 240.0
AHEAD_S = 60.0
SPOKEN = 2
"""Speeches of 3 s that are begun and spoken to the end while something is away, at least."""


@dataclass
class World:
    """database: its address. ways: to what the machines share. machines: the folders of each."""

    service: RayService
    database: str
    ways: dict[str, Way]
    machines: list[Path]
    token: str = ""
    seeds: Iterator[int] = field(default_factory=lambda: iter(range(1, 100_000)))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("shared")
    postgres, redis, s3 = PostgresServer(folder), RedisServer(folder), S3Server(folder)
    machines = [tmp_path_factory.mktemp("machine") for _ in range(2)]
    with contextlib.ExitStack() as stack:
        for server in (postgres, redis, s3):
            server.start()
            stack.callback(server.stop)
        ways = {"postgres": Way(postgres.port), "redis": Way(redis.port), "s3": Way(s3.port)}
        for way in ways.values():
            stack.callback(way.cut)
        shared = {
            "JOBS_DATABASE": postgres.url.replace(str(postgres.port), str(ways["postgres"].port)),
            "REDIS_URL": redis.url.replace(str(redis.port), str(ways["redis"].port)),
            "S3_BUCKET": f"s3://{BUCKET}/talk", "S3_ENDPOINT": ways["s3"].url,
        }  # fmt: skip
        replicas = {"MIN_RENDERERS": "2", "MAX_RENDERERS": "2", "RENDER_CPUS": "1", "DRAIN_S": "1", "STOP_GRACE_S": "1", "PAGE": "false"}
        limits = {"REQUESTS_PER_MINUTE": "100000", "JOBS_PER_MINUTE": "100000"}
        nodes = [
            {**CREDENTIALS, "TALKING_HEAD_OUTPUT_DIR": str(own / "out"), "TALKING_HEAD_CACHE_DIR": str(own / "cache")} for own in machines
        ]
        nodes[1] |= {"TESTS_CLOCK_AHEAD_S": str(AHEAD_S), "PYTHONPATH": str(ROOT / "tests" / "support" / "skewed_clock")}
        settings = {**shared, **replicas, **limits}
        service = stack.enter_context(ray_service(tmp_path_factory.mktemp("ray"), settings, nodes))
        world = World(service, postgres.url, ways, machines)
        whole(world)
        with service.client() as client:
            answer = client.post("/avatars", **form(audio=None))
            assert answer.status_code == 201, answer.text
            world.token = answer.json()["token"]
        yield world


def whole(world: World) -> None:
    """Waits until both render replicas and the ingress are there, and nothing that they need is away."""
    with world.service.client() as client:

        def is_whole() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                health = client.get("/health").json()
                return health["queue"]["slots"] >= 2 and not health["degraded"]
            return False

        wait_for(is_whole, PATIENCE_S)
    wait_for(lambda: len(world.service.processes(RENDERER)) == 2, PATIENCE_S)


class Asking:
    """Asks for a short video again and again, from another thread, until the block ends.

    refused: the answers to what was not accepted. unheard: how often nobody answered.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.accepted: list[str] = []
        self.refused: list[httpx.Response] = []
        self.unheard = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        with self._world.service.client() as client:
            while not self._ending.is_set():
                options = json.dumps({"size": 128, "seed": next(self._world.seeds)})
                try:
                    answer = client.post("/generate?async=1", **form(_RECORDING, options=options))
                except httpx.TransportError:
                    self.unheard += 1
                else:
                    if answer.status_code == 202:
                        self.accepted.append(answer.json()["id"])
                    else:
                        self.refused.append(answer)
                self._ending.wait(EVERY_S)

    def check(self) -> None:
        """All that was accepted is done and can be had, and whoever was refused was told why."""
        for answer in self.refused:
            assert answer.status_code in (503, 429), answer.text
            assert answer.json()["error"]["message"]
        assert self.accepted
        with self._world.service.client() as client:
            wait_for(lambda: all(state(client, job) == "done" for job in self.accepted), PATIENCE_S)
            for job in self.accepted:
                assert client.get(f"/jobs/{job}/result").content[4:8] == b"ftyp"


class Talking:
    """Speaks to a live session again and again, from another thread, until the block ends. n_spoken: how often it was spoken to the end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.n_spoken = 0
        self._begun, self._ending = threading.Event(), threading.Event()
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Talking:
        self._talked = self._thread.submit(lambda: asyncio.run(self._talk()))
        self._talked.add_done_callback(lambda _: self._begun.set())
        assert self._begun.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.shutdown()

    async def _talk(self) -> Caller:
        async with call(self._world.service, self._world.token) as caller:
            await caller.say(type="start", engine="lite", options={"size": 128})
            await caller.event("ready")
            self._begun.set()
            while not self._ending.is_set():
                await speak(caller)
                await spoken(caller, self.n_spoken + 1)
                self.n_spoken += 1
            await caller.say(type="close")
            assert (await caller.end())[0] == 1000
            return caller

    def check(self) -> None:
        """Its client got one stream, with each frame and all that was spoken."""
        caller = self._talked.result()
        stream = stream_of(caller)
        check_frames(stream)
        assert check_sound(stream, caller.events) == self.n_spoken


def _short_recording() -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as recording:
        recording.setparams((1, 2, 16_000, 0, "NONE", ""))
        recording.writeframes(samples(0.5))
    return made.getvalue()


_RECORDING = _short_recording()


def state(client: httpx.Client, job_id: str) -> str:
    """ "" while it cannot be said. A job that failed, or is not known any more, ends the test."""
    try:
        answer = client.get(f"/jobs/{job_id}")
    except httpx.TransportError:
        return ""
    assert answer.status_code in (200, 503), answer.text
    told = str(answer.json().get("state", ""))
    assert told in ("", "queued", "running", "done"), answer.text
    return told


def messages(asking: Asking) -> set[str]:
    return {answer.json()["error"]["message"] for answer in asking.refused}


def test_both_machines_make_videos_and_share_nothing_but_the_bucket(world: World) -> None:
    """Also with clocks that are a minute apart."""
    with Asking(world) as asking:
        wait_for(lambda: all(list(own.glob("cache/results/*/*/video.mp4")) for own in world.machines), PATIENCE_S)
    asking.check()
    assert not asking.refused
    import psycopg

    with psycopg.connect(world.database) as database:
        rows = database.execute("SELECT started_s - created_s FROM talking_head_1.jobs WHERE id = ANY(%s)", (asking.accepted,)).fetchall()
    waited = [seconds for (seconds,) in rows]
    assert max(waited) - min(waited) > AHEAD_S / 2, "both clocks are in it"


@pytest.mark.parametrize(("what", "part"), [("postgres", "jobs"), ("s3", "files")])
def test_what_was_accepted_is_done_after_a_store_was_away_and_a_live_session_goes_on(world: World, what: str, part: str) -> None:
    whole(world)
    with Talking(world) as talking, Asking(world) as asking, world.service.client() as client:
        wait_for(lambda: len(asking.accepted) > 1, PATIENCE_S)
        before = talking.n_spoken
        world.ways[what].cut()
        try:
            since_s = time.monotonic()
            wait_for(lambda: asking.refused, PATIENCE_S)
            wait_for(lambda: part in [one["part"] for one in client.get("/health").json()["degraded"]], PATIENCE_S)
            time.sleep(max(0.0, AWAY_S - (time.monotonic() - since_s)))
            assert talking.n_spoken - before >= SPOKEN
        finally:
            world.ways[what].mend()
        n = len(asking.accepted)
        wait_for(lambda: len(asking.accepted) > n, PATIENCE_S)
    assert all("does not answer" in message for message in messages(asking))
    talking.check()
    asking.check()
    assert asking.unheard == 0
    whole(world)


def test_nobody_is_refused_while_redis_is_away_and_a_live_session_goes_on(world: World) -> None:
    whole(world)
    with Talking(world) as talking, Asking(world) as asking:
        world.ways["redis"].cut()
        try:
            time.sleep(AWAY_S)
            assert talking.n_spoken >= SPOKEN
        finally:
            world.ways["redis"].mend()
    talking.check()
    asking.check()
    assert (asking.refused, asking.unheard) == ([], 0)
    whole(world)


def test_a_slow_bucket_delays_and_loses_nothing(world: World) -> None:
    whole(world)
    world.ways["s3"].late_s = 1.0
    try:
        with Asking(world) as asking:
            wait_for(lambda: len(asking.accepted) > 2, PATIENCE_S)
            with world.service.client() as client:
                wait_for(lambda: state(client, asking.accepted[0]) == "done", PATIENCE_S)
    finally:
        world.ways["s3"].late_s = 0.0
    asking.check()
    assert asking.unheard == 0


def test_a_killed_render_replica_loses_nothing(world: World) -> None:
    whole(world)
    with Asking(world) as asking:
        wait_for(lambda: len(asking.accepted) > 1, PATIENCE_S)
        os.kill(world.service.processes(RENDERER)[-1], signal.SIGKILL)
        n = len(asking.accepted)
        wait_for(lambda: len(asking.accepted) > n + 4, PATIENCE_S)
    asking.check()
    assert (asking.refused, asking.unheard) == ([], 0)


def test_a_killed_ingress_loses_neither_jobs_nor_live_sessions(world: World) -> None:
    """Ray Serve starts another one; its clients ask again, by what they were told."""
    whole(world)

    async def resumed(ready: dict[str, str], before: Caller) -> None:
        async with call(world.service, world.token) as after:
            about = {"session": ready["session"], "secret": ready["secret"]}
            await after.say(type="resume", **about, received=before.sequences()[-1], event=last_event(before))
            assert (await after.event("ready"))["resumed"]
            stream_of(before, after)
            await after.say(type="close")
            assert (await after.end())[0] == 1000

    async def test() -> None:
        async with call(world.service, world.token) as before:
            await before.say(type="start", engine="lite", options={"size": 128})
            ready = await before.event("ready")
            await before.until(lambda: len(before.media) > 5)
            killed = world.service.processes(INGRESS)
            os.kill(killed[0], signal.SIGKILL)
            await before.end()
        await asyncio.to_thread(wait_for, lambda: set(world.service.processes(INGRESS)) - set(killed), PATIENCE_S)
        await asyncio.to_thread(whole, world)
        await resumed(ready, before)

    with Asking(world) as asking:
        wait_for(lambda: len(asking.accepted) > 1, PATIENCE_S)
        asyncio.run(test())
        n = len(asking.accepted)
        wait_for(lambda: len(asking.accepted) > n + 1, PATIENCE_S)
    asking.check()
