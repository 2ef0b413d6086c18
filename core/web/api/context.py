"""State that all routes share, and the owner of a request."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Query
from starlette.requests import HTTPConnection

from core.generation import GenerationInfo
from core.service.chat.conversations import Conversations
from core.service.job_store import JobRecord
from core.service.jobs import Jobs
from core.service.live_sessions import LiveSessions
from core.service.quotas import ConcurrencyLimit, RateLimit
from core.service.service import Service
from core.service.talking import Talking, open_talking
from core.studio import Studio
from core.web.api.disk_metrics import DiskMetrics
from core.web.api.keys import Keys
from core.web.api.metrics import Metrics
from core.web.api.settings import ServerSettings

FIGURES_S = 2.0
WATCHERS = 32
"""Connections of one owner that watch jobs."""


class Figures:
    """Of the caches and the queue, at most FIGURES_S old: counting reads folders, and anybody may ask for /health. Thread-safe."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._counted: dict[str, Any] = {}
        self._counted_s = 0.0

    def stats(self) -> dict[str, Any]:
        with self._lock:
            if not self._counted or time.monotonic() - self._counted_s > FIGURES_S:
                self._counted, self._counted_s = {**self._service.cache_stats(), "queue": self._service.queue()}, time.monotonic()
            return dict(self._counted)


@dataclass(frozen=True, eq=False)
class Context:
    """One server's. requests, starts: how often an owner may ask, and start something that computes. uploads: read at the same time."""

    service: Service
    settings: ServerSettings
    keys: Keys
    requests: RateLimit
    starts: RateLimit
    uploads: ConcurrencyLimit
    watchers: ConcurrencyLimit
    talking: Talking
    metrics: Metrics
    figures: Figures

    @property
    def studio(self) -> Studio:
        return self.service.studio

    @property
    def live(self) -> LiveSessions:
        return self.talking.live

    @property
    def chats(self) -> Conversations:
        return self.talking.chats

    @property
    def jobs(self) -> Jobs:
        return self.service.jobs


def make_context(service: Service, settings: ServerSettings, keys: Keys) -> Context:
    starts = RateLimit(settings.jobs_per_minute, "videos, streams, avatars and live sessions", service.rates)
    talking = open_talking(service, settings, starts)
    figures = Figures(service)
    metrics = Metrics(
        figures.stats, lambda: talking.live.n_sessions, service.studio.live_load.stats,
        lambda: {} if talking.peers is None else talking.peers.stats(),
    )  # fmt: skip
    metrics.registry.register(DiskMetrics({"outputs": settings.output_dir, "cache": settings.cache_dir}))

    def ended(record: JobRecord) -> None:
        metrics.jobs.labels(record.kind, record.state).inc()
        if record.result is not None and "info" in record.result:
            metrics.made(GenerationInfo.from_dict(record.result["info"]))

    service.when_job_ends(ended)
    return Context(
        service=service,
        settings=settings,
        keys=keys,
        requests=RateLimit(settings.requests_per_minute, "requests"),
        starts=starts,
        uploads=ConcurrencyLimit(settings.uploads_at_once, settings.owner_uploads_at_once, "uploads"),
        watchers=ConcurrencyLimit(settings.max_connections // 2, WATCHERS, "connections that watch a job"),
        talking=talking,
        metrics=metrics,
        figures=figures,
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
IdempotencyKey = Annotated[
    str,
    Header(
        max_length=200,
        pattern=r"^[\x21-\x7e]*$",
        description="Chosen by the client for one request: sent again with the same key, it is the same job",
    ),
]


async def check_room(context: Context, owner: str, input_bytes: int) -> None:
    """Raises what would be raised later anyway, before anything is read. Raises TooMany, BusyError."""
    context.starts.take(owner)
    await asyncio.to_thread(context.jobs.check_room, owner, input_bytes)


