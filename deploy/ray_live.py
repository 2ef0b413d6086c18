"""Live sessions over Ray: each is an actor, which any ingress reaches by its name, and which has any render replica draw for it.

    service.live_source = RayLiveSessions(settings, renderers)       at an ingress
    render_live(studio, speaker, work, stopping)                     at a render replica, for as long as it draws one session

A render replica asks the session's actor for work, never the other way round: so the call that began it is all that is known of a replica,
and Ray Serve counts it among those under way.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from core.service.errors import TooMany, UnknownLiveSession
from core.service.job_views import as_exception, as_values
from core.service.live_messages import LiveRequest
from core.service.live_source import wanted
from core.service.options import check_engine
from core.service.quotas import RateLimit
from core.service.shared.remote_session import RemoteSession
from core.service.shared.remote_speaker import Piece, RemoteSpeaker, SpeechHost
from core.service.shared.session_server import KEPT_S, Reply, SessionServer
from core.settings import Settings
from core.speech_synthesis.speaker import Speaker
from core.streaming.remote_renderer import Opening
from core.streaming.render_host import RenderHost
from core.streaming.render_link import OPENED, Answer, Command, RenderLink
from core.studio import Studio
from manager.kokoro import offer_kokoro

logger = logging.getLogger(__name__)

NAMESPACE = "talking-head-live"
OPEN_S = 120.0
ANSWER_S = 30.0
"""How long a session's actor may take to answer an ingress, and a render replica's call may lie with it."""
LOOK_S = 1.0
GROUPS = {"render": 4, "speech": 8, "in": 1, "out": 1}
"""Threads of a session's actor: for those who draw it, for their speech, and for what its client sends and is sent, in order."""
_GROUP_OF = {"produce": "out", "missed": "out", "take": "in", "hear": "in", "end_of_utterance": "in"}
GONE = Reply(None, None, 0, 0, True, 0.0, ())


@dataclass(frozen=True, eq=False)
class LiveWork:
    """What a render replica is asked to draw. session: name of its actor."""

    session: str
    token: str
    owner: str
    request: LiveRequest
    opening: Opening


class Renderers(Protocol):
    """The render replicas. Pickled: it goes along to the actors."""

    def start(self, work: LiveWork) -> Callable[[], Any]:
        """Has one of them do `render_live(work)`, another one with each attempt where there are more. What is returned waits for its end,
        and raises where the replica is lost.
        """


class ServeRenderers:
    """Those behind a handle of Ray Serve, whose deployment has the method `render_live`, and routes by its `avatar`."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def start(self, work: LiveWork) -> Callable[[], Any]:
        return self._handle.render_live.remote(work, avatar=work.token, attempt=work.opening.attempt).result  # type: ignore[no-any-return]


# ---- a session's actor


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

    def open(self, token: str, owner: str, request: LiveRequest, id: str, secret: str) -> Reply:
        self._asked = token, owner, request
        return self._server.open(owner, request, id, secret)

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


def name_of(owner: str, session_id: str) -> str:
    """Of a session's actor: proves whose it is, and tells nobody how to resume it."""
    return f"{_names_of(owner)}{hashlib.sha256(session_id.encode()).hexdigest()[:32]}"


def _names_of(owner: str) -> str:
    return f"live-{hashlib.sha256(owner.encode()).hexdigest()[:16]}-"


# ---- an ingress


class RayLiveSessions:
    """A LiveSource whose sessions are actors. settings: of the deployment; an owner has no more than `owner_max_live` of them, whatever
    ingress began them.
    """

    def __init__(self, settings: Settings, renderers: Renderers) -> None:
        self._settings = Settings.model_construct(**{name: getattr(settings, name) for name in Settings.model_fields})
        self._renderers = renderers
        self._actor: Any = ray.remote(concurrency_groups=GROUPS)(SessionActor)

    def open(self, token: str, owner: str, request: LiveRequest) -> RemoteSession:
        session_id, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(24)
        name = name_of(owner, session_id)
        actor: Any = self._actor.options(
            name=name, namespace=NAMESPACE, lifetime="detached", num_cpus=0, max_concurrency=4
        ).remote(name, self._settings, self._renderers)
        try:
            self._check_place(owner, name)
            reply: Reply = ray.get(actor.open.remote(token, owner, request, session_id, secret), timeout=OPEN_S)
            if reply.error is not None:
                raise as_exception(reply.error)
            session = RemoteSession(RayLine(actor), owner, request, session_id, secret, reply.value)
            session.attach()
        except BaseException:
            ray.kill(actor, no_restart=True)
            raise
        return session

    def find(self, session_id: str, secret: str, owner: str) -> RemoteSession | None:
        try:
            actor = ray.get_actor(name_of(owner, session_id), NAMESPACE)
        except ValueError:
            return None
        return RemoteSession.found(RayLine(actor), owner, session_id, secret)

    def _check_place(self, owner: str, name: str) -> None:
        """Counts after the actor has its name: whoever begins one meanwhile counts it, too. A session of the owner's whose client is gone
        makes room. Raises TooMany.
        """
        most = self._settings.owner_max_live
        others = [each["name"] for each in ray.util.list_named_actors(all_namespaces=True) if each["namespace"] == NAMESPACE]
        own = [each for each in others if each.startswith(_names_of(owner)) and each != name]
        if len(own) < most:
            return
        left: list[tuple[float, Any]] = []
        for each in own:
            try:
                actor: Any = ray.get_actor(each, NAMESPACE)
                left_s = ray.get(actor.left_s.remote(owner), timeout=LOOK_S)
            except (ValueError, RayError, GetTimeoutError):  # it ends just now, or is busy
                continue
            if left_s is not None:
                left.append((left_s, actor))
        if len(own) - bool(left) >= most:
            raise TooMany(f"{most} live sessions of yours are under way already.", "Wait until one of them has ended.", 5)
        ray.kill(max(left, key=lambda each: each[0])[1], no_restart=True)


class RayLine:
    """A Line to a session's actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def attach(self, owner: str, secret: str) -> Reply:
        try:
            return ray.get(self._actor.attach.remote(owner, secret), timeout=ANSWER_S)  # type: ignore[no-any-return]
        except (RayActorError, GetTimeoutError):
            return Reply(None, as_values(UnknownLiveSession(KEPT_S)), 0, 0, True, 0.0, ())

    def call(self, holder: int, name: str, *arguments: Any) -> Reply:
        try:
            return ray.get(self._sent(holder, name, arguments), timeout=ANSWER_S)  # type: ignore[no-any-return]
        except (RayActorError, GetTimeoutError):
            return GONE

    def post(self, holder: int, name: str, *arguments: Any) -> None:
        self._sent(holder, name, arguments)

    def _sent(self, holder: int, name: str, arguments: tuple[Any, ...]) -> Any:
        group = _GROUP_OF.get(name)
        call = self._actor.call if group is None else self._actor.call.options(concurrency_group=group)
        return call.remote(holder, name, *arguments)


# ---- a render replica


def render_live(studio: Studio, speaker: Speaker, work: LiveWork, stopping: threading.Event) -> None:
    """Draws a session until it is over, or this replica is to stop: then another one goes on with it."""
    try:
        actor: Any = ray.get_actor(work.session, NAMESPACE)
    except ValueError:
        return
    renderer = work.opening.renderer
    exchanging = actor.exchange.options(concurrency_group="render")
    speaking = actor.spoken.options(concurrency_group="speech")

    def exchange(answers: Sequence[Answer]) -> Sequence[Command] | None:
        told = [(number, _told(value) if isinstance(value, Exception) else value) for number, value in answers]
        return ray.get(exchanging.remote(renderer, told), timeout=ANSWER_S)  # type: ignore[no-any-return]

    def spoken(number: int, n: int, piece: Piece) -> bool:
        return bool(ray.get(speaking.remote(renderer, number, n, piece)))

    try:
        host = _opened(studio, work, SpeechHost(speaker, spoken))
    except Exception as error:
        exchange([(OPENED, error)])
        return
    try:
        host.render(exchange, lambda: not stopping.is_set())
    except (RayActorError, GetTimeoutError):
        logger.info("a live session is gone")
    finally:
        host.close()


def _opened(studio: Studio, work: LiveWork, speech: SpeechHost) -> RenderHost:
    request, opening = work.request, work.opening
    avatar = studio.avatar(work.token, work.owner)
    check_engine(request.engine, studio.engines.names)
    how = wanted(request, studio.settings)
    engine, metadata = (request.engine, None) if opening.before is None else (opening.before.engine, opening.before.metadata)
    renderer, meter = studio.live_renderer(
        avatar, work.owner, engine, how.framing, opening.controls or how.controls, how.render, how.live, opening.place, metadata
    )
    return RenderHost(renderer, meter, how.live.lead_s, {"speak": speech.speak, "hush": speech.hush}, speech.close)


def _told(error: Exception) -> Exception:
    """The error as other processes can read it."""
    values = as_values(error)
    if values["type"] == "InternalError":
        logger.error("a live session failed here", exc_info=error)
    return as_exception(values)
