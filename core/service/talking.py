"""The live sessions, their WebRTC connections and the conversations of a program, with their limits."""

from __future__ import annotations

from dataclasses import dataclass

from core.service.chat.conversations import Conversations
from core.service.live_sessions import LiveSessions
from core.service.live_source import StudioSource
from core.service.peer_connections import PeerConnections
from core.service.quotas import RateLimit
from core.service.service import Service
from core.settings import Settings


@dataclass(frozen=True, eq=False)
class Talking:
    """Used on the event loop of a server. peers: None where there is no WebRTC."""

    live: LiveSessions
    peers: PeerConnections | None
    chats: Conversations

    async def stop(self) -> None:
        """Ends conversations, live sessions and who watches them; their clients are told."""
        await self.chats.stop()
        await self.live.stop()
        if self.peers is not None:
            await self.peers.stop()


def open_talking(service: Service, settings: Settings, starts: RateLimit) -> Talking:
    """starts: how often an owner may start a live session, among what else it counts."""
    says = RateLimit(settings.says_per_minute, "texts to say", service.rates)
    source = service.live_source or StudioSource(service.studio, service.speaker, settings, says)
    live = LiveSessions(
        service.studio, source, starts,
        total=settings.max_live, each=settings.owner_max_live, longest_s=settings.max_live_s,
    )  # fmt: skip
    peers = None if service.webrtc is None else service.webrtc(live)
    messages = RateLimit(settings.chats_per_minute, "messages of conversations", service.rates)
    return Talking(live, peers, Conversations(service, live, messages))
