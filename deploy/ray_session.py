"""The process of a live session over Ray. There are as many as sessions, so it loads no engine, no codec and no studio."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import ray

from core.service.live_messages import LiveRequest
from core.service.quotas import RateLimit
from core.service.shared.remote_speaker import Piece, RemoteSpeaker
from core.service.shared.session_server import Reply, SessionServer
from core.settings import Settings
from core.streaming.outputs import LiveOptions
from core.streaming.remote_renderer import Opening
from core.streaming.render_link import Answer, Command, RenderLink
from deploy.ray_renderers import LiveWork, Renderers
from manager.kokoro import offer_kokoro

logger = logging.getLogger(__name__)

NAMESPACE = "talking-head-live"
LOOK_S = 1.0
GROUPS = {"render": 4, "speech": 8, "in": 1, "out": 1}
"""Threads of a session's actor: for those who draw it, for their speech, and for what its client sends and is sent, in order."""


def name_of(owner: str, session_id: str) -> str:
    """Of a session's actor: proves whose it is, and tells nobody how to resume it."""
    return f"{names_of(owner)}{hashlib.sha256(session_id.encode()).hexdigest()[:32]}"


def names_of(owner: str) -> str:
    """What the names of all of an owner's begin with."""
    return f"live-{hashlib.sha256(owner.encode()).hexdigest()[:16]}-"


class SessionActor:
    """One live session, whoever is connected to it and whoever draws it. It ends with the session."""

    def __init__(self, name: str, settings: Settings, renderers: Renderers) -> None:
        self._name, self._renderers = name, renderers
        self._asked: tuple[str, str, LiveRequest] | None = None
        self._link = RenderLink()
        speaker = RemoteSpeaker(settings, offer_kokoro(fetch=False), self._link)
        says = RateLimit(settings.says_per_minute, "texts to say", _rates(settings))
        self._server = SessionServer(settings, self._link, self, speaker, says, settings.max_live_s)
        self._own = ray.get_runtime_context().current_actor
        threading.Thread(target=self._watch, name="session-end", daemon=True).start()

    def begin(self, opening: Opening) -> None:
        """As RendererSource."""
        if self._asked is None:
            raise TypeError("nothing was asked for")
        work = LiveWork(self._name, *self._asked, opening)

        def rendered() -> None:
            try:
                self._renderers.start(work)()
            except Exception as error:
                logger.warning("a render replica was lost: %s", type(error).__name__)
            finally:
                self._link.lost(opening.renderer)

        threading.Thread(target=rendered, name="renderer", daemon=True).start()

    # ---- ingresses

    def open(self, token: str, owner: str, request: LiveRequest, live: LiveOptions, visemes: bool, id: str, secret: str) -> Reply:
        self._asked = token, owner, request
        return self._server.open(owner, request, live, visemes, id, secret)

    def attach(self, owner: str, secret: str) -> Reply:
        return self._server.attach(owner, secret)

    def call(self, holder: int, name: str, *arguments: Any) -> Reply:
        return self._server.call(holder, name, *arguments)

    def left_s(self, owner: str) -> float | None:
        return self._server.left_s(owner)

    # ---- render replicas

    def exchange(self, renderer: int, answers: Sequence[Answer]) -> list[Command] | None:
        return self._link.exchange(renderer, answers)

    def spoken(self, renderer: int, number: int, n: int, piece: Piece) -> bool:
        return self._server.spoken(renderer, number, n, piece)

    def _watch(self) -> None:
        while not self._server.over:
            time.sleep(LOOK_S)
        self._server.close()
        time.sleep(LOOK_S)  # whoever waits for an answer gets it
        ray.kill(self._own, no_restart=True)


def _rates(settings: Settings) -> Any:
    if settings.redis_url is None:
        return None
    from core.service.shared.redis_rates import RedisRates

    return RedisRates(settings.redis_url.get_secret_value())
