"""All WebRTC connections of a server, the `PeerConnections` of core/service/peer_connections.py: bounded, owned, ended when idle."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from core.errors import OptionError
from core.service.errors import TooMany, UnknownPeer
from core.service.held_session import HeldSession
from core.service.live_messages import LiveRequest
from core.service.live_sessions import LiveSessions
from core.service.peer_connections import IceServer, PeerAnswer
from core.service.quotas import ConcurrencyLimit, RateLimit
from core.settings import Settings
from integrations.webrtc.feed import SessionPackets
from integrations.webrtc.ice_servers import IceServers
from integrations.webrtc.offers import Offer, read_offer
from integrations.webrtc.peer import Peer, Role
from integrations.webrtc.started import StartedSession

logger = logging.getLogger(__name__)

LOOK_S = 0.5
"""How often it is looked whether connections and sessions are over."""
OFFERS_PER_MINUTE = 60
"""Of one owner."""


class Peers:
    """live: the server's sessions. A viewer or microphone whose session ends, or that does not connect, is closed; so is one that
    gives no sign of life for half a minute (RFC 7675, which the library does).
    """

    def __init__(self, live: LiveSessions, settings: Settings) -> None:
        logging.getLogger("aiortc.rtcrtpreceiver").setLevel(logging.ERROR)  # a line for each packet that cannot be decoded
        self._live, self._session_viewers = live, settings.session_max_viewers
        self._servers = IceServers(settings)
        self._places = ConcurrencyLimit(settings.max_peers, settings.owner_max_peers, "WebRTC connections")
        self._offers = RateLimit(OFFERS_PER_MINUTE, "WebRTC offers")
        self._peers: dict[str, Peer] = {}
        self._packets: dict[str, SessionPackets] = {}
        """By session, while somebody is connected to it."""
        self._looking: asyncio.Task[None] | None = None
        self._ended: Counter[str] = Counter()

    async def watch(self, session_id: str, owner: str, offer: str) -> PeerAnswer:
        session, read = self._offered(session_id, owner, offer)
        watching = sum(peer.session is session and peer.role == "viewer" for peer in self._peers.values())
        if watching >= self._session_viewers:
            raise TooMany(f"{watching} viewers watch this session already.", "Wait until one of them has left.", 5, code="session_viewers")
        return await self._opened("viewer", owner, session, read)

    async def speak(self, session_id: str, owner: str, offer: str) -> PeerAnswer:
        session, read = self._offered(session_id, owner, offer)
        before = [peer for peer in self._peers.values() if peer.session is session and peer.role == "microphone"]
        started = [each for peer in before if (each := peer.hand_over()) is not None]  # one at most
        try:
            for peer in before:
                await self._close(peer)  # the newest speaks
            return await self._opened("microphone", owner, session, read, *started)
        except BaseException:
            for each in started:
                await each.close()
            raise

    async def start(self, avatar: str, owner: str, request: LiveRequest, offer: str) -> PeerAnswer:
        self._offers.take(owner)
        read = read_offer(offer)  # before anything is computed for it
        started = await StartedSession.open(self._live, avatar, owner, request)
        try:
            return await self._opened("microphone", owner, started.session, read, started)
        except BaseException:
            await started.close()
            raise

    async def patch(self, resource: str, owner: str, fragment: str, version: str) -> PeerAnswer | None:
        return await self._peer(resource, owner).patch(fragment, version)

    async def end(self, resource: str, owner: str) -> None:
        await self._close(self._peer(resource, owner))

    def ice_servers(self, owner: str) -> list[IceServer]:
        return self._servers.of(owner)

    def stats(self) -> dict[str, int]:
        roles = Counter(peer.role for peer in self._peers.values())
        connected = sum(peer.connected for peer in self._peers.values()) + self._ended["connected"]
        return {"viewers": roles["viewer"], "microphones": roles["microphone"], "connected": connected, "failed": self._ended["failed"]}

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        await asyncio.gather(*(self._close(peer) for peer in list(self._peers.values())))

    # ---- within

    def _offered(self, session_id: str, owner: str, offer: str) -> tuple[HeldSession, Offer]:
        session = self._live.of_owner(session_id, owner)
        if session.request.output != "packets":
            raise OptionError(
                "This session sends its video over the WebSocket.", 'Start it with the format "webrtc".', code="live_not_webrtc"
            )
        self._offers.take(owner)
        return session, read_offer(offer)

    def _peer(self, resource: str, owner: str) -> Peer:
        peer = self._peers.get(resource)
        if peer is None or peer.owner != owner or peer.over:
            raise UnknownPeer
        return peer

    async def _opened(
        self, role: Role, owner: str, session: HeldSession, offer: Offer, started: StartedSession | None = None
    ) -> PeerAnswer:
        self._places.take(owner)
        try:
            peer = Peer(role, session, self._servers, started)
        except BaseException:
            self._places.give_back(owner)
            raise
        self._peers[peer.resource] = peer
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            packets = self._packets.setdefault(session.id, SessionPackets(session))
            return await peer.open(offer, packets)
        except BaseException:
            await self._close(peer)
            raise

    async def _close(self, peer: Peer) -> None:
        if self._peers.pop(peer.resource, None) is None:
            return
        self._places.give_back(peer.owner)
        if not any(other.session is peer.session for other in self._peers.values()):
            self._packets.pop(peer.session.id, None)
        self._ended["connected" if peer.connected else "failed"] += 1
        try:
            await peer.close()
        except Exception:  # of the library, while it closes: the others that are over are closed all the same
            logger.exception("a WebRTC connection could not be closed in good order")

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            over = [peer for peer in self._peers.values() if peer.over or peer.too_late]
            await asyncio.gather(*(self._close(peer) for peer in over))
