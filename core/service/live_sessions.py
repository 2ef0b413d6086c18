"""Live sessions that outlive their connections for `RESUME_S`: the client comes back and misses nothing.

While nobody is connected nothing is computed; what was sent last is kept, within bounds, to be sent again.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import numpy as np

from core.media.jpeg import as_jpeg
from core.service.options import check_engine, controls_of, read, settled
from core.service.quotas import ConcurrencyLimit, RateLimit
from core.streaming.live import LiveSession
from core.streaming.outputs import LiveEvent, LiveFrame, LiveOptions, LiveOutput
from core.studio import Studio
from core.web.api.errors import NotFound
from core.web.api.live_protocol import INIT, PICTURE, SEGMENT, SOUND, SPEAKS, Resume, Start, media
from core.web.api.settings import ServerSettings

RESUME_S = 30.0
"""How long a session without a connection is kept."""
REPLAY_BYTES = 4 * 2**20
REPLAY_MESSAGES = 2048
"""Of what was sent last: more than lies in the buffers of a connection that breaks."""
FEED_S = 1.0
"""How long one try to hand over sound waits for sessions."""

Message = bytes | str


class ServedSession:
    """One live session of one owner. `produce` and `feed` are called on threads, one of each at a time."""

    def __init__(self, owner: str, start: Start, session: LiveSession, engine: str) -> None:
        self.owner, self.start, self.session, self.engine = owner, start, session, engine
        self.id, self.secret = secrets.token_urlsafe(16), secrets.token_urlsafe(24)
        self.since_s = time.monotonic()
        self.about: dict[str, Any] = {}
        self.stopping: asyncio.Event | None = None
        """Of the connection that has the session; set, it leaves it."""
        self.free = asyncio.Event()
        """No connection has it."""
        self.free.set()
        self.expiry: asyncio.TimerHandle | None = None
        self._sequence = 0
        self._odd = b""
        self._init = b""
        self._sent: deque[tuple[int, Message]] = deque()
        self._sent_bytes = 0
        self._lock = threading.Lock()

    def ready(self, resumed: bool) -> str:
        about = {"session": self.id, "secret": self.secret, "resume_s": RESUME_S, "format": self.start.format, "engine": self.engine}
        return json.dumps({"type": "ready", "resumed": resumed, "generation": self.session.generation, **about, **self.about})

    def produce(self, timeout_s: float) -> list[Message]:
        """What is due, ready to be sent and kept for another time; waits for it. Raises what the engine raised."""
        output = self.session.next_output(timeout_s)
        if output is None:
            return []
        messages = list(self._encoded(output))
        with self._lock:
            for message in messages:
                self._sent.append((self._sequence - 1, message))
                self._sent_bytes += len(message)
            while self._sent_bytes > REPLAY_BYTES or len(self._sent) > REPLAY_MESSAGES:
                self._sent_bytes -= len(self._sent.popleft()[1])
        return messages

    def since(self, received: int) -> list[Message]:
        """What a client that got binary message `received` last has missed; where that is no longer kept, a new beginning."""
        with self._lock:
            missed = [message for sequence, message in self._sent if sequence > received]
            kept_from = self._sent[0][0] if self._sent else self._sequence
            whole = received + 1 >= kept_from
        if whole:
            return missed
        self.session.request_keyframe()
        return [json.dumps({"type": "gap", "generation": self.session.generation}), *([self._init] if self._init else [])]

    def feed(self, chunk: bytes) -> bool:
        """False: no room yet, nothing was taken."""
        if self.start.channels == 1:
            return self.session.feed(chunk, self.start.rate, FEED_S)
        data = self._odd + chunk
        whole = len(data) // 4 * 4
        pairs = np.frombuffer(data[:whole], "<i2").reshape(-1, 2).astype(np.int32)
        if not self.session.feed((pairs.sum(axis=1) // 2).astype(np.int16), self.start.rate, FEED_S):
            return False
        self._odd = data[whole:]
        return True

    def end_of_utterance(self) -> None:
        self._odd = b""
        self.session.end_of_utterance()

    def set_controls(self, values: dict[str, Any]) -> None:
        """Raises OptionError."""
        self.session.set_controls(controls_of(values))

    def _encoded(self, output: LiveOutput) -> Iterator[Message]:
        if isinstance(output, LiveEvent):
            if output.kind == "ready":
                self.about = output.data
            else:
                yield json.dumps({"type": output.kind, "generation": output.generation, "at_s": output.at_s, **output.data})
            return
        flags = SPEAKS if output.speaking else 0
        if isinstance(output, LiveFrame):
            pcm = np.clip(np.rint(output.sound[0] * 32767), -32768, 32767).astype("<i2").tobytes()
            for kind, data in ((PICTURE, as_jpeg(output.frame)), (SOUND, pcm)):
                yield self._numbered(kind, flags, output.generation, output.at_s, 0.04, data)
            return
        segment = output.segment
        kind = INIT if segment.kind == "init" else SEGMENT
        message = self._numbered(kind, flags, output.generation, segment.start_s, segment.duration_s, segment.data)
        if kind == INIT:
            self._init = message
        yield message

    def _numbered(self, kind: int, flags: int, generation: int, at_s: float, duration_s: float, data: bytes) -> bytes:
        message = media(kind, flags, generation, self._sequence, at_s, duration_s, data)
        self._sequence += 1
        return message


class LiveSessions:
    """All live sessions of the server. Used on its event loop; what computes runs on threads of its own."""

    def __init__(self, studio: Studio, settings: ServerSettings, starts: RateLimit) -> None:
        self._studio, self._settings, self._starts = studio, settings, starts
        self._sessions: dict[str, ServedSession] = {}
        self._places = ConcurrencyLimit(settings.max_live, settings.owner_max_live, "live sessions")
        self.threads = anyio.CapacityLimiter(2 * max(settings.max_live, 1) + 2)

    @property
    def n_sessions(self) -> int:
        return self._places.taken

    async def open(self, token: str, owner: str, start: Start) -> ServedSession:
        """A new session. Raises TooMany, AvatarError, OptionError, EngineUnavailable."""
        self._starts.take(owner)
        self._places.take(owner)
        try:
            served = await anyio.to_thread.run_sync(self._opened, token, owner, start, limiter=self.threads)
        except BaseException:
            self._places.give_back(owner)
            raise
        self._sessions[served.id] = served
        return served

    async def resume(self, message: Resume, owner: str) -> ServedSession:
        """The session of a connection that was lost, or is about to be. Raises NotFound, in the same words whatever is wrong."""
        served = self._sessions.get(message.session)
        if served is None or served.owner != owner or not hmac.compare_digest(served.secret.encode(), message.secret.encode()):
            raise NotFound("There is no such live session.", f"It is kept for {RESUME_S:g} s after a connection is lost; start a new one.")
        if served.stopping is not None:
            served.stopping.set()
        await served.free.wait()
        return served

    def attach(self, served: ServedSession) -> asyncio.Event:
        """Gives the session to a connection; the event tells it to leave."""
        if served.expiry is not None:
            served.expiry.cancel()
        served.stopping = asyncio.Event()
        served.free.clear()
        return served.stopping

    def detach(self, served: ServedSession) -> None:
        """The connection is gone; its client may come back."""
        served.stopping = None
        served.free.set()
        if served.id in self._sessions:
            served.expiry = asyncio.get_running_loop().call_later(RESUME_S, self.end, served)

    def end(self, served: ServedSession) -> None:
        """The session is over. May be called again."""
        if self._sessions.pop(served.id, None) is None:
            return
        self._places.give_back(served.owner)
        if served.expiry is not None:
            served.expiry.cancel()
        threading.Thread(target=served.session.close, name="live-close", daemon=True).start()  # it waits for the step under way

    def end_all(self) -> None:
        for served in list(self._sessions.values()):
            self.end(served)

    def too_old(self, served: ServedSession) -> bool:
        return time.monotonic() - served.since_s > self._settings.max_live_s

    def _opened(self, token: str, owner: str, start: Start) -> ServedSession:
        avatar = self._studio.avatar(token, owner)
        check_engine(start.engine, self._studio.engines.names)
        options = read(settled(start.options, self._settings, avatar=True))
        how = LiveOptions(output="segments" if start.format == "fmp4" else "frames")
        session = self._studio.live(avatar, owner, start.engine, options.framing, options.controls, options.render, how)
        return ServedSession(owner, start, session, session.engine)
