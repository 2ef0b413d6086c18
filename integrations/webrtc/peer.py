"""One WebRTC connection: of a viewer of a live session, or of its microphone."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import Any, Literal

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InternalError, InvalidStateError, OperationError
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.rtcrtpparameters import RTCRtpCodecCapability

from core.errors import OptionError
from core.service.errors import Malformed, StalePeer, UnknownPeer
from core.service.held_session import HeldSession
from core.service.peer_connections import PeerAnswer
from integrations.webrtc.feed import Feed, SessionPackets
from integrations.webrtc.ice import CONNECT_S, RestartableIce
from integrations.webrtc.ice_servers import IceServers
from integrations.webrtc.microphone import DecoderQueue, Microphone
from integrations.webrtc.offers import MAX_CANDIDATES, Fragment, Offer, fragment, read_fragment, usable
from integrations.webrtc.started import StartedSession

logger = logging.getLogger(__name__)

Role = Literal["viewer", "microphone"]
CODECS = {
    "audio": [RTCRtpCodecCapability("audio/opus", 48_000, 2)],
    "video": [
        RTCRtpCodecCapability(
            "video/H264", 90_000,
            parameters={"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": profile},
        )
        for profile in ("42e01f", "42001f")
    ] + [RTCRtpCodecCapability("video/rtx", 90_000)],
}  # fmt: skip
"""What is sent: constrained baseline, which is baseline without what nobody has, and Opus."""


class Peer:
    """`open` answers an offer; then it lasts until one side ends it. started: the session that ends with it, where there is one."""

    def __init__(self, role: Role, session: HeldSession, servers: IceServers, started: StartedSession | None = None) -> None:
        self.role, self.session, self.owner = role, session, session.owner
        self.resource = secrets.token_urlsafe(16)
        self.since_s = time.monotonic()
        self.connected = self.closed = False
        self._servers, self._started = servers, started
        policy = RTCIceTransportPolicy.RELAY if servers.relay_only else RTCIceTransportPolicy.ALL
        self._pc = RTCPeerConnection(RTCConfiguration(servers.own(), policy, RTCBundlePolicy.MAX_BUNDLE))
        self._pc.on("connectionstatechange", self._changed)
        self._feed: Feed | None = None
        self._listening: asyncio.Task[None] | None = None
        self._ice: RestartableIce | None = None
        self._n_candidates = 0
        self._mid = ""
        self._patching = asyncio.Lock()

    @property
    def too_late(self) -> bool:
        """No connection came about."""
        return not self.connected and time.monotonic() - self.since_s > CONNECT_S

    @property
    def over(self) -> bool:
        return self.closed or self._pc.connectionState == "closed" or self.session.closed

    async def open(self, offer: Offer, packets: SessionPackets) -> PeerAnswer:
        """Raises Malformed, OptionError where there is no codec that both have, and UnknownPeer where the session ends meanwhile."""
        try:
            self._prepare(offer, packets)
            await self._pc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
            self._attach()
            await self._pc.setLocalDescription(await self._pc.createAnswer())
        except OperationError:
            raise OptionError(
                "The offer has no codec that is sent here.", "Offer H.264 (constrained baseline, packetization mode 1) and Opus.",
                code="webrtc_no_codec",
            ) from None
        except InvalidStateError:  # the session ended meanwhile
            raise UnknownPeer from None
        except (ValueError, AssertionError, LookupError, TypeError, AttributeError, InternalError):  # whatever its parser stumbles over
            raise Malformed("The SDP cannot be read.", "Send the offer as the browser gives it.", code="sdp_unread") from None
        transceiver = self._pc.getTransceivers()[0]
        self._mid = transceiver.mid
        self._ice = RestartableIce(transceiver.receiver.transport.transport, self._servers)
        await self._add(offer.candidates)
        return PeerAnswer(self._pc.localDescription.sdp, self.resource, self._ice.version, self.session.id)

    async def patch(self, text: str, version: str) -> PeerAnswer | None:
        """As `PeerConnections.patch`."""
        sent = read_fragment(text)
        async with self._patching:
            return await self._patched(sent, version)

    async def _patched(self, sent: Fragment, version: str) -> PeerAnswer | None:
        ice = self._ice
        if ice is None or (version != "*" and version != ice.version):
            raise StalePeer
        if version == "*" and sent.ufrag and not ice.is_remote(sent.ufrag):
            if not sent.password:
                raise Malformed("The fragment has no ice-pwd.", "Send both credentials.", code="sdp_unread")
            connection = await ice.restart(sent.ufrag, sent.password)
            self._n_candidates = 0
            await self._add(sent.candidates)
            told = fragment(connection.local_username, connection.local_password, self._mid, connection.local_candidates)
            return PeerAnswer(told, self.resource, ice.version, self.session.id)
        await self._add(sent.candidates)
        return None

    def hand_over(self) -> StartedSession | None:
        """The session that would have ended with this connection: it ends with the next one's."""
        started, self._started = self._started, None
        return started

    async def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._listening is not None:
            self._listening.cancel()
        if self._feed is not None:
            self._feed.close()
        try:
            await self._pc.close()
            if self._ice is not None:
                await self._ice.close()
        finally:  # whatever the library says
            if self._started is not None:
                await self._started.close()

    # ---- within

    def _prepare(self, offer: Offer, packets: SessionPackets) -> None:
        """A transceiver for each section, in their order: the first one's transport is that of all."""
        if self.role == "viewer":
            self._feed = Feed(packets, offer.kinds)
        for kind in offer.kinds:
            if self._feed is not None:
                transceiver = self._pc.addTransceiver(self._feed.tracks[kind], "sendonly")
                transceiver.setCodecPreferences(CODECS[kind])
                transceiver.sender._send_keyframe = packets.ask_for_key  # the library knows of key frames only where it encodes by itself
            else:
                self._pc.addTransceiver(kind, "recvonly" if kind == "audio" else "inactive")

    def _attach(self) -> None:
        if self.role == "viewer":
            return
        receiver: Any = next((each.receiver for each in self._pc.getTransceivers() if each.kind == "audio"), None)
        if receiver is None or receiver.track is None:
            raise Malformed("The offer sends no sound.", "Offer the microphone: an audio section that is sendonly.", code="sdp_media")
        # The session has a buffer of its own; the library's usual one keeps 80 ms back.
        receiver._RTCRtpReceiver__jitter_buffer = JitterBuffer(capacity=4)
        receiver._RTCRtpReceiver__decoder_queue = DecoderQueue()
        self._listening = asyncio.create_task(Microphone(self.session).listen(receiver.track))
        self._listening.add_done_callback(_tell_failure)

    async def _add(self, candidates: tuple[str, ...]) -> None:
        taken = usable(candidates, self._servers.scope)[: max(0, MAX_CANDIDATES - self._n_candidates)]
        self._n_candidates += len(taken)
        if self._ice is not None:
            await self._ice.add(taken)

    def _changed(self) -> None:
        self.connected = self.connected or self._pc.connectionState == "connected"


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a microphone failed", exc_info=error)


