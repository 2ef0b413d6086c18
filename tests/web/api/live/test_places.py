"""WS /live at the limit of an owner: a session whose client is gone makes room, one whose client lives never does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.errors import BusyError
from core.studio import Studio
from tests.support.live_caller import START, Caller, call, run
from tests.support.serving import Serving


async def start(caller: Caller) -> dict[str, Any]:
    await caller.say(**START)
    return await caller.event("ready")


async def seen(caller: Caller, kind: str) -> dict[str, Any]:
    """An event of a caller that is read by another task."""
    async with asyncio.timeout(30):
        while not (found := [event for event in caller.events if event["type"] == kind]):
            await asyncio.sleep(0.02)
    return found[0]


def silence(caller: Caller) -> None:
    """As behind a line that was cut without a word: nothing is read any more, so no ping is answered."""
    caller.socket.transport.pause_reading()


def test_two_dropped_connections_do_not_lock_their_owner_out(server: Serving, token: str) -> None:
    async def test() -> None:
        dropped = []
        for _ in range(2):
            async with call(server, token) as caller:
                dropped.append(await start(caller))
                caller.socket.transport.abort()
            session = server.context.live._sessions[dropped[-1]["session"]]
            async with asyncio.timeout(30):
                while session.attachment is not None:
                    await asyncio.sleep(0.02)
        async with call(server, token) as new:
            ready = await start(new)
            assert not ready["resumed"]
            assert list(server.context.live._sessions) == [dropped[1]["session"], ready["session"]]
            async with call(server, token) as back:  # the other one can still be resumed
                await back.say(type="resume", session=dropped[1]["session"], secret=dropped[1]["secret"])
                assert (await back.event("ready"))["resumed"]
            async with call(server, token) as late:
                await late.say(type="resume", session=dropped[0]["session"], secret=dropped[0]["secret"])
                assert (await late.end())[0] == 4404

    run(test)


def test_a_page_that_was_loaded_anew_on_a_busy_machine_takes_the_place_of_the_old_one(server: Serving, studio: Studio, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            old = await start(caller)
            caller.socket.transport.abort()
        session = server.context.live._sessions[old["session"]]
        async with asyncio.timeout(30):
            while session.attachment is not None:
                await asyncio.sleep(0.02)
        for each in studio.live_load._sessions:
            each.late_at_s = float("inf")  # from now on nobody is admitted beside it
        async with call(server, token) as new, call(server, token) as second:
            ready = await start(new)
            assert list(server.context.live._sessions) == [ready["session"]]
            for each in studio.live_load._sessions:
                each.late_at_s = float("inf")
            await second.say(**START)
            assert (await second.end())[0] == 1013, "the one whose client lives stays"
            assert list(server.context.live._sessions) == [ready["session"]]

    run(test)


def test_who_gives_no_sign_of_life_makes_room_and_who_lives_does_not(
    server: Serving, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.service.live_sessions.ANSWER_S", 1.0)

    async def test() -> None:
        async with call(server, token) as dead, call(server, token) as living, call(server, token) as new, call(server, token) as fourth:
            await start(dead)
            lives = await start(living)
            silence(dead)
            reading = [asyncio.create_task(each.until(lambda: False)) for each in (living, new)]  # so that pings are answered
            await asyncio.sleep(0)
            await new.say(**START)
            ready = await seen(new, "ready")
            assert list(server.context.live._sessions) == [lives["session"], ready["session"]]
            await fourth.say(**START)
            assert (await fourth.end())[0] == 1013
            assert list(server.context.live._sessions) == [lives["session"], ready["session"]]
            before = len(living.media)
            while len(living.media) < before + 10:
                await asyncio.sleep(0.02)
            for task in reading:
                task.cancel()
            dead.socket.transport.abort()

    run(test)


def test_a_machine_that_is_busy_says_when_to_come_back(server: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*arguments: Any) -> None:
        raise BusyError("It would not keep real time.", "Come back later.", code="busy", parameters={"retry_after_s": 7.2})

    monkeypatch.setattr(server.context.studio, "live", busy)

    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            code, event = await caller.end()
            assert code == 1013
            assert (event["error"]["type"], event["retry_after_s"]) == ("BusyError", 7)

    run(test)
    assert server.context.live.n_sessions == 0
