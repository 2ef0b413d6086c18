"""The rooms that a worker's avatar is in: joined when an agent asks, left when the agent is gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from livekit import rtc
from livekit.agents.utils import wait_for_participant
from livekit.agents.voice.avatar import AvatarRunner

from core.errors import BusyError, TalkingHeadError
from core.streaming import LiveSession
from integrations.livekit.receivers import StreamReceiver
from integrations.livekit.video_generator import LiveVideoGenerator

AGENT_S = 30.0
"""How long the avatar waits in a room for its agent."""
CONNECT_S = 15.0
RETRY_S = 5.0
logger = logging.getLogger(__name__)


class RoomError(TalkingHeadError):
    """The LiveKit server cannot be reached, or does not take the token."""


class AvatarRooms:
    """Used on one event loop.

    url: of the LiveKit server. open_live: gives a session with `live_options`; called on a thread, raises what `Studio.live` does. most:
    rooms at the same time. longest_s: in one of them. new_room: as rtc.Room.
    """

    def __init__(
        self, url: str, open_live: Callable[[], LiveSession], most: int, longest_s: float, new_room: Callable[[], rtc.Room] = rtc.Room
    ) -> None:
        self._url, self._open_live, self._most, self._longest_s, self._new_room = url, open_live, most, longest_s, new_room
        self._visits: set[asyncio.Task[None]] = set()
        self._joining = 0
        self._closing = False

    @property
    def free(self) -> int:
        """So many more rooms can be joined now."""
        return 0 if self._closing else self._most - self._joining - len(self._visits)

    async def join(self, token: str, agent: str | None = None) -> None:
        """Returns when the avatar is in the room. agent: the identity of who speaks; None for the first agent there.

        Raises BusyError, RoomError, and what `open_live` raises.
        """
        if self.free <= 0:
            raise BusyError("The avatar has no free place.", f"At most {self._most} rooms; ask again in {RETRY_S:g} s.")
        self._joining += 1
        try:
            generator = await asyncio.to_thread(self._generator)
            try:
                room = await self._entered(token)
                if self._closing:
                    await room.disconnect()
                    raise BusyError("The worker is stopping.", "Ask another one.")
            except BaseException:
                await generator.aclose()
                raise
            visit = asyncio.create_task(self._visit(room, generator, agent))
            self._visits.add(visit)
            visit.add_done_callback(self._visits.discard)
        finally:
            self._joining -= 1

    def _generator(self) -> LiveVideoGenerator:
        live = self._open_live()
        try:
            return LiveVideoGenerator(live)
        except BaseException:
            live.close()
            raise

    async def _entered(self, token: str) -> rtc.Room:
        room = self._new_room()
        try:
            await asyncio.wait_for(room.connect(self._url, token), CONNECT_S)
        except BaseException as error:
            with contextlib.suppress(Exception):  # of one that took too long, what is under way
                await room.disconnect()
            if not isinstance(error, (rtc.ConnectError, TimeoutError)):
                raise
            hint = "Look at LIVEKIT_URL of the worker, and whether the token is of that server."
            raise RoomError(f"LiveKit at {self._url} did not let the avatar in: {str(error) or 'no answer'}.", hint) from error
        return room

    async def aclose(self) -> None:
        """Leaves all rooms; joins no more."""
        self._closing = True
        for visit in list(self._visits):
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)

    async def _visit(self, room: rtc.Room, generator: LiveVideoGenerator, agent: str | None) -> None:
        """Until the agent or the connection is gone, or the longest time is over."""
        try:
            kind = None if agent else rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
            speaker = await asyncio.wait_for(wait_for_participant(room, identity=agent, kind=kind), AGENT_S)
            gone = asyncio.Event()

            def left(who: rtc.RemoteParticipant) -> None:
                if who.identity == speaker.identity:
                    gone.set()

            room.on("participant_disconnected", left)
            room.on("disconnected", lambda _: gone.set())
            receiver = StreamReceiver(room, generator, speaker.identity)
            runner = AvatarRunner(room, audio_recv=receiver, video_gen=generator, options=generator.options)
            generator.attach(runner.av_sync)
            await runner.start()
            try:
                async with asyncio.timeout(self._longest_s):
                    await _first(gone.wait(), runner.wait_for_complete())
            finally:
                await runner.aclose()
        except TimeoutError:
            logger.warning("The avatar left room %s: no agent within %g s, or longer there than %g s.", room.name, AGENT_S, self._longest_s)
        except Exception:  # of the library or the engine: this room ends, the worker and its other rooms go on
            logger.exception("The avatar had to leave room %s.", room.name)
        finally:
            await generator.aclose()
            with contextlib.suppress(Exception):
                await room.disconnect()


async def _first(*waits: Awaitable[object]) -> None:
    """Returns, or raises, as the first of them does."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
