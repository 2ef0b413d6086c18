"""Tells an open page what changes, as server-sent events: the progress of the visitor's jobs, and that something is to be read anew.

progress    {job id: HTML}: where each job that waits or runs stands
changed     the visitor's jobs, videos or avatars are not what they were; also sent when the connection begins
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import PlainTextResponse, Response, StreamingResponse

from core.errors import BusyError
from core.service.errors import TooMany, UnknownJob
from core.service.job_store import UNENDED
from core.service.job_topics import CLOSING, QUEUE, job_topic, owner_topic, preview_topic
from core.service.job_views import JobView
from core.service.jobs import Jobs
from core.service.owners import Asgi, Receive, Scope, Send
from core.service.quotas import ConcurrencyLimit
from core.web.pages.html import progress_html
from core.web.pages.texts import Texts

FOLDER = "talking_head_events"
MAX_SUBSCRIPTIONS = 10_000
"""Pages that are remembered; the one not seen longest is forgotten, and asks for a new token when it comes back."""
MAX_CONNECTIONS, OWNER_CONNECTIONS = 2000, 20
PAUSE_S = 0.1
"""Between two messages: what changes meanwhile is told together, unless it is that a preview can be seen."""
QUIET_S = 15.0
"""After so long without a message a comment is sent, so that who is gone is noticed."""
RETRY_MS = 1000
"""After so long a browser connects again."""
_ADDRESS = re.compile(rf"/{FOLDER}/([\w-]{{43}})$")


@dataclass(frozen=True)
class Subscription:
    """What a page is told of: everything of one owner, in one language."""

    owner: str
    texts: Texts


class Subscriptions:
    """By tokens that only the pages know. Thread-safe."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Subscription] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, owner: str, texts: Texts) -> str:
        """A new token."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._known[token] = Subscription(owner, texts)
            while len(self._known) > MAX_SUBSCRIPTIONS:
                self._known.popitem(last=False)
        return token

    def find(self, token: str) -> Subscription | None:
        with self._lock:
            if token in self._known:
                self._known.move_to_end(token)
            return self._known.get(token)


class EventsRoute:
    """ASGI middleware: answers at `talking_head_events/TOKEN`, wherever the page is mounted. 204, after which a browser does not try
    again, for a token that is not known (any more); 429 where an owner has too many connections.
    """

    def __init__(self, app: Asgi, jobs: Jobs, subscriptions: Subscriptions) -> None:
        self._app, self._jobs, self._subscriptions = app, jobs, subscriptions
        self._places = ConcurrencyLimit(MAX_CONNECTIONS, OWNER_CONNECTIONS, "open pages")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _ADDRESS.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        subscription = self._subscriptions.find(found[1])
        if subscription is None:
            await Response(status_code=204)(scope, receive, send)
            return
        try:
            with self._places.slot(subscription.owner):
                headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
                answer = StreamingResponse(_events(self._jobs, subscription), media_type="text/event-stream", headers=headers)
                await answer(scope, receive, send)
        except TooMany as error:
            await PlainTextResponse(str(error), 429)(scope, receive, send)


async def _events(jobs: Jobs, subscription: Subscription) -> AsyncIterator[str]:
    owner = subscription.owner
    yield f"retry: {RETRY_MS}\n\n"
    async with jobs.topics.watch(owner_topic(owner)) as owner_changed, jobs.topics.watch(CLOSING) as closing:
        owner_changed.set()
        told: Mapping[str, str] = {}
        known: set[str] = set()
        while not closing.is_set():
            changed = owner_changed.is_set()
            owner_changed.clear()
            unended = await asyncio.to_thread(jobs.of, owner, UNENDED)
            if changed or {job.id for job in unended} != known:
                known = {job.id for job in unended}
                yield _event("changed", {})
            topics = [job_topic(job.id) for job in unended] + [QUEUE] * any(job.state == "queued" for job in unended)
            previews = [preview_topic(job.id) for job in unended]
            async with jobs.topics.watch(*topics) as job_changed, jobs.topics.watch(*previews) as preview_made:
                while not (owner_changed.is_set() or closing.is_set()):
                    job_changed.clear()
                    preview_made.clear()
                    progress = await asyncio.to_thread(_progress, jobs, unended, subscription.texts)
                    if progress != told:
                        told = progress
                        yield _event("progress", progress)
                    await _any_set(preview_made, timeout_s=PAUSE_S)
                    if not await _any_set(job_changed, owner_changed, closing, timeout_s=QUIET_S):
                        yield ": still here\n\n"
                        break  # news of another process may have got lost: all is read again


def _progress(jobs: Jobs, unended: list[JobView], texts: Texts) -> dict[str, str]:
    told = {}
    for job in unended:
        with contextlib.suppress(UnknownJob, BusyError):  # forgotten, or the service is closed
            now = jobs.get(job.id, job.owner)
            if not now.ended:
                told[job.id] = progress_html(texts, now)
    return told


async def _any_set(*events: asyncio.Event, timeout_s: float) -> bool:
    """Waits until one of the events is set. False: none was in time."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return bool(done)


def _event(name: str, data: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
