"""Live sessions over Ray Serve: a client at an ingress, the person drawn by a render replica, and another one where that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.databases import PostgresServer, RedisServer
from tests.support.live_caller import Caller, call
from tests.support.live_streams import check_frames, check_sound, speak, spoken, stream_of
from tests.support.ray_service import RayService, ray_service
from tests.support.serving import form, wait_for

pytestmark = pytest.mark.slow

RENDERER, SESSION = "ServeReplica:default:Renderer", "SessionActor"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayService]:
    folder = tmp_path_factory.mktemp("shared")
    postgres, redis = PostgresServer(folder), RedisServer(folder)
    postgres.start()
    redis.start()
    shared = {"JOBS_DATABASE": postgres.url, "REDIS_URL": redis.url, "OUTPUT_DIR": str(folder / "out"), "CACHE_DIR": str(folder / "cache")}
    replicas = {"MIN_RENDERERS": "2", "MAX_RENDERERS": "2", "RENDER_CPUS": "0.5", "DRAIN_S": "1", "STOP_GRACE_S": "1", "PAGE": "false"}
    with ray_service(tmp_path_factory.mktemp("ray"), {**shared, **replicas}) as started:
        yield started
    redis.stop()
    postgres.stop()


def test_a_session_goes_on_whichever_replica_is_killed(service: RayService) -> None:
    with service.client() as client:
        wait_for(lambda: client.get("/health").json()["queue"]["slots"] == 2, 120)
        token = client.post("/avatars", **form(audio=None)).json()["token"]

    async def test() -> None:
        async with call(service, token) as caller:
            await caller.say(type="start", engine="lite", options={"size": 128})
            ready = await caller.event("ready")
            assert (ready["engine"], ready["width"]) == ("lite", 128)
            for pid in await asyncio.to_thread(service.processes, RENDERER):
                await spoken_through(caller, pid)
            assert len(service.processes(SESSION)) == 1
            check_frames(stream_of(caller))
            await caller.say(type="close")
            assert (await caller.end())[0] == 1000

    async def spoken_through(caller: Caller, pid: int) -> None:
        """One replica dies while a sentence is spoken, and all of it is heard."""
        caller.events.clear()
        await speak(caller)
        await caller.event("speaking")
        n = len(caller.media)
        await caller.until(lambda: len(caller.media) > n + 10)
        os.kill(pid, signal.SIGKILL)
        await spoken(caller)
        check_sound(stream_of(caller), caller.events)
        await asyncio.to_thread(wait_for, lambda: len(service.processes(RENDERER)) == 2, 120)

    asyncio.run(test())
    wait_for(lambda: not service.processes(SESSION), 60)
