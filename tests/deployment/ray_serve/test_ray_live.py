"""Live sessions over Ray: drawn in other processes, held by either of two servers, and what is left of them when a process is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="Ray, which shares sessions among machines, is not installed")

from core.media.image import load_image  # noqa: E402
from core.service.owners import owner_name  # noqa: E402
from core.settings import Settings  # noqa: E402
from core.studio import Studio, open_studio  # noqa: E402
from deploy.ray_live import RayLiveSessions  # noqa: E402
from deploy.ray_session import NAMESPACE  # noqa: E402
from tests.support.live_caller import Caller, call  # noqa: E402
from tests.support.live_streams import SPEECH_S, check_frames, check_sound, last_event, speak, spoken, stream_of  # noqa: E402
from tests.support.paths import PORTRAIT  # noqa: E402
from tests.support.render_replicas import begin_replica, cluster  # noqa: E402
from tests.support.replica_pool import ReplicaPool  # noqa: E402
from tests.support.serving import KEY, OTHER_KEY, PATIENCE_S, Serving, serving, wait_for  # noqa: E402

pytestmark = pytest.mark.slow

START = {"type": "start", "engine": "lite", "options": {"size": 128}}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("shared")
    studio = open_studio(Settings(output_dir=folder / "outputs", cache_dir=folder / "caches"), serving=True)
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def token(studio: Studio) -> str:
    return studio.preload_avatar(load_image(PORTRAIT, studio.settings), owner_name("api", KEY), engine="lite", consent=True).token


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    with cluster():
        yield


class Replicas:
    """Two render replicas; one that was killed is begun again for the next test."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._actors = settings, {name: begin_replica(name, settings) for name in ("first", "second")}

    def n_live(self) -> list[int]:
        return [ray.get(actor.n_live.remote()) for actor in self._actors.values()]

    def stop(self, name: str) -> None:
        ray.get(self._actors[name].stop.remote())

    def kill(self, name: str) -> None:
        os.kill(ray.get(self._actors[name].pid.remote()), signal.SIGKILL)

    def again(self, name: str) -> None:
        ray.kill(self._actors[name])
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._actors[name] = begin_replica(name, self._settings)
                return
            except ValueError:  # its name is not free yet
                assert time.monotonic() < deadline
                time.sleep(0.1)


@pytest.fixture(scope="module")
def replicas(studio: Studio, ray_cluster: None) -> Replicas:
    return Replicas(studio.settings)


@pytest.fixture(scope="module")
def servers(studio: Studio, replicas: Replicas, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, Serving]]:
    pool = ReplicaPool(["first", "second"])

    def source() -> RayLiveSessions:
        return RayLiveSessions(studio.settings, pool)

    with (
        serving(studio, tmp_path_factory.mktemp("one"), source(), max_live=9, owner_max_live=9) as one,
        serving(studio, tmp_path_factory.mktemp("other"), source(), max_live=9, owner_max_live=9) as other,
    ):
        yield one, other


def actors() -> list[str]:
    return [each["name"] for each in ray.util.list_named_actors(all_namespaces=True) if each["namespace"] == NAMESPACE]


def loaded_by_sessions() -> set[str]:
    """Packages whose libraries are in the processes of sessions, one of which there is at least."""
    pids = [place.parent.name for place in Path("/proc").glob("[0-9]*/cmdline") if b"ray::SessionActor" in place.read_bytes()]
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in pids)
    packages = set(re.findall(r"/site-packages/([^/\n]+)/", maps))
    assert "numpy" in packages
    return packages


def n_begun() -> int:
    """Actors of sessions so far, with those that have ended."""
    return sum(each["ActorClassName"] == "SessionActor" for each in ray._private.state.actors().values())


@pytest.fixture(autouse=True)
def _no_session_is_left(servers: tuple[Serving, Serving]) -> Iterator[None]:
    yield
    for server in servers:
        for session in list(server.context.live._sessions.values()):
            server.context.live.end(session)
    wait_for(lambda: not actors())


def test_a_session_is_drawn_in_another_process_and_leaves_nothing(
    servers: tuple[Serving, Serving], replicas: Replicas, studio: Studio, token: str
) -> None:
    async def test() -> None:
        async with call(servers[0], token) as caller:
            await caller.say(**START)
            ready = await caller.event("ready")
            assert (ready["engine"], ready["width"], ready["resumed"]) == ("lite", 128, False)
            assert await asyncio.to_thread(replicas.n_live) == [1, 0]
            assert studio.live_load.stats()["sessions"] == 0
            assert not loaded_by_sessions() & {"av", "cv2", "torch", "onnxruntime", "PIL"}, "it would take as much memory for each session"
            await speak(caller)
            await spoken(caller)
            await caller.say(type="controls", controls={"blink": 99})
            refused = await caller.event("error")
            assert refused["error"]["type"] == "OptionError"
            await caller.say(type="close")
            assert (await caller.end())[0] == 1000
            stream = stream_of(caller)
            assert check_frames(stream) >= SPEECH_S * 25
            check_sound(stream, caller.events)
        wait_for(lambda: not actors() and replicas.n_live() == [0, 0])

    asyncio.run(test())


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_another_replica_goes_on_with_a_session(servers: tuple[Serving, Serving], replicas: Replicas, token: str, how: str) -> None:
    async def test() -> None:
        async with call(servers[0], token) as caller:
            await caller.say(**START)
            await caller.event("ready")
            began_s = time.monotonic()
            await speak(caller)
            await caller.event("speaking")
            await caller.until(lambda: len(caller.media) > 20)
            await asyncio.to_thread(replicas.kill if how == "kill" else replicas.stop, "first")
            await spoken(caller)
            lasted_s = time.monotonic() - began_s
            stream = stream_of(caller)
            frames = check_frames(stream)
            check_sound(stream, caller.events)
            assert frames / 25 > lasted_s - 1.0, "no more than a second is missing"
            assert (await asyncio.to_thread(replicas.n_live) if how == "stop" else [0, 1]) == [0, 1]
            await caller.say(type="close")
            await caller.end()

    asyncio.run(test())
    replicas.again("first")


def test_a_client_comes_back_to_another_server(servers: tuple[Serving, Serving], token: str) -> None:
    async def test() -> None:
        async with call(servers[0], token) as before:
            await before.say(**START)
            ready = await before.event("ready")
            await speak(before)
            await before.event("speaking")
            before.socket.transport.abort()
        async with call(servers[1], token) as after:
            about = {"session": ready["session"], "secret": ready["secret"]}
            await after.say(type="resume", **about, received=before.sequences()[-1], event=last_event(before))
            again = await after.event("ready")
            assert (again["resumed"], again["received"], again["width"]) == (True, 2, 128)
            await spoken(after)
            stream = stream_of(before, after)
            check_frames(stream)
            check_sound(stream, before.events + after.events)
            async with call(servers[0], token) as third:  # and back again, while the second connection lives
                await third.say(type="resume", **about, received=after.sequences()[-1], event=last_event(after))
                assert (await third.event("ready"))["resumed"]
                assert (await after.end())[0] in (1001, 4409)
                await third.say(type="close")
                assert (await third.end())[0] == 1000
        wait_for(lambda: not actors())

    asyncio.run(test())


def test_a_server_that_stops_leaves_its_sessions_to_the_others(
    servers: tuple[Serving, Serving], studio: Studio, token: str, tmp_path: Path
) -> None:
    async def test() -> None:
        with contextlib.ExitStack() as stack:
            source = RayLiveSessions(studio.settings, ReplicaPool(["first", "second"]))
            stopping = stack.enter_context(serving(studio, tmp_path, source))
            async with call(stopping, token) as before:
                await before.say(**START)
                ready = await before.event("ready")
                await before.until(lambda: len(before.media) > 5)
                ending = asyncio.create_task(asyncio.to_thread(stack.close))
                assert (await before.end())[0] == 4307
                await ending
        about = {"session": ready["session"], "secret": ready["secret"], "received": before.sequences()[-1]}
        async with call(servers[1], token) as after:
            await after.say(type="resume", **about)
            assert (await after.event("ready"))["resumed"]
            await speak(after)
            await spoken(after)
            stream = stream_of(before, after)
            check_frames(stream)
            check_sound(stream, after.events)
            await after.say(type="close")
            await after.end()

    asyncio.run(test())


def test_a_session_is_nobody_elses(servers: tuple[Serving, Serving], studio: Studio, token: str) -> None:
    other = studio.preload_avatar(
        load_image(PORTRAIT, studio.settings), owner_name("api", OTHER_KEY), engine="lite", consent=True
    ).token

    async def refused(server: Serving, key: str, avatar: str, session: str, secret: str) -> None:
        async with call(server, avatar, key) as caller:
            await caller.say(type="resume", session=session, secret=secret)
            code, event = await caller.end()
            assert (code, event["error"]["type"]) == (4404, "UnknownLiveSession")

    async def test() -> None:
        async with call(servers[0], token) as caller:
            await caller.say(**START)
            ready = await caller.event("ready")
            for server in servers:
                await refused(server, OTHER_KEY, other, ready["session"], ready["secret"])
                await refused(server, KEY, token, ready["session"], "x" * 32)
            await speak(caller, 0.5)
            await caller.event("idle")  # it goes on
            await caller.say(type="close")
            await caller.end()

    asyncio.run(test())


def test_an_owner_has_so_many_sessions_on_all_servers_together(servers: tuple[Serving, Serving], studio: Studio, token: str) -> None:
    async def begun(caller: Caller) -> dict[str, Any]:
        await caller.say(**START)
        await caller.until(lambda: any(event["type"] in ("ready", "error") for event in caller.events))
        return caller.events[0]

    async def test() -> None:
        assert studio.settings.owner_max_live == 2
        async with call(servers[0], token) as one, call(servers[1], token) as two:
            assert [(await begun(caller))["type"] for caller in (one, two)] == ["ready", "ready"]

            async def watched(caller: Caller) -> None:
                while True:
                    await caller.until(lambda: False)

            reading = [asyncio.create_task(watched(caller)) for caller in (one, two)]
            before = n_begun()
            async with call(servers[0], token) as three:
                assert (await begun(three))["error"]["type"] == "TooMany"
            assert n_begun() == before, "no process is begun for it"
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            two.socket.transport.abort()
            await asyncio.sleep(2.0)
            async with call(servers[0], token) as four:
                assert (await begun(four))["type"] == "ready", "of a client that is gone the place is taken"
            assert len(actors()) == 2

    asyncio.run(test())
