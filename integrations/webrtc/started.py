"""A live session that a microphone started over WHIP: drawn while its connection lasts, and over with it."""

from __future__ import annotations

import asyncio
import logging
import time

import anyio.to_thread

from core.service.held_session import HeldSession
from core.service.live_messages import LiveRequest
from core.service.live_sessions import LiveSessions

logger = logging.getLogger(__name__)

STEP_S = 0.25


class _Microphone:
    """A `Peer` of core/service/resumable_session.py: ICE knows whether the other side lives, and ends the connection where it does not."""

    @property
    def heard_s(self) -> float:
        return time.monotonic()

    def ping(self) -> None:
        return


class StartedSession:
    """One such session, and its hold on it."""

    @classmethod
    async def open(cls, sessions: LiveSessions, avatar: str, owner: str, request: LiveRequest) -> StartedSession:
        """Raises what `LiveSessions.open` raises, and what the engine raises."""
        await anyio.to_thread.run_sync(sessions.check_avatar, avatar, owner, limiter=sessions.threads)  # elsewhere a process is begun
        session, attachment = await sessions.open(avatar, owner, request, _Microphone())
        try:
            await anyio.to_thread.run_sync(session.produce, STEP_S, limiter=sessions.threads)  # tells what is ready
        except BaseException:
            sessions.detach(session)
            sessions.end(session)
            raise
        return cls(sessions, session, attachment.leave)

    def __init__(self, sessions: LiveSessions, session: HeldSession, leave: asyncio.Event) -> None:
        self._sessions, self.session, self._leave = sessions, session, leave
        self._pulling = asyncio.create_task(self._pull())

    async def close(self) -> None:
        self._leave.set()
        await asyncio.wait((self._pulling,))

    async def _pull(self) -> None:
        sessions, session = self._sessions, self.session
        try:
            while not (self._leave.is_set() or session.closed or sessions.too_old(session)):
                await anyio.to_thread.run_sync(session.produce, STEP_S, limiter=sessions.threads)
        except Exception:  # of the engine: nobody awaits this task, and the place must be given back
            logger.exception("a live session failed")
        finally:
            sessions.detach(session)
            sessions.end(session)
