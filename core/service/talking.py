"""The live sessions and conversations of a program, with their limits."""

from __future__ import annotations

from dataclasses import dataclass

from core.service.chat.conversations import Conversations
from core.service.live_sessions import LiveSessions
from core.service.quotas import RateLimit
from core.service.service import Service
from core.settings import Settings


@dataclass(frozen=True, eq=False)
class Talking:
    """Used on the event loop of a server."""

    live: LiveSessions
    chats: Conversations

    async def stop(self) -> None:
        """Ends conversations and live sessions; their clients are told."""
        await self.chats.stop()
        await self.live.stop()


def open_talking(service: Service, settings: Settings, starts: RateLimit) -> Talking:
    """starts: how often an owner may start a live session, among what else it counts."""
    live = LiveSessions(
        service.studio, service.speaker, settings, starts, RateLimit(settings.says_per_minute, "texts to say", service.rates),
        total=settings.max_live, each=settings.owner_max_live, longest_s=settings.max_live_s,
    )  # fmt: skip
    return Talking(live, Conversations(service, live, RateLimit(settings.chats_per_minute, "messages of conversations", service.rates)))
