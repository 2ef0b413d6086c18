"""The worker in a room with an agent: the real runner, receiver and sender of speech, over rooms in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents.voice.avatar import AvatarRunner, DataStreamAudioOutput
from livekit.agents.voice.io import PlaybackFinishedEvent
from numpy.typing import NDArray

from core.errors import BusyError
from core.request import Controls, RenderOptions
from core.streaming import LiveSession
from integrations.livekit import rooms as rooms_module
from integrations.livekit.receivers import QueueReceiver
from integrations.livekit.rooms import AvatarRooms, RoomError
from integrations.livekit.video_generator import LiveVideoGenerator, live_options
from tests.support.live_stage import fake_live, rustle
from tests.support.livekit_rooms import MemoryRoom
from tests.support.streams import FakeEngine, FakeSession

pytestmark = pytest.mark.slow  # for the packages that it needs
RATE_HZ = 24_000
AVATAR = "talking-head"


def open_live() -> LiveSession:
    session = FakeSession(Controls())
    return fake_live(FakeEngine(), session, RenderOptions(), live_options(RATE_HZ))


class Captured:
    """All that runners put into the sources of their tracks, which is what a room sees and hears; `heard` in order of time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pictures: list[int] = []
        self.heard: list[NDArray[np.int16]] = []
        self.cleared = 0
        hear, see, clear = rtc.AudioSource.capture_frame, rtc.VideoSource.capture_frame, rtc.AudioSource.clear_queue

        async def capture_sound(source: Any, frame: Any) -> None:
            self.heard.append(np.frombuffer(frame.data, np.int16).copy())
            await hear(source, frame)

        def capture_picture(source: Any, frame: Any, **more: Any) -> None:
            self.pictures.append(int(frame.data[0]))
            see(source, frame, **more)

        def clear_queue(source: Any) -> None:
            self.cleared += 1
            clear(source)

        monkeypatch.setattr(rtc.AudioSource, "capture_frame", capture_sound)
        monkeypatch.setattr(rtc.VideoSource, "capture_frame", capture_picture)
        monkeypatch.setattr(rtc.AudioSource, "clear_queue", clear_queue)

    def sound(self) -> NDArray[np.int16]:
        return np.concatenate(self.heard or [np.zeros(0, np.int16)])


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> Captured:
    return Captured(monkeypatch)


class Agent:
    """An agent's side: the real sender of speech, and what it was told."""

    def __init__(self, room: MemoryRoom, avatar: str) -> None:
        self.room = room
        self.output = DataStreamAudioOutput(
            room, destination_identity=avatar, sample_rate=RATE_HZ, wait_remote_track=rtc.TrackKind.KIND_VIDEO, wait_playback_start=True
        )
        self.started = 0
        self.finished: list[PlaybackFinishedEvent] = []
        self.output.on("playback_finished", self.finished.append)
        self.output.on("playback_started", self._on_started)

    def _on_started(self, _: Any) -> None:
        self.started += 1

    async def say(self, samples: NDArray[np.int16]) -> None:
        for part in np.array_split(samples, max(1, len(samples) // 2_400)):
            await self.output.capture_frame(rtc.AudioFrame(part.tobytes(), RATE_HZ, 1, len(part)))
        self.output.flush()


@contextlib.asynccontextmanager
async def worker(server: dict[str, dict[str, MemoryRoom]], most: int = 2, longest_s: float = 60.0) -> AsyncIterator[AvatarRooms]:
    made = AvatarRooms("ws://127.0.0.1:9", open_live, most, longest_s, new_room=partial(MemoryRoom, server))  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.aclose()


async def agent_in(server: dict[str, dict[str, MemoryRoom]], name: str = "room", avatar: str = AVATAR) -> Agent:
    room = MemoryRoom(server)
    await room.connect("", f"{name}:agent:agent")
    return Agent(room, avatar)


async def until(true: Callable[[], Any], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def test_an_agent_in_the_room_is_spoken_for_and_told_when_and_how_far(captured: Captured) -> None:
    async def test() -> None:
        server: dict[str, dict[str, MemoryRoom]] = {}
        agent = await agent_in(server)
        async with worker(server) as rooms:
            await rooms.join(f"room:{AVATAR}:standard")
            speech = [rustle(0.83, RATE_HZ, seed=1), rustle(0.41, RATE_HZ, seed=2)]
            await agent.say(speech[0])
            await until(lambda: len(agent.finished) == 1)
            await agent.say(speech[1])
            await until(lambda: len(agent.finished) == 2)
            assert agent.started == 2
            assert [event.interrupted for event in agent.finished] == [False, False]
            assert [event.playback_position for event in agent.finished] == pytest.approx([0.83, 0.41], abs=1e-6)
            assert np.abs(captured.sound().astype(int) - np.concatenate(speech)).max() <= 1
            assert len(captured.pictures) >= 25
            assert {track.kind for track in agent.room.remote_participants[AVATAR].track_publications.values()} == {
                rtc.TrackKind.KIND_AUDIO, rtc.TrackKind.KIND_VIDEO,
            }  # fmt: skip

    run(test)


def test_an_interruption_is_heard_at_once_and_its_place_is_told(captured: Captured) -> None:
    async def test() -> None:
        server: dict[str, dict[str, MemoryRoom]] = {}
        agent = await agent_in(server)
        async with worker(server) as rooms:
            await rooms.join(f"room:{AVATAR}:standard")
            for turn in range(4):
                captured.heard.clear()
                await agent.say(np.full(5 * RATE_HZ, 20_000, np.int16))
                await until(lambda: len(captured.sound()) > 0.4 * RATE_HZ)
                cleared = captured.cleared
                agent.output.clear_buffer()
                await until(lambda turn=turn: len(agent.finished) == 2 * turn + 1)
                handed_out = len(captured.sound()) / RATE_HZ
                position = agent.finished[-1].playback_position
                assert agent.finished[-1].interrupted
                assert captured.cleared > cleared  # what lay in the room's queue was never heard
                assert handed_out - 0.15 <= position <= handed_out
                captured.heard.clear()
                quiet = np.full(RATE_HZ // 4, 2_000, np.int16)
                await agent.say(quiet)
                await until(lambda turn=turn: len(agent.finished) == 2 * turn + 2)
                assert not agent.finished[-1].interrupted
                assert agent.finished[-1].playback_position == pytest.approx(0.25, abs=1e-6)
                assert np.array_equal(captured.sound(), quiet)
            assert agent.started == 8

    run(test)


def test_two_rooms_with_agents_of_one_name_do_not_interrupt_each_other(captured: Captured) -> None:
    async def test() -> None:
        server: dict[str, dict[str, MemoryRoom]] = {}
        agents = [await agent_in(server, name, f"{AVATAR}-{name}") for name in ("first", "second")]
        async with worker(server) as rooms:
            for name in ("first", "second"):
                await rooms.join(f"{name}:{AVATAR}-{name}:standard", "agent")
            await agents[0].say(rustle(0.8, RATE_HZ))
            await until(lambda: len(captured.sound()) > 0)
            receiver = server["second"][f"{AVATAR}-second"].local_participant
            reached = receiver._rpc_handlers["lk.clear_buffer"](rtc.RpcInvocationData("1", "agent", "", 5.0))
            assert reached == "ok"
            await until(lambda: agents[0].finished)
            assert not agents[0].finished[0].interrupted
            assert agents[0].finished[0].playback_position == pytest.approx(0.8, abs=1e-6)

    run(test)


def test_the_avatar_leaves_with_its_agent_and_makes_room(captured: Captured) -> None:
    async def test() -> None:
        server: dict[str, dict[str, MemoryRoom]] = {}
        agent = await agent_in(server)
        async with worker(server, most=1) as rooms:
            await rooms.join(f"room:{AVATAR}:standard")
            assert rooms.free == 0
            with pytest.raises(BusyError, match="no free place"):
                await rooms.join("other:avatar:standard")
            await until(lambda: captured.pictures)
            await agent.room.disconnect()
            await until(lambda: rooms.free == 1)
            assert server["room"] == {}

    run(test)


def test_the_avatar_leaves_when_its_time_is_over_or_no_agent_comes(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms_module, "AGENT_S", 0.2)

    async def test() -> None:
        server: dict[str, dict[str, MemoryRoom]] = {}
        async with worker(server, longest_s=0.5) as rooms:
            await rooms.join(f"room:{AVATAR}:standard")
            await until(lambda: rooms.free == 2)
            await agent_in(server)
            await rooms.join(f"room:{AVATAR}:standard")
            await until(lambda: captured.pictures)
            await until(lambda: rooms.free == 2)
            assert set(server["room"]) == {"agent"}

    run(test)


def test_an_engine_that_fails_ends_the_visit_and_not_the_worker(captured: Captured, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        server: dict[str, dict[str, MemoryRoom]] = {}
        agent = await agent_in(server)
        live = open_live()

        def fail() -> None:
            raise RuntimeError("the engine broke")

        live._renderer._session.before_frame = fail  # type: ignore[attr-defined]
        async with worker(server) as rooms:
            rooms._open_live = lambda: live
            await rooms.join(f"room:{AVATAR}:standard")
            await until(lambda: captured.pictures)
            await agent.say(rustle(0.5, RATE_HZ))
            await until(lambda: rooms.free == 2)
            assert set(server["room"]) == {"agent"}
            assert live.closed

    run(test)
    assert "had to leave room room" in caplog.text


def test_what_livekit_refuses_takes_no_place() -> None:
    async def test() -> None:
        async with worker({}) as rooms:
            with pytest.raises(RoomError, match="the token is not valid"):
                await rooms.join("nonsense")
            assert rooms.free == 2
        with pytest.raises(BusyError):
            await rooms.join(f"room:{AVATAR}:standard")

    run(test)


class LeftRoom:
    """Never lets anybody in in time, and notes who leaves."""

    def __init__(self) -> None:
        self.left = False

    async def connect(self, url: str, token: str) -> None:
        await asyncio.sleep(60)

    async def disconnect(self) -> None:
        self.left = True


def test_a_room_that_takes_too_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms_module, "CONNECT_S", 0.05)

    async def test() -> None:
        room: Any = LeftRoom()
        rooms = AvatarRooms("", open_live, 1, 60.0, lambda: room)
        with pytest.raises(RoomError):
            await rooms.join("token")
        assert room.left
        assert rooms.free == 1

    run(test)


def test_a_session_that_cannot_be_used_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[LiveSession] = []

    def opened() -> LiveSession:
        made.append(open_live())
        return made[-1]

    def fails(live: LiveSession) -> None:
        raise BusyError("The engine failed.")

    monkeypatch.setattr(rooms_module, "LiveVideoGenerator", fails)

    async def test() -> None:
        with pytest.raises(BusyError):
            await AvatarRooms("", opened, 1, 60.0).join("token")
        assert made[0].closed

    run(test)


def test_a_server_that_is_not_there_is_said() -> None:
    async def test() -> None:
        rooms = AvatarRooms("ws://127.0.0.1:9", open_live, 1, 60.0)  # the real client of LiveKit
        with pytest.raises(RoomError, match="did not let the avatar in"):
            await rooms.join("token")
        assert rooms.free == 1

    run(test)


def test_an_agent_of_this_process_speaks_through_a_queue(captured: Captured) -> None:
    """As in examples/livekit_agent.py: no second participant, and no copy of the sound over the network."""

    async def test() -> None:
        server: dict[str, dict[str, MemoryRoom]] = {}
        room = MemoryRoom(server)
        await room.connect("", "room:agent:agent")
        generator = LiveVideoGenerator(open_live())
        output = QueueReceiver(generator)
        finished: list[PlaybackFinishedEvent] = []
        output.on("playback_finished", finished.append)
        runner = AvatarRunner(room, audio_recv=output, video_gen=generator, options=generator.options)  # type: ignore[arg-type]
        generator.attach(runner.av_sync)
        await runner.start()
        speech = rustle(0.5, RATE_HZ)
        await output.capture_frame(rtc.AudioFrame(speech.tobytes(), RATE_HZ, 1, len(speech)))
        output.flush()
        await until(lambda: finished)
        assert finished[0].playback_position == pytest.approx(0.5, abs=1e-6)
        loud = np.full(3 * RATE_HZ, 20_000, np.int16)
        await output.capture_frame(rtc.AudioFrame(loud.tobytes(), RATE_HZ, 1, len(loud)))
        await until(lambda: len(captured.sound()) > RATE_HZ)
        output.clear_buffer()
        await until(lambda: len(finished) == 2)
        assert finished[1].interrupted
        assert 0.3 < finished[1].playback_position <= len(captured.sound()) / RATE_HZ - 0.5
        await runner.aclose()
        await generator.aclose()
        assert [each.interrupted for each in finished] == [False, True]

    run(test)
