"""A live session of a running server, over its WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import httpx
import numpy as np
import soxr

from core.errors import OptionError, TalkingHeadError
from core.streaming.utterance import Flow
from core.types import FPS, Frame
from integrations.broadcast.moments import RATE_HZ, SAMPLES, Moment
from integrations.live_client import PICTURE, SOUND, LiveClient, LiveError, Media

READY_S = 120.0
"""The server may have to load an engine first."""
METADATA_S = 10.0
MOST_WAITING = 2 * FPS
MOST_UNTAKEN = 100
"""Messages on their way to the server; beyond, `feed` has no room."""
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
        self._voice, self._speed, self._log = voice, speed, log
        start = {"rate": rate_hz, "engine": engine, "options": dict(options)}
        self._client = LiveClient(url, key, avatar, start, self._take, self._trouble)
        self._moments: queue.Queue[Moment] = queue.Queue(MOST_WAITING)
        self._session = ""
        self._n_fed = self._n_sent = 0  # each is written by one thread
        self._error: Exception | None = None
        self._sound, self._to_rate = Flow(), None
        self._picture: Frame | None = None
        self._last: Moment | None = None
        self._due_s = 0.0
        self._over = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="server-session", daemon=True)
        self._thread.start()
        try:
            self._first(READY_S)
            self.metadata = self._metadata(url.rstrip("/"), key)
        except BaseException:
            self.close()
            raise

    def _first(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self._moments.empty():
            self._check()
            if time.monotonic() > deadline:
                raise ServerLost(f"No picture came within {timeout_s:g} s.", "Look at the server's log.")
            time.sleep(0.02)

    def _metadata(self, url: str, key: str) -> Mapping[str, str]:
        headers = {"X-API-Key": key} if key else {}
        try:
            answer = httpx.get(f"{url}/live/{self._session}/provenance", headers=headers, timeout=METADATA_S, trust_env=False)
            return dict(answer.raise_for_status().json()["metadata"])
        except (httpx.HTTPError, ValueError, KeyError) as error:
            self._log(f"the metadata of the stream will not say that it is synthetic: {error}")
            return {}

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
        deadline = time.monotonic() + ROOM_S
        while not self._client.connected.is_set() or self._client.untaken + self._n_fed - self._n_sent >= MOST_UNTAKEN:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        self._n_fed += 1
        return self._on_loop(self._send_sound, pcm)

    def end(self) -> None:
        self._on_loop(self._client.send, {"type": "end"})

    def say(self, text: str) -> None:
        if self._client.connected.is_set():
            self._on_loop(self._client.send, {"type": "say", "text": text, "voice": self._voice, "speed": self._speed})
        else:
            self._log("not spoken: the server is away")

    def close(self) -> None:
        self._on_loop(self._over.set)
        self._thread.join(5)

    def _on_loop(self, call: Callable[..., None], *arguments: Any) -> bool:
        """False where the session has ended."""
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    # ---- on the thread of the connection

    def _send_sound(self, pcm: bytes) -> None:
        self._client.send(pcm)
        self._n_sent += 1

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._connected())
        except LiveError as error:
            self._error = ServerLost(str(error))
        except (ValueError, LookupError, TypeError, cv2.error) as error:
            self._error = ServerLost(f"What comes cannot be read ({error}): that is no Talking Head server.")
        except Exception as error:
            self._error = error
        finally:
            self._loop.close()

    async def _connected(self) -> None:
        """Until `close`. Raises what ends the session before."""
        running, ending = asyncio.ensure_future(self._client.run()), asyncio.ensure_future(self._over.wait())
        await asyncio.wait((running, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if running.done():
            running.result()
            return
        await self._client.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def _trouble(self, error: LiveError) -> None:
        self._log(f"the server is away ({error}); next try in {error.retry_s:g} s")

    async def _take(self, message: Media | dict[str, Any]) -> None:
        if isinstance(message, Media):
            self._media(message)
        elif message["type"] == "ready" and not message["resumed"]:
            self._session = message["session"]
            self._to_rate = soxr.ResampleStream(message["sound_rate_hz"], RATE_HZ, 1, dtype="float32")
        elif message["type"] == "say_failed":
            self._log(f"not spoken: {message['error']['message']}")

    def _media(self, message: Media) -> None:
        if message.kind == PICTURE:
            self._picture = cv2.cvtColor(cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        elif message.kind == SOUND and self._to_rate is not None and self._picture is not None:
            self._sound.put(self._to_rate.resample_chunk(np.frombuffer(message.data, "<i2").astype(np.float32) / 32768))
            sound = self._sound.take(SAMPLES)
            whole = np.concatenate((np.zeros(SAMPLES - len(sound), np.float32), sound))  # the first have a filter to fill
            with contextlib.suppress(queue.Full):
                self._moments.put_nowait(Moment(self._picture, whole, message.speaking))
