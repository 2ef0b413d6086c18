"""All live sessions of the service: started, resumed after a lost connection, and ended when nobody comes back for `RESUME_S`.

While nobody is connected nothing is computed.
"""

from __future__ import annotations

import asyncio
import hmac
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
import anyio.to_thread

from core.errors import BusyError
from core.service.errors import UnknownLiveSession
from core.service.held_session import HeldSession
from core.service.live_messages import Attachment, Leaving, LiveRequest, Peer
from core.service.live_source import LiveSource
from core.service.quotas import ConcurrencyLimit, RateLimit
from core.streaming.load import LIVE_BUSY
from core.studio import Studio

RESUME_S = 30.0
"""How long a session without a connection is kept."""
ANSWER_S = 3.0
"""How long the connections of an owner without a free place have to show that they live."""
LOOK_S = 0.05
LEAVE_S = 1.0
"""How long the connections have to tell their clients that the service stops."""


@dataclass(frozen=True)
class LiveStatement:
    """metadata: as in `core.provenance.disclosure`, of all frames of the session. running_s: since it began."""

    session_id: str
    metadata: Mapping[str, str]
    running_s: float


class LiveSessions:
    """Used on the event loop of a server; what computes runs on threads of its own.

    source: where sessions are made. starts: how often an owner may start something. total, each: sessions at the same time, and of one
    owner. longest_s: of one session.
    """

    def __init__(
        self, studio: Studio, source: LiveSource, starts: RateLimit, *, total: int, each: int, longest_s: float
    ) -> None:
        self._studio, self._source = studio, source
        self._starts, self._longest_s = starts, longest_s
        self._sessions: dict[str, HeldSession] = {}
        self._places = ConcurrencyLimit(total, each, "live sessions")
        self._stopping = False
        self.threads = anyio.CapacityLimiter(2 * max(total, 1) + 2)

    @property
    def n_sessions(self) -> int:
        return self._places.taken

    def check_avatar(self, token: str, owner: str) -> None:
        """Raises AvatarError where there is no such avatar of the owner. Reads files: on a thread."""
        self._studio.avatar(token, owner)

    async def open(self, token: str, owner: str, request: LiveRequest, peer: Peer) -> tuple[HeldSession, Attachment]:
        """A new session, held by the connection to `peer`. Without a place left, or where it would not keep real time beside the others,
        one of the owner's whose client is gone makes room: the page was loaded anew.

        Raises TooMany, BusyError, AvatarError, InputError, OptionError, EngineUnavailable.
        """
        self._check_going_on()
        self._starts.take(owner)
        await self._make_place(owner)
        self._places.take(owner)
        try:
            session = await self._opened_beside(token, owner, request)
        except BaseException:
            self._places.give_back(owner)
            raise
        self._sessions[session.id] = session
        try:
            self._check_going_on()
        except BusyError:
            self.end(session)
            raise
        return session, self._attached(session, peer, 0)

    async def resume(
        self, session_id: str, secret: str, owner: str, next_number: int | None, peer: Peer
    ) -> tuple[HeldSession, Attachment]:
        """The session of a connection that was lost, or is about to be: the old one is told to leave.

        next_number: of the first message that will come; None where it is the one after those that were taken. Raises
        UnknownLiveSession, in the same words whatever is wrong, and BusyError where the service stops.
        """
        self._check_going_on()
        session = await self._found(session_id, secret, owner)
        if not session.here:
            await anyio.to_thread.run_sync(session.attach, limiter=self.threads)
        while session.attachment is not None:
            session.attachment.dismiss("taken_over")
            await session.free.wait()
        if session.id not in self._sessions:  # it ended meanwhile
            raise UnknownLiveSession(RESUME_S)
        return session, self._attached(session, peer, session.received if next_number is None else next_number)

    async def _found(self, session_id: str, secret: str, owner: str) -> HeldSession:
        """The same, begun in any process."""
        if session_id not in self._sessions and self._source.elsewhere:
            self._places.take(owner)  # first: whoever holds it elsewhere keeps it where there is no place here
            try:
                session = await anyio.to_thread.run_sync(self._source.find, session_id, secret, owner, limiter=self.threads)
            except BaseException:
                self._places.give_back(owner)
                raise
            if session is None or session_id in self._sessions:
                self._places.give_back(owner)
            else:
                self._sessions[session_id] = session
                self._expire(session)  # unless it is attached: its client may be gone again, or it may be over
        return self.find(session_id, secret, owner)

    def find(self, session_id: str, secret: str, owner: str) -> HeldSession:
        """The session, whoever is connected to it. Raises UnknownLiveSession, in the same words whatever is wrong."""
        session = self._sessions.get(session_id)
        if session is None or session.owner != owner or not hmac.compare_digest(session.secret.encode(), secret.encode()):
            raise UnknownLiveSession(RESUME_S)
        return session

    def of_owner(self, session_id: str, owner: str) -> HeldSession:
        """A session of the owner, to be watched or looked at. Raises UnknownLiveSession, in the same words whatever is wrong."""
        session = self._sessions.get(session_id)
        if session is None or session.owner != owner:
            raise UnknownLiveSession(RESUME_S)
        return session

    def statement(self, session_id: str, owner: str) -> LiveStatement:
        """What a session of the owner says of its video, while it lasts. Raises UnknownLiveSession, in the same words whatever is wrong."""
        session = self.of_owner(session_id, owner)
        return LiveStatement(session.id, session.metadata, time.monotonic() - session.since_s)

    def detach(self, session: HeldSession) -> None:
        """The connection has let go; its client may come back."""
        session.attachment = None
        session.left_s = time.monotonic()
        session.free.set()
        if session.id in self._sessions:
            self._expire(session)

    def end(self, session: HeldSession, why: Leaving = "") -> None:
        """The session is over; its connection, where it has one, is told to leave. May be called again."""
        if self._sessions.pop(session.id, None) is None:
            return
        self._places.give_back(session.owner)
        if session.expiry is not None:
            session.expiry.cancel()
        if session.attachment is not None:
            session.attachment.dismiss(why)
        threading.Thread(target=session.close, name="live-close", daemon=True).start()  # it waits for the step under way

    async def stop(self) -> None:
        """Ends all sessions and takes no more; waits a little for their connections to tell their clients. Those of other processes are
        let go of: their clients find them by another process of the service.
        """
        self._stopping = True
        held = [session for session in self._sessions.values() if session.attachment is not None]
        for session in list(self._sessions.values()):
            if session.here:
                self.end(session, "stopping")
            elif session.attachment is not None:
                session.attachment.dismiss("moving")
        if held:
            await asyncio.wait([asyncio.ensure_future(session.free.wait()) for session in held], timeout=LEAVE_S)

    def too_old(self, session: HeldSession) -> bool:
        return time.monotonic() - session.since_s > self._longest_s

    def _check_going_on(self) -> None:
        if self._stopping:
            raise BusyError("The service is stopping.", "Start again in a minute.", code="stopping")

    def _expire(self, session: HeldSession) -> None:
        session.expiry = asyncio.get_running_loop().call_later(RESUME_S, self.end, session)

    def _attached(self, session: HeldSession, peer: Peer, next_number: int) -> Attachment:
        if session.expiry is not None:
            session.expiry.cancel()
        session.attachment = Attachment(peer, next_number)
        session.free.clear()
        return session.attachment

    async def _make_place(self, owner: str) -> None:
        """Where there is no place for the owner: ends the one of their sessions that has been without a client longest. One whose client
        lives is never ended.
        """
        if self._places.has_room(owner):
            return
        if self._end_left(owner) is not None:
            return
        silent = await self._silent(owner)
        if silent and not self._places.has_room(owner):
            self.end(silent[0], "replaced")

    def _end_left(self, owner: str) -> HeldSession | None:
        """Ends the one of the owner's sessions that has been without a client longest, and returns it; None where there is none."""
        left = [session for session in self._own(owner) if session.attachment is None]
        longest = min(left, key=lambda session: session.left_s, default=None)
        if longest is not None:
            self.end(longest)
        return longest

    async def _opened_beside(self, token: str, owner: str, request: LiveRequest) -> HeldSession:
        while True:
            try:
                return await anyio.to_thread.run_sync(self._source.open, token, owner, request, limiter=self.threads)
            except BusyError as error:
                left = self._end_left(owner) if error.code == LIVE_BUSY else None
                if left is None:
                    raise
                await anyio.to_thread.run_sync(left.close, limiter=self.threads)  # until it counts no more

    async def _silent(self, owner: str) -> list[HeldSession]:
        """The owner's sessions whose clients give no sign of life when asked, or leave meanwhile; the longest silent first."""
        asked_s = time.monotonic()
        peers = {session.id: session.attachment.peer for session in self._own(owner) if session.attachment is not None}
        for peer in peers.values():
            peer.ping()
        while time.monotonic() - asked_s < ANSWER_S and any(peer.heard_s < asked_s for peer in peers.values()):
            await asyncio.sleep(LOOK_S)
        silent = [session for session in self._own(owner) if session.id in peers and peers[session.id].heard_s < asked_s]
        return sorted(silent, key=lambda session: peers[session.id].heard_s)

    def _own(self, owner: str) -> list[HeldSession]:
        return [session for session in self._sessions.values() if session.owner == owner]
