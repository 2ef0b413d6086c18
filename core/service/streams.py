"""Videos that play while they are made: a page asks for one at the desk and is given an address, good once, where the pieces come."""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
from starlette.responses import PlainTextResponse, StreamingResponse

from core.errors import TalkingHeadError
from core.service.owners import Asgi, Receive, Scope, Send
from core.streaming.recording import SegmentStream

logger = logging.getLogger(__name__)

FOLDER = "talking_head_stream"
MAX_KEPT = 256
UNCLAIMED_S = 60.0
"""A stream that nobody fetches for so long is stopped, and what is known of one that is through is forgotten."""
_ADDRESS = re.compile(rf"/{FOLDER}/([0-9a-f]{{48}})$")


@dataclass
class _Kept:
    pieces: SegmentStream
    tab: str
    opened_s: float = field(default_factory=time.monotonic)
    claimed: bool = False


class Streams:
    """The streams of all visitors. Thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def open(self, pieces: SegmentStream, tab: str) -> str:
        """The address, relative to the page, where `pieces` can be fetched once."""
        name = secrets.token_hex(24)
        with self._lock:
            self._forget_old()
            self._kept[name] = _Kept(pieces, tab)
        return f"{FOLDER}/{name}"

    def claim(self, name: str) -> SegmentStream | None:
        """The stream at an address; None where there is none, or it was fetched before."""
        with self._lock:
            kept = self._kept.get(name)
            if kept is None or kept.claimed:
                return None
            kept.claimed = True
            return kept.pieces

    def of(self, address: str, tab: str) -> SegmentStream | None:
        """The stream behind an address that this tab was given."""
        with self._lock:
            kept = self._kept.get(address.rpartition("/")[2])
            return kept.pieces if kept is not None and kept.tab == tab else None

    def stop(self, tab: str | None = None) -> None:
        """Ends the streams of a tab (None: of all)."""
        with self._lock:
            ended = [name for name, kept in self._kept.items() if tab in (None, kept.tab)]
            for name in ended:
                self._kept.pop(name).pieces.close()

    def _forget_old(self) -> None:
        now_s = time.monotonic()
        through = [name for name, kept in self._kept.items() if kept.pieces.job.wait(0) or not kept.claimed]
        for name in through:
            if now_s - self._kept[name].opened_s > UNCLAIMED_S or len(self._kept) > MAX_KEPT:
                self._kept.pop(name).pieces.close()


class StreamRoute:
    """ASGI middleware: answers at the addresses of `Streams`, wherever the page is mounted. Who goes away stops the work."""

    def __init__(self, app: Asgi, streams: Streams) -> None:
        self._app = app
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _ADDRESS.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        pieces = self._streams.claim(found[1])
        if pieces is None:
            await PlainTextResponse("There is no such stream.", 404)(scope, receive, send)
            return
        limiter = anyio.CapacityLimiter(1)
        try:
            first = await anyio.to_thread.run_sync(next, pieces, None, limiter=limiter)
        except TalkingHeadError:  # the page asks why, and says it in its own language
            first = None
        except Exception:
            logger.exception("a stream failed before its first piece")
            first = None
        if first is None:
            pieces.close()
            await PlainTextResponse("The stream could not be made.", 409)(scope, receive, send)
            return
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        answer = StreamingResponse(_data(first.data, pieces, limiter), media_type=pieces.mime_type, headers=headers)
        await answer(scope, receive, send)


async def _data(first: bytes, pieces: SegmentStream, limiter: anyio.CapacityLimiter) -> AsyncIterator[bytes]:
    try:
        yield first
        while (piece := await anyio.to_thread.run_sync(next, pieces, None, limiter=limiter)) is not None:
            yield piece.data
    except TalkingHeadError:  # what was sent so far plays; the page asks what happened
        return
    except Exception:
        logger.exception("a stream failed")
    finally:
        if not pieces.job.wait(0):
            pieces.close()
