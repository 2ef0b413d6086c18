"""What every route shares, and who asks."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Query
from starlette.requests import HTTPConnection

from core.service.jobs import Entry, JobStore
from core.service.live_sessions import LiveSessions
from core.service.outputs import OutputFolder
from core.service.quotas import ConcurrencyLimit, RateLimit
from core.studio import Studio
from core.types import Generation
from core.web.api.keys import Keys
from core.web.api.metrics import Metrics
from core.web.api.settings import ServerSettings

DECODERS = 2
"""Uploads decoded at the same time: each may hold a large photo in memory."""

FIGURES_S = 2.0
WATCHERS = 32
"""Connections of one owner that watch jobs."""


class Figures:
    """Of the caches and the queue, at most FIGURES_S old: counting reads folders, and anybody may ask for /health. Thread-safe."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._lock = threading.Lock()
        self._counted: dict[str, Any] = {}
        self._counted_s = 0.0

    def stats(self) -> dict[str, Any]:
        with self._lock:
            if not self._counted or time.monotonic() - self._counted_s > FIGURES_S:
                self._counted, self._counted_s = self._studio.stats(), time.monotonic()
            return dict(self._counted)


@dataclass(frozen=True, eq=False)
class Context:
    """One server's. requests, starts: how often an owner may ask, and start something that computes. uploads: read at the same time."""

    studio: Studio
    settings: ServerSettings
    outputs: OutputFolder
    keys: Keys
    requests: RateLimit
    starts: RateLimit
    uploads: ConcurrencyLimit
    watchers: ConcurrencyLimit
    jobs: JobStore
    live: LiveSessions
    metrics: Metrics
    figures: Figures
    decoders: asyncio.Semaphore

    @property
    def upload_root(self) -> Path:
        return self.outputs.root


def make_context(studio: Studio, settings: ServerSettings, outputs: OutputFolder, keys: Keys) -> Context:
    starts = RateLimit(settings.jobs_per_minute, "videos, streams, avatars and live sessions")
    live = LiveSessions(studio, settings, starts)
    figures = Figures(studio)
    metrics = Metrics(figures.stats, lambda: live.n_sessions)

    def ended(entry: Entry[Any]) -> None:
        metrics.jobs.labels(entry.kind, entry.job.state).inc()
        try:
            result = entry.job.result()
        except BaseException:  # told to who asks for the job
            return
        if isinstance(result, Generation):
            metrics.made(result.info)

    return Context(
        studio=studio,
        settings=settings,
        outputs=outputs,
        keys=keys,
        requests=RateLimit(settings.requests_per_minute, "requests"),
        starts=starts,
        uploads=ConcurrencyLimit(settings.uploads_at_once, settings.owner_uploads_at_once, "uploads"),
        watchers=ConcurrencyLimit(settings.max_connections // 2, WATCHERS, "connections that watch a job"),
        jobs=JobStore(studio.scheduler, outputs, settings.job_ttl_s, ended),
        live=live,
        metrics=metrics,
        figures=figures,
        decoders=asyncio.Semaphore(DECODERS),
    )


# Coroutines, though they wait for nothing: the framework would run functions on threads, forty of them when many ask at once.


async def context_of(connection: HTTPConnection) -> Context:
    context: Context = connection.app.state.context
    return context


async def owner_of_request(connection: HTTPConnection) -> str:
    """Raises Unauthorised, or TooMany where the owner asks too often."""
    context = await context_of(connection)
    owner = context.keys.owner(connection.scope)
    context.requests.take(owner)
    return owner


Here = Annotated[Context, Depends(context_of)]
Async = Annotated[bool, Query(alias="async", description="Answer at once with a job")]
Owner = Annotated[str, Depends(owner_of_request)]


def check_room(context: Context, owner: str) -> None:
    """Raises what would be raised later anyway, before anything is read. Raises TooMany, BusyError."""
    context.starts.take(owner)
    context.studio.scheduler.ensure_room(owner)


