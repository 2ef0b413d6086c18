"""The clips way: the text at once, its video later, told by an event that nobody who comes back misses."""

from __future__ import annotations

import asyncio
import base64
import threading
from pathlib import Path

from core.service.chat.clips import IDLE_S
from core.service.owners import owner_name
from tests.support.backdrops import RED, backdrop, first_frame, is_behind
from tests.support.chat_caller import chatting, resume
from tests.support.chat_server import ANSWER
from tests.support.live_caller import run
from tests.support.serving import KEY, Serving, wait_for
from tests.support.streams import n_frames

OPTIONS = {"size": 64}


def video_of(server: Serving, url: str) -> bytes:
    with server.client() as client:
        return client.get(url).raise_for_status().content


def test_the_video_of_an_answer_is_told_when_it_is_ready(server: Serving, token: str) -> None:
    async def test() -> None:
        async with chatting(server, type="start", mode="clips", avatar=token, options=OPTIONS) as caller:
            ready = await caller.event("ready")
            await caller.say("Who are you?")
            assert (await caller.event("answer_done"))["text"] == ANSWER
            caller.socket.transport.abort()
        last = caller.events[-1]["event"]
        async with chatting(server, **resume(ready, event=last)) as again:
            told = await again.event("video_ready", turn=0)
            assert told["after_s"] > 0
            assert told["url"] == f"/jobs/{told['job']}/result"
            assert n_frames(await asyncio.to_thread(video_of, server, told["url"])) >= len(ANSWER) * 20 // 40 - 5
            await again.say("markup")  # the next one is not SSML
            await again.event("video_ready", turn=1)
            assert again.of("error") == []

    run(test)


def test_the_person_at_rest_is_shown_where_it_is_asked_for(server: Serving, token: str) -> None:
    async def test() -> None:
        async with chatting(server, type="start", mode="clips", avatar=token, options=OPTIONS, idle=True) as caller:
            ready = await caller.event("ready")
            assert ready["idle"] is None
            told = await caller.event("idle_ready")
            assert n_frames(await asyncio.to_thread(video_of, server, told["url"])) == IDLE_S * 25
            await caller.say("Who are you?")
            await caller.event("video_ready", turn=0)
            assert len(caller.of("idle_ready")) == 1, "it is made once"
        async with chatting(server, **resume(ready)) as again:
            assert (await again.event("ready"))["idle"] == told["url"]
            await again.send(type="close")
        with server.client() as client:
            kind, job = client.get(f"/jobs/{told['job']}").json()["kind"], told["job"]
        owner = owner_name("api", KEY)
        assert kind == "idle"
        assert job not in {video.id for video in server.context.service.videos.of(owner)}, "it is nobody's result"

    run(test)


def test_a_picture_is_behind_the_person_in_every_clip(server: Serving, token: str, tmp_path: Path) -> None:
    picture = base64.b64encode(backdrop(tmp_path / "red.png").read_bytes()).decode()

    async def test() -> None:
        start = {"type": "start", "mode": "clips", "avatar": token, "options": {"size": 128}, "background": picture, "idle": True}
        async with chatting(server, **start) as caller:
            idle = await caller.event("idle_ready")
            await caller.say("Who are you?")
            told = await caller.event("video_ready", turn=0)
            for each in (idle, told):
                assert is_behind(RED, first_frame(await asyncio.to_thread(video_of, server, each["url"])))
        async with chatting(server, **{**start, "background": base64.b64encode(b"no picture").decode()}) as caller:
            assert "The background is not a photo" in (await caller.event("error"))["error"]["message"]

    run(test)


def test_an_interrupt_gives_up_the_video_of_an_older_answer(server: Serving, token: str, slowly: threading.Event) -> None:
    async def test() -> None:
        async with chatting(server, type="start", mode="clips", avatar=token, options=OPTIONS) as caller:
            await caller.say("Who are you?")
            await caller.event("answer_done", turn=0)
            conversation = server.context.chats._held[(await caller.event("ready"))["chat"]]
            await asyncio.to_thread(wait_for, lambda: conversation._filmed and conversation._filmed[0].job)
            older = conversation._filmed[0].job
            await caller.send(type="interrupt")
            await caller.say("And now?")
            await asyncio.to_thread(wait_for, lambda: server.context.service.jobs.get(older, owner_name("api", KEY)).state == "cancelled")
            slowly.set()
            await caller.event("video_ready", turn=1)
            assert caller.of("error") == []
            assert [each["turn"] for each in caller.of("video_ready")] == [1]

    run(test)


def test_a_program_posts_and_waits_for_the_video(server: Serving, token: str) -> None:
    with server.client() as client:
        answer = client.post("/chat", json={"message": "Who are you?", "avatar": token, "options": OPTIONS}).json()
        assert (answer["text"], answer["error"]) == (ANSWER, None)
        assert client.get(f"/jobs/{answer['job']}").json()["kind"] == "video"

        async def test() -> None:
            async with chatting(server, **resume(answer, event=-1)) as caller:
                told = await caller.event("video_ready")
                assert told["job"] == answer["job"]

        run(test)


def test_a_video_that_cannot_be_made_leaves_the_text(server: Serving, token: str) -> None:
    with server.client() as client:
        wrong = client.post("/chat", json={"message": "Hello", "avatar": token, "options": {"size": 65}}).json()
        assert (wrong["text"], wrong["job"], wrong["error"]["type"]) == (ANSWER, "", "OptionError")
        failing = client.post("/chat", json={"message": "Hello", "avatar": token, "voice": "service-busy", "options": OPTIONS}).json()

        async def test() -> None:
            async with chatting(server, **resume(failing, event=-1)) as caller:
                assert (await caller.event("error"))["error"]["type"] == "BusyError"

        run(test)
