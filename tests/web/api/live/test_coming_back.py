"""WS /live after a lost connection: what was sent and not taken is sent again, what was taken is taken once, and all of it is spoken."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
import websockets

from core.web.live.live_protocol import SOUND, SPEAKS
from tests.support.live_caller import START, Caller, call, run, speech
from tests.support.serving import KEY, Serving, wait_for

CHUNK = 1280
"""40 ms."""
SPOKEN_FRAMES = 50
"""Of 2 s of sound."""


def messages(seconds: float = 2.0) -> list[bytes | str]:
    data = speech(seconds)
    return [*(data[at : at + CHUNK] for at in range(0, len(data), CHUNK)), '{"type": "end"}']


def resume(ready: dict[str, Any], caller: Caller, **more: Any) -> dict[str, Any]:
    got = caller.sequences()[-1] if caller.media else -1
    return {"type": "resume", "session": ready["session"], "secret": ready["secret"], "received": got, **more}


def spoken(*callers: Caller) -> int:
    return sum(1 for caller in callers for head, _ in caller.media if head[1] == SOUND and head[2] & SPEAKS)


async def hear_out(caller: Caller) -> None:
    """Until the person has said everything that was sent and listens again."""
    await caller.say(type="ping")
    await caller.event("pong")  # messages are taken in order
    await caller.until(lambda: caller.session_of_test.session.stats()["buffered_s"] == 0)
    seen = len(caller.media)
    await caller.until(lambda: len(caller.media) > seen + 20 and not caller.media[-1][0][2] & SPEAKS)


@contextlib.asynccontextmanager
async def started(server: Serving, token: str) -> Any:
    async with call(server, token) as caller:
        await caller.say(**START, format="jpeg")
        ready = await caller.event("ready")
        assert ready["received"] == 0
        caller.session_of_test = server.context.live._sessions[ready["session"]]
        yield caller, ready


def test_what_was_taken_is_acknowledged(server: Serving, token: str) -> None:
    async def test() -> None:
        async with started(server, token) as (caller, _):
            for message in messages(1.0):
                await caller.socket.send(message)
            await caller.say(type="controls", controls={"blink": 99})  # refused, and counted
            await caller.say(type="ping")
            await caller.until(lambda: caller.events[-1:] == [{"type": "ack", "received": 28}])
            told = [event["received"] for event in caller.events if event["type"] == "ack"]
            assert told == sorted(set(told))
            await caller.say(type="close")

    run(test)


@pytest.mark.parametrize("waits", [True, False])
def test_speech_in_flight_when_the_line_drops_is_spoken(server: Serving, token: str, waits: bool) -> None:
    """Whether the client waits to be told where to go on, or sends everything again at once."""

    async def test() -> None:
        sent = messages()
        async with started(server, token) as (caller, ready):
            for message in sent[:30]:
                await caller.socket.send(message)
            await caller.event("speaking")
            caller.socket.transport.abort()  # some of it is on the way; the rest, and the end, was never sent
        async with call(server, token) as again:
            again.session_of_test = caller.session_of_test
            await again.say(**resume(ready, caller, **({} if waits else {"next": 0})))
            if waits:
                received = (await again.event("ready"))["received"]
                assert 0 < received <= 30
            for message in sent[received if waits else 0 :]:
                await again.socket.send(message)
            await hear_out(again)
            all_of_it = {"type": "ack", "received": len(sent) + 1}  # with the ping of `hear_out`
            await again.until(lambda: any(event == all_of_it for event in again.events))
            assert SPOKEN_FRAMES <= spoken(caller, again) <= SPOKEN_FRAMES + 2  # a frame more where the break ended an utterance
            assert again.sequences() == list(range(again.sequences()[0], again.sequences()[-1] + 1))
            await again.say(type="close")

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_an_interrupt_is_taken_once_and_in_its_place(server: Serving, token: str) -> None:
    async def test() -> None:
        sent = [*messages()[:20], '{"type": "interrupt"}', *messages()]
        async with started(server, token) as (caller, ready):
            for message in sent[:21]:
                await caller.socket.send(message)
            await caller.event("interrupted")
            caller.socket.transport.abort()
        async with call(server, token) as again:
            again.session_of_test = caller.session_of_test
            await again.say(**resume(ready, caller, next=0))
            for message in sent:
                await again.socket.send(message)
            await hear_out(again)
            assert {head[3] for head, _ in again.media if head[2] & SPEAKS} == {1}
            new = sum(1 for head, _ in (*caller.media, *again.media) if head[1] == SOUND and head[2] & SPEAKS and head[3] == 1)
            assert new == SPOKEN_FRAMES
            await again.say(type="close")

    run(test)


def test_a_client_that_keeps_nothing_goes_on_speaking(server: Serving, token: str) -> None:
    async def test() -> None:
        async with started(server, token) as (caller, ready):
            caller.socket.transport.abort()
        async with call(server, token) as again:
            again.session_of_test = caller.session_of_test
            await again.say(**resume(ready, caller))
            for message in messages():
                await again.socket.send(message)
            await hear_out(again)
            assert spoken(again) == SPOKEN_FRAMES
            await again.say(type="close")

    run(test)


def test_a_connection_that_is_half_open_is_taken_over_at_once(server: Serving, token: str) -> None:
    """The old one reads no more and answers no ping, and what it is sent has nowhere to go; the server has not noticed yet."""

    async def test() -> None:
        options: dict[str, Any] = {"max_size": None, "max_queue": 1, "ping_interval": None, "additional_headers": {"X-API-Key": KEY}}
        async with websockets.connect(f"{server.ws}/live?avatar={token}", proxy=None, **options) as connection:
            caller = Caller(connection)
            await caller.say(type="start", format="jpeg", options={"size": 512})
            ready = await caller.event("ready")
            session = server.context.live._sessions[ready["session"]]
            connection.transport.pause_reading()
            made = -1
            async with asyncio.timeout(60):
                while made != session._sequence:  # until the connection is full
                    made = session._sequence
                    await asyncio.sleep(1.0)
            for message in messages():
                await connection.send(message)
            async with call(server, token) as again:
                await again.say(**resume(ready, caller))
                assert (await again.event("ready"))["resumed"]
                assert session.attachment is not None
                await again.until(lambda: len(again.media) > 10)
                await again.say(type="close")
            connection.transport.abort()

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_what_lies_between_is_lost_where_the_client_says_so(server: Serving, token: str) -> None:
    async def test() -> None:
        async with started(server, token) as (caller, ready):
            caller.socket.transport.abort()
        async with call(server, token) as again:
            await again.say(**resume(ready, caller, next=100))
            assert (await again.event("ready"))["received"] == 0
            await again.socket.send(json.dumps({"type": "end"}))
            await again.until(lambda: again.events[-1:] == [{"type": "ack", "received": 101}])
            await again.say(type="close")

    run(test)
