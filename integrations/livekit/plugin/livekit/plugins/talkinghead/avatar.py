"""The agent's side of the avatar: asks a worker to join the room, and sends it what the agent says."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import aiohttp
from livekit import api, rtc
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, AgentSession, APIConnectOptions, get_job_context, utils
from livekit.agents.voice.avatar import AvatarSession as BaseAvatarSession
from livekit.agents.voice.avatar import DataStreamAudioOutput
from livekit.agents.voice.room_io import ATTRIBUTE_PUBLISH_ON_BEHALF
from livekit.plugins.talkinghead.log import logger

SAMPLE_RATE_HZ = 24_000
MOST_WAIT_S = 30.0
"""Between two tries, whatever a worker that is busy asks for."""


class TalkingHeadError(Exception):
    """There is no avatar, and why: one sentence, and what to do."""


class AvatarSession(BaseAvatarSession[Any]):
    """One avatar in the agent's room.

    worker_url, worker_key: of the worker. avatar_participant_identity and _name: as whom it joins. conn_options: how long
    one try may last, and how many follow where the worker is busy, or cannot be reached.
    """

    def __init__(
        self,
        *,
        worker_url: str | None = None,
        worker_key: str | None = None,
        avatar_participant_identity: str = "talking-head-avatar",
        avatar_participant_name: str = "Talking Head",
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> None:
        super().__init__()
        self._worker_url = _given(worker_url, "TALKING_HEAD_WORKER_URL").rstrip("/")
        self._worker_key = _given(worker_key, "TALKING_HEAD_WORKER_KEY")
        self._identity, self._name = avatar_participant_identity, avatar_participant_name
        self._conn_options = conn_options

    @property
    def avatar_identity(self) -> str:
        return self._identity

    @property
    def provider(self) -> str:
        return "talkinghead"

    async def start(
        self,
        agent_session: AgentSession[Any],
        room: rtc.Room,
        *,
        livekit_api_key: str | None = None,
        livekit_api_secret: str | None = None,
    ) -> None:
        """Returns when the avatar is in the room; from then on it speaks for the session. Where the LiveKit server is the worker knows.

        Raises TalkingHeadError where no avatar came; the session goes on without one.
        """
        key, secret = _given(livekit_api_key, "LIVEKIT_API_KEY"), _given(livekit_api_secret, "LIVEKIT_API_SECRET")
        await super().start(agent_session, room)
        context = get_job_context(required=False)
        agent = room.local_participant.identity if context is None else context.local_participant_identity
        token = (
            api.AccessToken(key, secret)
            .with_kind("agent")
            .with_identity(self._identity)
            .with_name(self._name)
            .with_grants(api.VideoGrants(room_join=True, room=room.name))
            .with_attributes({ATTRIBUTE_PUBLISH_ON_BEHALF: agent})
            .to_jwt()
        )
        try:
            await self._launch({"token": token, "agent": agent})
        except BaseException:
            await self.aclose()
            raise
        agent_session.output.replace_audio_tail(
            DataStreamAudioOutput(
                room,
                destination_identity=self._identity,
                sample_rate=SAMPLE_RATE_HZ,
                wait_remote_track=rtc.TrackKind.KIND_VIDEO,
                wait_playback_start=True,
            )
        )

    async def _launch(self, asked: dict[str, str]) -> None:
        headers = {"Authorization": f"Bearer {self._worker_key}"}
        options = self._conn_options
        for left in range(options.max_retry, -1, -1):
            wait_s = options.retry_interval
            try:
                async with utils.http_context.http_session().post(
                    f"{self._worker_url}/launch", json=asked, headers=headers, timeout=aiohttp.ClientTimeout(total=options.timeout)
                ) as answer:
                    if answer.status == 201:
                        return
                    problem = await _told(answer)
                    if answer.status < 500:
                        raise TalkingHeadError(problem)
                    if answer.headers.get("Retry-After", "").isdigit():
                        wait_s = min(float(answer.headers["Retry-After"]), MOST_WAIT_S)
            except (aiohttp.ClientError, TimeoutError) as error:
                problem = f"The worker at {self._worker_url} cannot be reached: {str(error) or 'no answer in time'}."
            if not left:
                raise TalkingHeadError(problem)
            logger.warning("%s Next try in %g s.", problem, wait_s)
            await asyncio.sleep(wait_s)


async def _told(answer: aiohttp.ClientResponse) -> str:
    """What the worker says is wrong."""
    try:
        error = (await answer.json())["error"]
        return f"{error['message']} {error['hint']}"
    except (aiohttp.ClientError, ValueError, KeyError, TypeError):
        return f"The worker answers with status {answer.status}. Is TALKING_HEAD_WORKER_URL that of a worker?"


def _given(value: str | None, variable: str) -> str:
    value = value or os.environ.get(variable, "")
    if not value:
        raise TalkingHeadError(f"{variable} is not set. Set it, or give it as an argument.")
    return value
