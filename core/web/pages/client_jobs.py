"""Jobs of clients of the Gradio API: each is waited for by one call, and ends with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gradio.context import LocalContext

from core.errors import Cancelled
from core.service.job_views import JobView
from core.service.jobs import Jobs

T = TypeVar("T")
LOOK_S = 0.5
"""How often it is looked whether the client is still there: Gradio tells nobody."""


async def finished(jobs: Jobs, accepting: Coroutine[Any, Any, JobView], tell: Callable[[JobView], None]) -> JobView:
    """The job when it is done. accepting: submits it, not kept. tell: is given each state on the way. Raises what it failed with.

    A client that cancels its call or goes away ends the job, unless somebody else waits for it too.
    """
    submitting = asyncio.ensure_future(accepting)
    try:
        job = await asyncio.shield(submitting)
    except asyncio.CancelledError:
        submitting.add_done_callback(lambda done: _abandon_accepted(jobs, done))
        raise
    try:
        ended = await while_asked_for(_followed(jobs, job, tell))
        if ended.state != "done":
            raise ended.error or Cancelled("The job was cancelled.", code="cancelled")
        return await asyncio.to_thread(jobs.with_files, ended.id, ended.owner)
    except BaseException:
        await jobs.abandon_on_thread(job.id, job.owner)
        raise


async def while_asked_for(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled where its caller is, or the client goes away: then Cancelled is raised."""
    working = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({working}, timeout=LOOK_S))[0]:
            if _client_is_gone():
                raise Cancelled("The client is gone.", code="cancelled")
        return working.result()
    except BaseException:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await working
        raise


async def _followed(jobs: Jobs, job: JobView, tell: Callable[[JobView], None]) -> JobView:
    last = job
    async for last in jobs.watch(job.id, job.owner):
        tell(last)
    return last


def _abandon_accepted(jobs: Jobs, submitting: asyncio.Future[JobView]) -> None:
    if not submitting.cancelled() and submitting.exception() is None:
        job = submitting.result()
        asyncio.get_running_loop().run_in_executor(None, jobs.abandon, job.id, job.owner)


def _client_is_gone() -> bool:
    """Whether the connection over which the answer of this call would be sent is closed."""
    event_id, page = LocalContext.event_id.get(), LocalContext.blocks.get()
    event = page._queue.event_ids_to_events.get(event_id) if event_id is not None and page is not None else None
    return event is not None and (event.closed or not event.alive)
