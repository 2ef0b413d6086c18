"""A conversation whose answers become videos: what happens to one that is about to begin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import Cancelled
from core.service.chat.conversation import Conversation
from core.service.chat.options import ChatOptions
from core.settings import Settings


class Answers:
    """A partner who says one sentence."""

    async def answer(self, messages: Sequence[Any]) -> AsyncIterator[str]:
        yield "Hello."


class SlowClips:
    """Begins a video when it is told to go on."""

    def __init__(self) -> None:
        self.asked, self.go_on, self.over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.given_up: list[str] = []

    async def begin(self, text: str) -> str:
        self.asked.set()
        await self.go_on.wait()
        return "job"

    async def give_up(self, job: str) -> None:
        self.given_up.append(job)
        self.over.set()

    async def made(self, job: str) -> None:
        await self.over.wait()
        if self.given_up:
            raise Cancelled("The job was cancelled.", code="cancelled")


@pytest.mark.parametrize("interrupted", [True, False])
def test_what_ends_an_answer_does_not_lose_a_video_that_just_begins(interrupted: bool) -> None:
    """An interrupt gives it up, the next message alone does not; in neither case is it made for nobody."""

    async def test() -> None:
        speaker = SimpleNamespace(voice=lambda id: SimpleNamespace(language="en"))
        service: Any = SimpleNamespace(settings=Settings(), speaker=speaker)
        partner: Any = Answers()
        conversation = Conversation(service, "ada", partner, ChatOptions("clips", "token"), None)
        clips: Any = SlowClips()
        conversation._clips = clips
        conversation.say("Hello")
        await asyncio.wait_for(clips.asked.wait(), 10)
        if interrupted:
            conversation.interrupt()
        conversation.say("And now?")
        clips.go_on.set()
        if not interrupted:
            await asyncio.sleep(0.05)
            clips.over.set()
        told: list[tuple[str, int]] = []
        async with asyncio.timeout(10):
            async for event in conversation.log.watch(-1):
                if event.kind in ("video_ready", "error"):
                    told.append((event.kind, event.data["turn"]))
                if told or clips.given_up:
                    break
            while interrupted and conversation._filmed:
                await asyncio.sleep(0.01)
        await conversation.close()
        assert (clips.given_up[:1], told) == ((["job"], []) if interrupted else ([], [("video_ready", 0)]))

    asyncio.run(test())
