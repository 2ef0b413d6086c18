"""All conversations of the service: begun, resumed, and forgotten when nobody says anything for `KEPT_S`."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import threading
import time
from pathlib import Path

from core.errors import TalkingHeadError
from core.service.chat.conversation import Conversation
from core.service.chat.options import ChatOptions
from core.service.chat.partner import Partner, partner_of
from core.service.errors import TooMany, UnknownChat, UnknownJob
from core.service.live_sessions import LiveSessions
from core.service.quotas import RateLimit
from core.service.sent_pictures import background_of, check_one_background
from core.service.service import Service
from core.speech_synthesis.speaker import check_speed
from core.thread_priority import PATIENT_SOON, be_patient

KEPT_S = 3600.0
MAX_OF_OWNER, MAX_CONVERSATIONS = 20, 1000
"""Held in memory; the one used longest ago makes room, unless it is busy."""
FULL_WAIT_S = 30.0


class Conversations:
    """Used on the event loop of a server. messages: how often an owner may say something. live: where the sessions that speak are found."""

    def __init__(self, service: Service, live: LiveSessions, messages: RateLimit) -> None:
        self._service, self._live, self._messages = service, live, messages
        self._held: dict[str, Conversation] = {}
        self._model: Partner | None = None
        self._loaded: set[str] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def partner(self, echo: bool) -> Partner:
        """Who answers. echo: where no model is set the built-in echo will do. Raises ModelUnavailable."""
        if self._model is not None:
            return self._model
        partner = partner_of(self._service.settings, echo)
        if not partner.echo:
            self._model = partner
        return partner

    async def begin(
        self, owner: str, options: ChatOptions, live: tuple[str, str] | None = None, echo: bool = True, idle: bool = False
    ) -> Conversation:
        """live: id and secret of the session that speaks. idle: the client shows the person at rest between clips.

        Raises ModelUnavailable, AvatarError, InputError, OptionError, UnknownLiveSession, TooMany, EngineUnavailable.
        """
        partner = self.partner(echo)
        session = self._live.find(*live, owner) if live is not None else None
        await asyncio.to_thread(self._check, owner, options)
        self._make_room(owner)
        conversation = Conversation(self._service, owner, partner, options, session)
        self._held[conversation.id] = conversation
        if options.mode == "live":
            self._load_voice(options.voice)
        if idle:
            conversation.show_idle()
        return conversation

    def find(self, id: str, secret: str, owner: str, live: tuple[str, str] | None = None) -> Conversation:
        """live: the session that speaks from now on. Raises UnknownChat, UnknownLiveSession."""
        self._forget_old()
        conversation = self._held.get(id)
        if conversation is None or conversation.owner != owner or not hmac.compare_digest(conversation.secret.encode(), secret.encode()):
            raise UnknownChat(KEPT_S)
        if live is not None:
            conversation.live = self._live.find(*live, owner)
        conversation.used_s = time.monotonic()
        return conversation

    def video(self, job: str, owner: str) -> Path | None:
        """Of an answer, or of the person at rest; None where it is kept no longer. Reads the store."""
        try:
            return self._service.jobs.with_files(job, owner).video
        except UnknownJob:
            return None

    def take(self, owner: str) -> None:
        """One more message of the owner. Raises TooMany."""
        self._messages.take(owner)

    def end(self, conversation: Conversation) -> None:
        """Forgets it. May be called again."""
        if self._held.pop(conversation.id, None) is not None:
            task = asyncio.ensure_future(conversation.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        for conversation in list(self._held.values()):
            self.end(conversation)
        if self._closing:
            await asyncio.wait(self._closing)
        if self._model is not None:
            await self._model.close()

    def _load_voice(self, voice: str) -> None:
        """While the user thinks of what to say, and once for each voice."""
        if voice in self._loaded:
            return
        self._loaded.add(voice)
        speaker = self._service.speaker

        def load() -> None:
            be_patient(PATIENT_SOON)
            with contextlib.suppress(TalkingHeadError):  # told by who speaks
                speaker.warmup(speaker.voice(voice))

        threading.Thread(target=load, name="voice", daemon=True).start()

    def _check(self, owner: str, options: ChatOptions) -> None:
        if options.mode == "clips":
            self._service.studio.avatar(options.avatar, owner)
            check_one_background(options.background, options.options)
            if options.background:
                background_of(options.background, self._service.settings)
        if options.mode != "text":
            self._service.speaker.voice(options.voice)
            check_speed(options.speed)

    def _make_room(self, owner: str) -> None:
        self._forget_old()
        own = [conversation for conversation in self._held.values() if conversation.owner == owner]
        for held, most in ((own, MAX_OF_OWNER), (list(self._held.values()), MAX_CONVERSATIONS)):
            idle = sorted((one for one in held if not one.busy), key=lambda one: one.used_s)
            too_many = len(held) - most + 1
            if len(idle) < too_many:
                raise TooMany(f"{most} conversations are under way already.", "Try again a little later.", FULL_WAIT_S)
            for conversation in idle[: max(0, too_many)]:
                self.end(conversation)

    def _forget_old(self) -> None:
        now_s = time.monotonic()
        for conversation in [held for held in self._held.values() if now_s - held.used_s > KEPT_S and not held.busy]:
            self.end(conversation)
