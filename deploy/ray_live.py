"""Live sessions over Ray: each is an actor, which any ingress reaches by its name, and which has any render replica draw for it.

    service.live_source = RayLiveSessions(settings, renderers)       at an ingress
    render_live(studio, speaker, work, stopping)                     at a render replica, for as long as it draws one session

A render replica asks the session's actor for work, never the other way round: so the call that began it is all that is known of a replica,
and Ray Serve counts it among those under way.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from core.service.errors import TooMany, UnknownLiveSession
from core.service.job_views import as_exception, as_values
from core.service.live_messages import LiveRequest
from core.service.live_source import wanted
from core.service.options import check_engine
from core.service.shared.remote_session import RemoteSession
from core.service.shared.remote_speaker import Piece, SpeechHost
from core.service.shared.session_server import KEPT_S, Reply
from core.settings import Settings
from core.speech_synthesis.speaker import Speaker
from core.streaming.render_host import RenderHost
from core.streaming.render_link import OPENED, Answer, Command
from core.studio import Studio
from deploy.ray_renderers import LiveWork, Renderers
from deploy.ray_session import GROUPS, NAMESPACE, SessionActor, name_of, names_of

logger = logging.getLogger(__name__)

OPEN_S = 120.0
ANSWER_S = 30.0
"""How long a session's actor may take to answer an ingress, and a render replica's call may lie with it."""
LOOK_S = 1.0
_GROUP_OF = {"produce": "out", "missed": "out", "take": "in", "hear": "in", "end_of_utterance": "in"}
GONE = Reply(None, None, 0, 0, True, 0.0, ())


# ---- an ingress


class RayLiveSessions:
    """A LiveSource whose sessions are actors. settings: of the deployment; an owner has no more than `owner_max_live` of them, whatever
    ingress began them.
    """

    elsewhere = True

    def __init__(self, settings: Settings, renderers: Renderers) -> None:
        self._settings = Settings.model_construct(**{name: getattr(settings, name) for name in Settings.model_fields})
        self._renderers = renderers
        self._actor: Any = ray.remote(concurrency_groups=GROUPS)(SessionActor)

    def open(self, token: str, owner: str, request: LiveRequest) -> RemoteSession:
        how = wanted(request, self._settings)
        self._check_place(owner)  # a process is begun for nobody who has no place
        session_id, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(24)
        name = name_of(owner, session_id)
        actor: Any = self._actor.options(
            name=name, namespace=NAMESPACE, lifetime="detached", num_cpus=0, max_concurrency=4
        ).remote(name, self._settings, self._renderers)
        try:
            self._check_place(owner, name)  # again with a name: whoever begins one meanwhile counts it, too
            asked = actor.open.remote(token, owner, request, how.live, how.render.visemes, session_id, secret)
            reply: Reply = ray.get(asked, timeout=OPEN_S)
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

    def _check_place(self, owner: str, name: str = "") -> None:
        """name: of a session that does not count. One of the owner's whose client is gone makes room. Raises TooMany."""
        most = self._settings.owner_max_live
        others = [each["name"] for each in ray.util.list_named_actors(all_namespaces=True) if each["namespace"] == NAMESPACE]
        own = [each for each in others if each.startswith(names_of(owner)) and each != name]
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
