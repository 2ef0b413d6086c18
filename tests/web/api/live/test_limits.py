"""WS /live: what is refused, what ends a session, and how it says so."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
import websockets

from core.engines.lite import LiteSession
from core.studio import Studio
from tests.support.live_caller import START, Caller, call, run
from tests.support.serving import KEY, Serving, form, serving, wait_for


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
    monkeypatch.setattr("core.web.live.live_socket.FIRST_MESSAGE_S", 0.2)

    async def test() -> None:
        async with call(server, token) as caller:
            assert (await caller.end())[0] == 1008

    run(test)


def test_a_session_is_given_up_when_nobody_comes_back(server: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
            monkeypatch.setattr(server.context.live, "too_old", lambda session: True)
            assert (await caller.end())[0] == 4408

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_an_engine_that_fails_ends_the_session_with_words(server: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(session: LiteSession, row: object, controls: object) -> None:
        raise RuntimeError("at /root/secret/engine.py")

    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.event("ready")
            monkeypatch.setattr(LiteSession, "_drawn", fail)
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
            session = next(iter(server.context.live._sessions.values()))
            made = -1
            async with asyncio.timeout(60):
                while made != session._sequence:  # until the connection is full and the server waits
                    made = session._sequence
                    await asyncio.sleep(1.0)
            assert session._sent_bytes <= 5 * 2**20
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
            session = next(iter(server.context.live._sessions.values()))

            async def flood() -> None:
                for _ in range(400):  # 400 s
                    await caller.socket.send(bytes(32_000))

            flooding = asyncio.create_task(flood())
            await caller.until(lambda: session.session.stats()["buffered_s"] > 55)
            before = len(caller.media)
            await caller.until(lambda: len(caller.media) > before + 20)
            assert session.session.stats()["buffered_s"] <= 60
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
        sessions = list(server.context.live._sessions.values())
        assert len(sessions) == 1
    wait_for(lambda: sessions[0].session.closed)


def test_a_connection_that_is_dead_is_noticed(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The other side answers no ping: its session is free for whoever comes back."""
    monkeypatch.setattr("core.web.connections.WS_PING_S", 0.2)
    monkeypatch.setattr("core.web.connections.WS_PONG_S", 0.3)

    async def test(server: Serving, token: str) -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.event("ready")
            session = next(iter(server.context.live._sessions.values()))
            await asyncio.sleep(1.0)
            assert not session.free.is_set()  # pings are answered
            caller.socket.transport.pause_reading()
            async with asyncio.timeout(30):
                while not session.free.is_set():
                    await asyncio.sleep(0.05)
            caller.socket.transport.abort()

    with serving(studio, tmp_path_factory.mktemp("pinging")) as server, server.client() as client:
        asyncio.run(test(server, client.post("/avatars", **form(audio=None)).json()["token"]))


def test_a_client_that_sends_more_than_is_spoken_counts_as_living(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its answer to a ping lies behind all the sound that finds no room."""
    monkeypatch.setattr("core.web.connections.WS_PING_S", 0.2)
    monkeypatch.setattr("core.web.connections.WS_PONG_S", 0.3)

    async def test(server: Serving, token: str) -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.event("ready")
            session = next(iter(server.context.live._sessions.values()))

            async def flood() -> None:
                for _ in range(400):
                    await caller.socket.send(bytes(32_000))

            flooding = asyncio.create_task(flood())
            await caller.until(lambda: session.session.stats()["buffered_s"] > 55)
            before = len(caller.media)
            await caller.until(lambda: len(caller.media) > before + 30)  # more than two seconds
            assert session.attachment is not None
            assert not flooding.done()
            flooding.cancel()
            caller.socket.transport.abort()

    with serving(studio, tmp_path_factory.mktemp("flooded")) as server, server.client() as client:
        asyncio.run(test(server, client.post("/avatars", **form(audio=None)).json()["token"]))


def test_httpx_is_no_websocket(server: Serving, token: str) -> None:
    answer = httpx.get(f"{server.url}/live?avatar={token}", headers={"X-API-Key": KEY}, trust_env=False)
    assert answer.status_code == 404
