"""Live sessions over WebRTC, by aiortc: WHEP to watch one, WHIP to speak to one. Importing this does not import aiortc."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from core.settings import Settings

if TYPE_CHECKING:
    from core.service.live_sessions import LiveSessions
    from core.service.peer_connections import PeerConnections, PeersSource


def offer_webrtc(settings: Settings) -> PeersSource | None:
    """What entry points hand to `Service`; None where WebRTC is switched off or its packages are not installed."""
    if not settings.webrtc or importlib.util.find_spec("aiortc") is None:
        return None

    def made(live: LiveSessions) -> PeerConnections:
        from integrations.webrtc.peers import Peers

        return Peers(live, settings)

    return made
