"""WS /live through a real server: speech in, video out, and everything that can go wrong in between."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import av
import httpx
import numpy as np
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from core.engines.lite import LiteSession
from core.studio import Studio
from core.web.api.live_protocol import HEADER, INIT, PICTURE, SEGMENT, SOUND, SPEAKS
from tests.serving import KEY, OTHER_KEY, SPEECH, Serving, forget_people, form, serving, wait_for

START = {"type": "start", "options": {"size": 64}}


@pytest.fixture(scope="module")
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(studio, tmp_path_factory.mktemp("server"), max_live=3, owner_max_live=2) as server:
        yield server
    forget_people(studio)


@pytest.fixture(scope="module")
def token(server: Serving) -> Iterator[str]:
    with server.client() as client:
        token = client.post("/avatars", **form(audio=None)).json()["token"]
        yield token
        client.delete(f"/avatars/{token}")


@pytest.fixture(autouse=True)
def _no_seat_is_left(server: Serving) -> Iterator[None]:
    yield
    for seat in list(server.context.live._sessions.values()):
        server.context.live.end(seat)
    wait_for(lambda: server.context.live.n_sessions == 0)


class Caller:
    """One connection, as a client sees it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.socket = connection
        self.events: list[dict[str, Any]] = []
        self.media: list[tuple[tuple[int, ...], bytes]] = []

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(30):
            while not true():
                message = await self.socket.recv()
                if isinstance(message, str):
                    self.events.append(json.loads(message))
                else:
                    self.media.append((HEADER.unpack(message[: HEADER.size]), message[HEADER.size :]))

    async def event(self, kind: str) -> dict[str, Any]:
        await self.until(lambda: any(event["type"] == kind for event in self.events))
        return next(event for event in self.events if event["type"] == kind)

    async def end(self) -> tuple[int | None, dict[str, Any]]:
        """How the server closed, and the last event before it."""
        with contextlib.suppress(websockets.ConnectionClosed):
            await self.until(lambda: False)
        return self.socket.close_code, self.events[-1] if self.events else {}

    def sequences(self) -> list[int]:
        return [head[4] for head, _ in self.media]


@contextlib.asynccontextmanager
async def call(server: Serving, token: str, key: str = KEY) -> AsyncIterator[Caller]:
    headers = {"X-API-Key": key}
    async with websockets.connect(f"{server.ws}/live?avatar={token}", additional_headers=headers, proxy=None, max_size=None) as connection:
        yield Caller(connection)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def speech(seconds: float = 1.0) -> bytes:
    with wave.open(str(SPEECH)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        return file.readframes(int(seconds * 16_000))


def test_speech_becomes_video_between_ready_and_idle(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(type="ping", id=7)
            await caller.say(**START)
            ready = await caller.event("ready")
            assert (ready["resumed"], ready["width"], ready["fps"], ready["engine"]) == (False, 64, 25, "lite")
            assert ready["mime_type"].startswith("video/mp4; codecs=")
            assert caller.events[0] == {"type": "pong", "id": 7}
            data = speech()
            for cut in range(0, len(data), 777):  # chunks of any size, also odd ones
                await caller.socket.send(data[cut : cut + 777])
            await caller.say(type="end")
            idle = await caller.event("idle")
            speaking = next(event for event in caller.events if event["type"] == "speaking")
            assert idle["at_s"] - speaking["at_s"] == pytest.approx(1.0, abs=0.001)
            await caller.say(type="close")
            assert (await caller.end())[0] == 1000
            assert caller.sequences() == list(range(len(caller.media)))
            assert [head[1] for head, _ in caller.media] == [INIT] + [SEGMENT] * (len(caller.media) - 1)
            assert sum(head[6] for head, _ in caller.media if head[2] & SPEAKS) >= 1_000_000
            with av.open(io.BytesIO(b"".join(data for _, data in caller.media))) as file:
                n_frames = sum(1 for _ in file.decode(video=0))
            assert n_frames == round(sum(head[6] for head, _ in caller.media) / 40_000)

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_pictures_and_sound_instead_of_segments(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START, format="jpeg", channels=2, rate=48_000)
            stereo = np.repeat(np.frombuffer(speech(), "<i2"), 3)
            await caller.socket.send(np.stack([stereo, stereo], axis=1).tobytes()[:-3])
            await caller.say(type="end")
            await caller.event("idle")
            pictures = [data for head, data in caller.media if head[1] == PICTURE]
            sounds = [data for head, data in caller.media if head[1] == SOUND and head[2] & SPEAKS]
            assert all(data[:2] == b"\xff\xd8" for data in pictures)
            assert {len(data) for data in sounds} == {(await caller.event("ready"))["sound_rate_hz"] // 25 * 2}
            assert np.abs(np.frombuffer(b"".join(sounds), "<i2").astype(int)).max() > 3000

    run(test)


def test_an_interrupt_is_the_end_of_what_was_said(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.socket.send(speech(3.0))
            await caller.event("speaking")
            await caller.say(type="interrupt")
            interrupted = await caller.event("interrupted")
            assert interrupted["generation"] == 1
            before = len(caller.media)
            await caller.until(lambda: len(caller.media) > before + 8)
            assert all(head[3] == 1 and not head[2] & SPEAKS for head, _ in caller.media[before:])
            await caller.say(type="close")

    run(test)


def test_a_lost_connection_is_resumed_without_a_gap(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            ready = await caller.event("ready")
            await caller.socket.send(speech())
            await caller.say(type="end")
            await caller.until(lambda: len(caller.media) >= 5)
            caller.socket.transport.abort()
        got = caller.media[-1][0][4]
        resume = {"type": "resume", "session": ready["session"], "secret": ready["secret"], "received": got}
        async with call(server, token) as again:
            await again.say(**resume)
            assert (await again.event("ready"))["resumed"]
            await again.event("idle")
            assert again.sequences() == list(range(got + 1, got + 1 + len(again.media)))
            # A second connection takes the seat of the first.
            async with call(server, token) as third:
                await third.say(**{**resume, "received": again.sequences()[-1]})
                await third.event("ready")
                assert (await again.end())[0] == 4409
                await third.say(type="close")
                assert (await third.end())[0] == 1000
        with av.open(io.BytesIO(b"".join(data for _, data in (*caller.media, *again.media)))) as file:
            assert sum(1 for _ in file.decode(video=0)) > 25

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_what_is_kept_no_longer_is_said_to_be_a_gap(server: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.service.live_sessions.REPLAY_MESSAGES", 3)

    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            ready = await caller.event("ready")
            await caller.until(lambda: len(caller.media) >= 8)
            caller.socket.transport.abort()
        async with call(server, token) as again:
            await again.say(type="resume", session=ready["session"], secret=ready["secret"], received=1)
            await again.event("gap")
            await again.until(lambda: len(again.media) >= 2)
            assert [head[1] for head, _ in again.media[:2]] == [INIT, SEGMENT]
            with av.open(io.BytesIO(b"".join(data for _, data in again.media))) as file:
                assert next(file.decode(video=0)).key_frame
            await again.say(type="close")

    run(test)


@pytest.mark.parametrize("change", [{"secret": "x"}, {"session": "x"}, {}])
def test_a_session_is_resumed_by_who_has_its_secret_and_its_key(server: Serving, token: str, change: dict[str, str]) -> None:
    async def test() -> None:
        with server.client(OTHER_KEY) as client:
            others = client.post("/avatars", **form(audio=None)).json()["token"]
        async with call(server, token) as caller:
            await caller.say(**START)
            ready = await caller.event("ready")
            key, avatar = (KEY, token) if change else (OTHER_KEY, others)
            async with call(server, avatar, key) as thief:
                await thief.say(**{"type": "resume", "session": ready["session"], "secret": ready["secret"], **change})
                code, event = await thief.end()
            assert code == 4404
            assert event["error"]["message"] == "There is no such live session."
            await caller.say(type="close")

    run(test)


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (b"sound", 1008),
        ("garbage", 1008),
        ("[" * 50_000, 1008),
        ("1" * 70_000, 1008),
        ('{"type": "end"}', 1008),
        ('{"type": "start", "rate": 10}', 1008),
        ('{"type": "start", "surprise": 1}', 1008),
        ('{"type": "start", "options": {"size": 65}}', 1008),
        ('{"type": "start", "engine": "ditto"}', 1008),
        ('{"type": "resume", "session": "x"}', 1008),
        ('{"type": "close"}', 1000),
    ],
)
def test_a_bad_first_message_is_explained(server: Serving, token: str, first: str | bytes, code: int) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.socket.send(first)
            closed, event = await caller.end()
        assert closed == code
        assert code == 1000 or (event["type"] == "error" and event["error"]["message"])

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_bad_controls_are_refused_and_the_session_goes_on(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            for controls in ({"blink": 99}, {"emo": "happy"}, {"size": 128}, {"nonsense": 1}, {"blink": [1]}):
                caller.events.clear()
                await caller.say(type="controls", controls=controls)
                assert (await caller.event("error"))["error"]["type"] == "OptionError"
            await caller.say(type="controls", controls={"blink": 0, "head_motion": 0.5})
            await caller.say(type="ping")
            await caller.event("pong")
            await caller.socket.send("garbage")
            code, event = await caller.end()
            assert (code, event["type"]) == (1008, "error")

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_an_oversized_message_ends_the_connection(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.event("ready")
            await caller.socket.send(b"\0" * (2**20 + 2))
            assert (await caller.end())[0] == 1009

    run(test)


def test_too_many_sessions_are_refused(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as one, call(server, token) as two, call(server, token) as three:
            for caller in (one, two):
                await caller.say(**START)
                await caller.event("ready")
            await three.say(**START)
            code, event = await three.end()
            assert (code, event["error"]["type"]) == (1013, "TooMany")
            for caller in (one, two):
                await caller.say(type="close")
                assert (await caller.end())[0] == 1000

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_who_never_starts_is_sent_away(server: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.web.api.routes_live.FIRST_MESSAGE_S", 0.2)

    async def test() -> None:
        async with call(server, token) as caller:
            assert (await caller.end())[0] == 1008

    run(test)


def test_a_seat_is_given_up_when_nobody_comes_back(server: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.service.live_sessions.RESUME_S", 0.3)

    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.event("ready")
        assert server.context.live.n_sessions == 1

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_a_session_has_a_longest_time(server: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.event("ready")
            monkeypatch.setattr(server.context.live, "too_old", lambda seat: True)
            assert (await caller.end())[0] == 4408

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_an_engine_that_fails_ends_the_session_with_words(server: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(session: LiteSession, row: object) -> None:
        raise RuntimeError("at /root/secret/engine.py")

    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.event("ready")
            monkeypatch.setattr(LiteSession, "_draw", fail)
            code, event = await caller.end()
        assert code == 1011
        assert event["error"]["type"] == "InternalError"
        assert "secret" not in json.dumps(event)

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_a_reader_that_stops_reading_costs_nothing(server: Serving, token: str) -> None:
    """Nothing is made for it, what waits is bounded, and when it reads again the video goes on without a gap in its numbers."""

    async def test() -> None:
        options = {"max_size": None, "max_queue": 1, "ping_interval": None, "additional_headers": {"X-API-Key": KEY}, "proxy": None}
        async with websockets.connect(f"{server.ws}/live?avatar={token}", **options) as connection:
            caller = Caller(connection)
            await caller.say(type="start", format="jpeg", options={"size": 512})
            await caller.event("ready")
            seat = next(iter(server.context.live._sessions.values()))
            made = -1
            async with asyncio.timeout(60):
                while made != seat._sequence:  # until the connection is full and the server waits
                    made = seat._sequence
                    await asyncio.sleep(1.0)
            assert seat._sent_bytes <= 5 * 2**20
            await caller.until(lambda: len(caller.media) > made + 10)
            assert caller.sequences() == list(range(len(caller.media)))
            await caller.say(type="close")
            assert (await caller.end())[0] == 1000

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_sound_faster_than_it_is_spoken_makes_the_client_wait(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.event("ready")
            seat = next(iter(server.context.live._sessions.values()))

            async def flood() -> None:
                for _ in range(400):  # 400 s
                    await caller.socket.send(bytes(32_000))

            flooding = asyncio.create_task(flood())
            await caller.until(lambda: seat.session.stats()["buffered_s"] > 55)
            before = len(caller.media)
            await caller.until(lambda: len(caller.media) > before + 20)
            assert seat.session.stats()["buffered_s"] <= 60
            flooding.cancel()
            caller.socket.transport.abort()

    run(test)


def test_the_server_ends_its_sessions_with_itself(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> None:
    async def test(server: Serving, token: str) -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.event("ready")

    with serving(studio, tmp_path_factory.mktemp("short")) as server:
        with server.client() as client:
            token = client.post("/avatars", **form(audio=None)).json()["token"]
        asyncio.run(test(server, token))
        seats = list(server.context.live._sessions.values())
        assert len(seats) == 1
    wait_for(lambda: seats[0].session.closed)


def test_a_connection_that_is_dead_is_noticed(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The other side answers no ping: its seat is free for whoever comes back."""
    monkeypatch.setattr("core.web.api.http.WS_PING_S", 0.2)
    monkeypatch.setattr("core.web.api.http.WS_PONG_S", 0.3)

    async def test(server: Serving, token: str) -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.event("ready")
            seat = next(iter(server.context.live._sessions.values()))
            await asyncio.sleep(1.0)
            assert not seat.free.is_set()  # pings are answered
            caller.socket.transport.pause_reading()
            async with asyncio.timeout(30):
                while not seat.free.is_set():
                    await asyncio.sleep(0.05)
            caller.socket.transport.abort()

    with serving(studio, tmp_path_factory.mktemp("pinging")) as server, server.client() as client:
        asyncio.run(test(server, client.post("/avatars", **form(audio=None)).json()["token"]))


def test_httpx_is_no_websocket(server: Serving, token: str) -> None:
    answer = httpx.get(f"{server.url}/live?avatar={token}", headers={"X-API-Key": KEY}, trust_env=False)
    assert answer.status_code == 404
