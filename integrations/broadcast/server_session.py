"""A live session of a running server, over its WebSocket."""

from __future__ import annotations

import contextlib
import json
import queue
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import soxr
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from core.errors import OptionError, TalkingHeadError
from core.streaming.utterance import Flow
from core.types import FPS, Frame
from core.web.live.live_protocol import HEADER, PICTURE, SOUND, SPEAKS
from integrations.broadcast.moments import RATE_HZ, SAMPLES, Moment

AGAIN_S = 2.0
"""Between two tries to come back."""
RESUMED_WITHIN_S = 25.0
READY_S = 120.0
"""The server may have to load an engine first."""
MAX_MESSAGE_BYTES = 32 * 2**20
"""Of a picture, the largest that comes."""
MOST_WAITING = 2 * FPS
ROOM_S = 0.5


class ServerLost(TalkingHeadError):
    """The server refuses the session for good."""


class ServerSession:
    """url: http:// or https:// of the server. avatar: a token of its. options: by name, as in "start". rate_hz: of the sound that is fed.

    Waits for the first picture. A connection that is lost is taken up again; meanwhile the last picture stays, and silence is heard. Raises
    OptionError for a bad address, ServerLost for what the server refuses.
    """

    def __init__(
        self, url: str, avatar: str, key: str, engine: str, options: Mapping[str, Any], rate_hz: int, voice: str, speed: float,
        log: Callable[[str], None],
    ) -> None:  # fmt: skip
        if not url.startswith(("http://", "https://")):
            raise OptionError(f"{url} is no address of a server.", "Give http://HOST:PORT.")
        self.metadata: Mapping[str, str] = {}
        self._url = f"{url.rstrip('/').replace('http', 'ws', 1)}/live?avatar={avatar}"
        self._headers = {"X-API-Key": key} if key else {}
        self._start = {"type": "start", "rate": rate_hz, "format": "jpeg", "engine": engine, "options": dict(options)}
        self._voice, self._speed, self._log = voice, speed, log
        self._moments: queue.Queue[Moment] = queue.Queue(MOST_WAITING)
        self._socket: ClientConnection | None = None
        self._resume: dict[str, Any] | None = None
        self._error: TalkingHeadError | None = None
        self._over = threading.Event()
        self._sound, self._to_rate = Flow(), None
        self._picture: Frame | None = None
        self._last: Moment | None = None
        self._due_s = 0.0
        self._thread = threading.Thread(target=self._run, name="server-session", daemon=True)
        self._thread.start()
        self._first(READY_S)

    def _first(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self._moments.empty():
            self._check()
            if time.monotonic() > deadline:
                self.close()
                raise ServerLost(f"No picture came within {timeout_s:g} s.", "Look at the server's log.")
            time.sleep(0.02)

    def next(self, timeout_s: float) -> Moment | None:
        self._check()
        try:
            self._last = self._moments.get(timeout=min(timeout_s, 0.5))
            self._due_s = time.monotonic() + 1 / FPS
            return self._last
        except queue.Empty:
            pass
        if self._last is None:
            return None
        self._last = Moment(self._last.picture, np.zeros(SAMPLES, np.float32), False)  # the stream goes on at its rate
        self._due_s += 1 / FPS
        time.sleep(max(0.0, min(1 / FPS, self._due_s - time.monotonic())))
        return self._last

    def feed(self, pcm: bytes) -> bool:
        return self._send(pcm)

    def end(self) -> None:
        self._tell(type="end")

    def say(self, text: str) -> None:
        if not self._tell(type="say", text=text, voice=self._voice, speed=self._speed):
            self._log("not spoken: the server is away")

    def close(self) -> None:
        self._over.set()
        self._tell(type="close")
        if (socket := self._socket) is not None:
            socket.close()
        self._thread.join(5)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _tell(self, **message: Any) -> bool:
        return self._send(json.dumps(message))

    def _send(self, message: str | bytes) -> bool:
        if (socket := self._socket) is None:
            time.sleep(ROOM_S)
            return False
        try:
            socket.send(message)
        except ConnectionClosed:
            return False
        return True

    def _run(self) -> None:
        lost_s = time.monotonic()
        while not self._over.is_set():
            try:
                with connect(
                    self._url, additional_headers=self._headers, max_size=MAX_MESSAGE_BYTES, proxy=None, open_timeout=10
                ) as socket:
                    self._listen(socket)
            except InvalidHandshake as error:
                status = getattr(getattr(error, "response", None), "status_code", 0)
                if status in (401, 403, 404, 422):
                    self._error = ServerLost(f"The server refuses the session: HTTP {status}.", "Check --avatar and --key.")
                    return
                reason = str(error)
            except (OSError, ConnectionClosed) as error:
                reason = str(error)
            except (ValueError, LookupError, TypeError, struct.error, cv2.error) as error:
                self._error = ServerLost(f"What the server sends cannot be read ({error}).", "Is it a Talking Head server?")
                return
            else:
                reason = "closed"
            if self._socket is not None:
                self._socket, lost_s = None, time.monotonic()
            if self._error is not None or self._over.is_set():
                return
            if time.monotonic() - lost_s > RESUMED_WITHIN_S:
                self._resume = None
            self._log(f"the server is away ({reason}); next try in {AGAIN_S:g} s")
            self._over.wait(AGAIN_S)

    def _listen(self, socket: ClientConnection) -> None:
        socket.send(json.dumps(self._resume or self._start))
        for message in socket:
            if isinstance(message, bytes):
                self._media(message)
                continue
            event = json.loads(message)
            if event["type"] == "ready":
                self._resume = {"type": "resume", "session": event["session"], "secret": event["secret"], "received": -1}
                self._to_rate = soxr.ResampleStream(event["sound_rate_hz"], RATE_HZ, 1, dtype="float32")
                self._socket = socket
            elif event["type"] == "say_failed":
                self._log(f"not spoken: {event['error']['message']}")
            elif event["type"] == "error":
                if self._resume is None:
                    self._error = ServerLost(event["message"], event["hint"])
                    return
                self._log(f"the server: {event['message']}")
                if self._socket is None:  # the session is over: a new one
                    self._resume = None

    def _media(self, message: bytes) -> None:
        _, kind, flags, _, sequence, _, _ = HEADER.unpack(message[: HEADER.size])
        if self._resume is not None:
            self._resume["received"] = sequence
        data = message[HEADER.size :]
        if kind == PICTURE:
            self._picture = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        elif kind == SOUND and self._to_rate is not None and self._picture is not None:
            self._sound.put(self._to_rate.resample_chunk(np.frombuffer(data, "<i2").astype(np.float32) / 32768))
            sound = self._sound.take(SAMPLES)
            whole = np.concatenate((np.zeros(SAMPLES - len(sound), np.float32), sound))  # the first have a filter to fill
            with contextlib.suppress(queue.Full):
                self._moments.put_nowait(Moment(self._picture, whole, bool(flags & SPEAKS)))
