"""WebRTC for live sessions as the service sees it: who watches one, and whose microphone speaks in one.

What does it is no part of core: entry points hand in a `PeersSource` (integrations/webrtc), where its packages are installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from core.service.errors import PeersUnavailable
from core.service.live_messages import LiveRequest
from core.service.live_sessions import LiveSessions
from core.settings import Settings


@dataclass(frozen=True)
class PeerAnswer:
    """sdp: the answer to an offer or, after an ICE restart, the fragment. resource: the connection's name, which cannot be guessed.
    version: of its ICE session. session_id: of the live session.
    """

    sdp: str
    resource: str
    version: str
    session_id: str


@dataclass(frozen=True)
class IceServer:
    """A STUN or TURN server that clients may use."""

    url: str
    username: str = ""
    credential: str = ""


class PeerConnections(Protocol):
    """All WebRTC connections of one server. Used on its event loop.

    Each call raises UnknownLiveSession or UnknownPeer, in the same words whatever is wrong, for what is another owner's; Malformed for SDP
    that cannot be read, OptionError for what cannot be agreed on, and TooMany.
    """

    async def watch(self, session_id: str, owner: str, offer: str) -> PeerAnswer:
        """Picture and sound of a session that gives packets."""

    async def speak(self, session_id: str, owner: str, offer: str) -> PeerAnswer:
        """The sound of the offer is what the session hears, beside what else it is sent."""

    async def start(self, avatar: str, owner: str, request: LiveRequest, offer: str) -> PeerAnswer:
        """A new session that lasts as long as the connection of its microphone. Raises what `LiveSessions.open` raises."""

    async def patch(self, resource: str, owner: str, fragment: str, version: str) -> PeerAnswer | None:
        """More candidates or, where the fragment has other credentials and `version` is "*", an ICE restart, which is answered.

        Raises StalePeer where `version` is not that of the connection.
        """

    async def end(self, resource: str, owner: str) -> None:
        """The connection is over."""

    def ice_servers(self, owner: str) -> list[IceServer]:
        """What the deployment offers its clients."""

    def stats(self) -> dict[str, int]:
        """viewers, microphones: now. connected, failed: so far; failed: no connection came about, such as where UDP is blocked."""

    async def stop(self) -> None:
        """Ends all connections; their other sides are told."""


PeersSource = Callable[[LiveSessions], PeerConnections]


def needed(peers: PeerConnections | None, settings: Settings) -> PeerConnections:
    """Raises PeersUnavailable where there are none."""
    if peers is not None:
        return peers
    if not settings.webrtc:
        raise PeersUnavailable("WebRTC is switched off.", "Set TALKING_HEAD_WEBRTC=true, or use WS /live.", code="webrtc_off")
    raise PeersUnavailable(
        "WebRTC is not installed here.", "Run ./setup.sh webrtc on the server, or use WS /live.", code="webrtc_not_installed"
    )
