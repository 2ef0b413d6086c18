"""What one viewer of a live session is sent: the packets that the session was encoded to once, as aiortc's tracks."""

from __future__ import annotations

import asyncio
import contextlib
from fractions import Fraction

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from core.media.codec_facts import OPUS_HZ
from core.service.held_session import HeldSession
from core.service.live_messages import Watched
from core.streaming.outputs import LivePacket
from core.types import FPS

MOST_WAITING = FPS
"""Packets that may wait for a viewer whose sending is behind; beyond it goes on with the next key frame."""
KEY_EVERY_S = 0.5
"""One session makes no more key frames on request, however many ask."""
_PICTURE_HZ = 90_000


class SessionPackets:
    """What one session gives its viewers: its packets, from the thread that makes them, and key frames. Used on the event loop."""

    def __init__(self, session: HeldSession) -> None:
        self._session, self._loop = session, asyncio.get_running_loop()
        self._feeds: list[Feed] = []
        self._since_s = float("-inf")
        self._asked = False

    def add(self, feed: Feed) -> None:
        self._feeds.append(feed)
        if len(self._feeds) == 1:
            self._session.watchers.append(self._watch)

    def remove(self, feed: Feed) -> None:
        if feed in self._feeds:
            self._feeds.remove(feed)
            if not self._feeds:
                self._session.watchers.remove(self._watch)

    def ask_for_key(self) -> None:
        if not self._asked:
            self._asked = True
            self._loop.call_later(max(0.0, self._since_s + KEY_EVERY_S - self._loop.time()), self._request)

    def _request(self) -> None:
        self._asked, self._since_s = False, self._loop.time()
        self._session.request_keyframe()

    def _watch(self, message: Watched) -> None:
        if isinstance(message, LivePacket):
            with contextlib.suppress(RuntimeError):  # the server has ended
                self._loop.call_soon_threadsafe(self._pass_on, message)

    def _pass_on(self, packet: LivePacket) -> None:
        for feed in self._feeds:
            feed.put(packet)


class Feed:
    """The tracks of one viewer, which all begin with the same key frame. kinds: of the tracks, "audio" and "video"."""

    def __init__(self, packets: SessionPackets, kinds: tuple[str, ...]) -> None:
        self._packets = packets
        self.tracks = {kind: _Track(kind, self) for kind in kinds}
        self._flowing = False
        packets.add(self)

    def close(self) -> None:
        self._packets.remove(self)
        for track in self.tracks.values():
            track.packets.put_nowait(None)

    def begin(self) -> None:
        """A track is sent by now."""
        if all(track.wanted for track in self.tracks.values()):
            self._packets.ask_for_key()

    def put(self, packet: LivePacket) -> None:
        tracks = self.tracks.values()
        if not all(track.wanted for track in tracks):
            return
        if any(track.packets.qsize() >= MOST_WAITING for track in tracks):
            for track in tracks:
                while not track.packets.empty():
                    track.packets.get_nowait()
            self._flowing = False
            self._packets.ask_for_key()
        self._flowing = self._flowing or packet.key
        if self._flowing:
            for track in tracks:
                track.packets.put_nowait(packet)


class _Track(MediaStreamTrack):  # type: ignore[misc]  # the package has no types here
    """wanted: it is being sent. Time stamps are the session's own, so picture and sound of one frame have the same time."""

    def __init__(self, kind: str, feed: Feed) -> None:
        super().__init__()
        self.kind, self._feed = kind, feed
        self.wanted = False
        self.packets: asyncio.Queue[LivePacket | None] = asyncio.Queue()

    async def recv(self) -> av.Packet:
        if not self.wanted:
            self.wanted = True
            self._feed.begin()
        made = await self.packets.get() if self.readyState == "live" else None
        if made is None:
            self.stop()
            raise MediaStreamError
        rate_hz = _PICTURE_HZ if self.kind == "video" else OPUS_HZ
        packet = av.Packet(made.picture if self.kind == "video" else made.sound)
        packet.pts, packet.time_base = round(made.at_s * FPS) * (rate_hz // FPS), Fraction(1, rate_hz)
        return packet
