"""Where live sessions are made and found again: in this process, or by whatever a deployment over several machines hands to `Service`."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from core.request import Controls, Framing, RenderOptions
from core.service.held_session import HeldSession
from core.service.live_messages import LiveRequest
from core.service.options import check_engine, read, settled
from core.service.quotas import RateLimit
from core.service.resumable_session import ResumableSession, resumable
from core.service.sent_pictures import check_one_background, with_background
from core.settings import Settings
from core.speech_synthesis.speaker import Speaker
from core.streaming.outputs import LiveOptions
from core.studio import Studio

PACKETS = LiveOptions(output="packets", lead_s=0.0, jitter_s=0.04, stats_every_s=1.0)
"""What receives packets has a buffer of its own, and the microphone's sound comes out of one."""


class LiveSource(Protocol):
    """Both methods are called on threads. elsewhere: sessions may have been begun by other processes of the service."""

    elsewhere: bool

    def open(self, token: str, owner: str, request: LiveRequest) -> HeldSession:
        """A new session on an avatar of the owner. Raises AvatarError, InputError, EngineUnavailable, BusyError, TooMany."""

    def find(self, session_id: str, secret: str, owner: str) -> HeldSession | None:
        """One that another process of the service has begun, taken from whoever holds it there; None where there is none, or it is
        another's.
        """


@dataclasses.dataclass(frozen=True, eq=False)
class Wanted:
    """How a session is to be, of a request that was checked."""

    framing: Framing
    controls: Controls
    render: RenderOptions
    live: LiveOptions


def wanted(request: LiveRequest, settings: Settings) -> Wanted:
    """Raises InputError for options that cannot be."""
    check_one_background(request.background, request.options)
    options = read(settled(request.options, settings, avatar=True))
    render = with_background(options.render, request.background, settings)
    how = PACKETS if request.output == "packets" else LiveOptions(output=request.output)
    return Wanted(options.framing, options.controls, render, how)


class StudioSource:
    """Sessions of this process, which nobody else has begun. says: how often an owner may have a text said."""

    elsewhere = False

    def __init__(self, studio: Studio, speaker: Speaker, settings: Settings, says: RateLimit) -> None:
        self._studio, self._speaker, self._settings, self._says = studio, speaker, settings, says

    def open(self, token: str, owner: str, request: LiveRequest) -> ResumableSession:
        avatar = self._studio.avatar(token, owner)
        check_engine(request.engine, self._studio.engines.names)
        how = wanted(request, self._settings)
        live = self._studio.live(avatar, owner, request.engine, how.framing, how.controls, how.render, how.live)
        return resumable(live, owner, request, self._speaker, self._settings, self._says)

    def find(self, session_id: str, secret: str, owner: str) -> None:
        return None
