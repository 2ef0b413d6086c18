"""The agent's side: the plugin asks a worker over real HTTP, and what it is told when there is no avatar."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import jwt
import numpy as np
import pytest
import uvicorn
from livekit import rtc
from livekit.agents import APIConnectOptions, utils
from livekit.agents.voice.avatar import DataStreamAudioOutput

from core.errors import BusyError, OptionError
from core.request import Controls, RenderOptions
from core.streaming import LiveSession
from core.web.addresses import listen
from integrations.livekit import __main__ as worker
from integrations.livekit.rooms import AvatarRooms
from integrations.livekit.server import MAX_BODY_BYTES, build_app
from integrations.livekit.video_generator import live_options
from tests.support.live_stage import fake_live, rustle
from tests.support.livekit_rooms import MemoryRoom
from tests.support.paths import PORTRAIT, ROOT
from tests.support.streams import FakeEngine, FakeSession

PLUGIN = ROOT / "integrations" / "livekit" / "plugin"
pytestmark = pytest.mark.slow  # for the packages that it needs
KEY = "a-key-of-the-worker"
ONCE = APIConnectOptions(max_retry=0, timeout=10)
AVATAR = "talking-head-avatar"


@pytest.fixture
def talkinghead(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plugin, from its source."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    import livekit.plugins.talkinghead as plugin  # type: ignore[import-not-found]

    return plugin


def open_live() -> LiveSession:
    session = FakeSession(Controls())
    return fake_live(FakeEngine(), session, RenderOptions(), live_options())


class TokenRoom(MemoryRoom):
    """Takes the tokens that the plugin signs, as a LiveKit server does."""

    async def connect(self, url: str, token: str) -> None:
        said = jwt.decode(token, "a-secret-of-the-tests-of-32-bytes-", algorithms=["HS256"])
        assert said["attributes"] == {"lk.publish_on_behalf": "agent"}
        await super().connect(url, f"{said['video']['room']}:{said['sub']}:{said['kind']}")


class Output:
    """As AgentOutput: what the session says goes to `audio`."""

    def __init__(self) -> None:
        self.audio: Any = None

    def replace_audio_tail(self, sink: Any) -> None:
        self.audio = sink


class Stage:
    def __init__(self) -> None:
        self.server: dict[str, dict[str, MemoryRoom]] = {}
        self.room = MemoryRoom(self.server)
        self.output = Output()
        self.session = rtc.EventEmitter()
        self.session.output = self.output
        self.open_live: Callable[[], LiveSession] = open_live
        self.rooms = AvatarRooms("ws://livekit", lambda: self.open_live(), 1, 60.0, new_room=partial(TokenRoom, self.server))  # type: ignore[arg-type]
        self.url = ""

    def avatar(self, plugin: Any, **more: Any) -> Any:
        return plugin.AvatarSession(**{"worker_url": self.url, "worker_key": KEY, "conn_options": ONCE, **more})

    async def start(self, avatar: Any) -> None:
        await avatar.start(
            self.session, room=self.room, livekit_api_key="key", livekit_api_secret="a-secret-of-the-tests-of-32-bytes-"  # noqa: S106
        )


@contextlib.asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A worker on loopback and an agent in its room."""
    made = Stage()
    await made.room.connect("", "room:agent:agent")
    with listen("127.0.0.1", 0) as sock:
        made.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(build_app(made.rooms, KEY), log_level="error"))
        serving = asyncio.create_task(server.serve([sock]))
        async with utils.http_context.open():
            try:
                yield made
            finally:
                server.should_exit = True
                await serving


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def test_an_agent_gets_an_avatar_that_speaks_for_it(talkinghead: Any) -> None:
    async def test() -> None:
        async with stage() as made:
            avatar = made.avatar(talkinghead)
            await made.start(avatar)
            assert (avatar.provider, avatar.avatar_identity) == ("talkinghead", AVATAR)
            await avatar.wait_for_join(timeout=20)
            output = made.output.audio
            assert isinstance(output, DataStreamAudioOutput)
            finished: list[Any] = []
            output.on("playback_finished", finished.append)
            speech = rustle(0.3, 24_000)
            await output.capture_frame(rtc.AudioFrame(speech.tobytes(), 24_000, 1, len(speech)))
            output.flush()
            await output.wait_for_playout()
            assert finished[0].playback_position == pytest.approx(0.3, abs=1e-6)
            await avatar.aclose()

    run(test)


def test_what_is_wrong_is_told_in_a_sentence(talkinghead: Any) -> None:
    async def test() -> None:
        async with stage() as made:
            with pytest.raises(talkinghead.TalkingHeadError, match="The key is wrong"):
                await made.start(made.avatar(talkinghead, worker_key="another-key"))
            with pytest.raises(talkinghead.TalkingHeadError, match="cannot be reached"):
                await made.start(made.avatar(talkinghead, worker_url="http://127.0.0.1:9"))
            with pytest.raises(talkinghead.TalkingHeadError, match="TALKING_HEAD_WORKER_URL that of a worker"):
                await made.start(made.avatar(talkinghead, worker_url=f"{made.url}/elsewhere"))
            assert made.output.audio is None
            assert made.server["room"].keys() == {"agent"}

    run(test)


def test_a_busy_worker_is_asked_again(talkinghead: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrations.livekit.server.RETRY_S", 0.0)

    async def test() -> None:
        async with stage() as made:
            tries = []

            def busy_at_first() -> LiveSession:
                tries.append(1)
                if len(tries) < 3:
                    raise BusyError("The machine is busy.", "Try again later.")
                return open_live()

            made.open_live = busy_at_first
            with pytest.raises(talkinghead.TalkingHeadError, match="The machine is busy. Try again later."):
                await made.start(made.avatar(talkinghead))
            await made.start(made.avatar(talkinghead, conn_options=APIConnectOptions(max_retry=2, timeout=10)))
            assert len(tries) == 3
            with pytest.raises(talkinghead.TalkingHeadError, match="no free place"):
                await made.start(made.avatar(talkinghead, avatar_participant_identity="second"))

    run(test)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"[]", 400), (b'{"token": 1}', 400), (b'{"token": "t", "url": "ws://other"}', 400), (b"{" * 900_000, 413)],
)
def test_what_a_stranger_may_send_is_bounded(body: bytes, status: int) -> None:
    async def test() -> None:
        async with stage() as made:
            session = utils.http_context.http_session()
            assert len(body) <= MAX_BODY_BYTES or status == 413
            async with session.post(f"{made.url}/launch", data=body, headers={"Authorization": f"Bearer {KEY}"}) as answer:
                assert answer.status == status
                assert set((await answer.json())["error"]) == {"message", "hint"}
            async with session.get(f"{made.url}/health") as answer:
                assert await answer.json() == {"free": 1}

    run(test)


def test_settings_that_are_missing_are_named(talkinghead: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TALKING_HEAD_WORKER_URL", "TALKING_HEAD_WORKER_KEY", "LIVEKIT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(talkinghead.TalkingHeadError, match="TALKING_HEAD_WORKER_URL"):
        talkinghead.AvatarSession()

    async def test() -> None:
        avatar = talkinghead.AvatarSession(worker_url="http://127.0.0.1:9", worker_key=KEY)
        with pytest.raises(talkinghead.TalkingHeadError, match="LIVEKIT_API_KEY"):
            await avatar.start(SimpleNamespace(), SimpleNamespace())

    run(test)


def test_the_worker_names_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    given = worker.parse_arguments([str(PORTRAIT)])
    monkeypatch.delenv("LIVEKIT_URL", raising=False)
    with pytest.raises(OptionError, match="LIVEKIT_URL is not set"):
        worker.run(given)
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1:9")
    monkeypatch.setenv("TALKING_HEAD_WORKER_KEY", "short")
    with pytest.raises(OptionError, match="TALKING_HEAD_WORKER_KEY is missing or short"):
        worker.run(given)


def test_the_worker_waits_for_agents_until_it_is_told_to_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "integrations.livekit", str(PORTRAIT), "--port", "0", "--engine", "lite", "--set", "size=128"]
    settings = {"LIVEKIT_URL": "ws://127.0.0.1:9", "TALKING_HEAD_WORKER_KEY": KEY, "TALKING_HEAD_CACHE_DIR": str(tmp_path)}
    environment = {**os.environ, **settings}
    with contextlib.ExitStack() as at_last:
        process = at_last.enter_context(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True))
        at_last.callback(process.kill)
        assert process.stdout
        url = re.findall(r"http://[\d.:]+", process.stdout.readline())[0]
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60, trust_env=False) as client:
            assert client.get("/health").json() == {"free": 4}
            refused = client.post("/launch", json={"token": "token"})  # the real client of LiveKit, and no server
            assert refused.status_code == 502
            assert "LiveKit at ws://127.0.0.1:9 did not let the avatar in" in refused.json()["error"]["message"]
            assert client.get("/health").json() == {"free": 4}
        process.terminate()
        assert process.wait(60) == 0


def test_pip_installs_the_plugin(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), str(PLUGIN)]
    subprocess.run(command, check=True, timeout=180, capture_output=True)
    program = "from livekit.plugins import talkinghead as it; print(it.__file__, it.__version__, it.AvatarSession.__name__)"
    ended = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == [str(tmp_path / "livekit/plugins/talkinghead/__init__.py"), "0.1.0", "AvatarSession"]
    assert np.all([(tmp_path / "livekit/plugins/talkinghead" / name).is_file() for name in ("py.typed", "avatar.py")])
    assert not (tmp_path / "livekit" / "__init__.py").exists()
