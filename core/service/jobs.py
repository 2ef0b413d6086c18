"""Jobs that clients started: whose they are, where they stand, and who waits for news of them.

A job is kept for `ttl_s` after it ended, its video as long. Ids have 128 random bits and are good for the owner only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from core.errors import TalkingHeadError
from core.scheduler import Job, Scheduler
from core.service.outputs import OutputFolder
from core.types import Avatar, Generation, Progress, ProgressCallback
from core.web.api.errors import NotFound, as_body
from core.web.api.models import ErrorDetail, JobStatus

logger = logging.getLogger(__name__)

T = TypeVar("T", Generation, Avatar)

MAX_PER_OWNER = 200
"""Ended jobs kept for one owner; the oldest are forgotten."""
STOP_S = 10.0
"""How long a deleted job is waited for; it stops at its next step."""


@dataclass(eq=False)
class Entry(Generic[T]):
    """One job. video: where its result is, or will be. ended_s: by time.monotonic, None while it goes on."""

    owner: str
    kind: Literal["video", "avatar"]
    video: Path | None
    loop: asyncio.AbstractEventLoop
    created_s: float = field(default_factory=time.time)
    job: Job[T] = field(init=False)
    ended_s: float | None = None
    watchers: set[asyncio.Event] = field(default_factory=set)
    _animating_s: float = 0.0
    _animated_s: float = 0.0

    def on_progress(self, progress: Progress) -> None:
        """On the job's thread."""
        if progress.stage == "animating":
            self._animated_s = time.monotonic()
            self._animating_s = self._animating_s or self._animated_s
        self.tell()

    def tell(self) -> None:
        """Wakes who waits; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is gone: the server ended before the job
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for watcher in self.watchers:
            watcher.set()

    async def ended(self) -> None:
        """Waits for the end of the job, however it ends."""
        async with self._watcher() as changed:
            while not self.job.wait(0):
                await changed.wait()
                changed.clear()

    async def changes(self, scheduler: Scheduler) -> AsyncIterator[JobStatus]:
        """Its status now, then at each change; the last one is that of its end."""
        async with self._watcher() as changed:
            while True:
                last = self.job.wait(0)
                yield self.status(scheduler)
                if last:
                    return
                await changed.wait()
                changed.clear()

    def status(self, scheduler: Scheduler) -> JobStatus:
        job, now = self.job, self.job.progress
        ended = job.wait(0)
        state = job.state if ended or job.state == "queued" else "running"  # the state turns a moment before the result is there
        spent_s = self._animated_s - self._animating_s
        fps = now.done / spent_s if now.stage == "animating" and spent_s > 0 else 0.0
        result = job.result() if state == "done" else None
        return JobStatus(
            id=job.id,
            kind=self.kind,
            state=state,
            stage=now.stage,
            done=now.done,
            total=now.total,
            progress=1.0 if state == "done" else round(min(now.done / now.total, 1.0), 4) if now.total else 0.0,
            position=scheduler.position(job),
            fps=round(fps, 1),
            left_s=round((now.total - now.done) / fps, 2) if fps else None,
            created_s=self.created_s,
            result=f"/jobs/{job.id}/result" if isinstance(result, Generation) else None,
            avatar=result.token if isinstance(result, Avatar) else None,
            info=result.info.to_dict() if isinstance(result, Generation) else None,
            error=self._error() if state == "failed" else None,
        )

    def _error(self) -> ErrorDetail | None:
        try:
            self.job.result()
        except BaseException as error:  # whatever ended the job is what is told
            return ErrorDetail(**as_body(error)["error"])
        return None

    @contextlib.asynccontextmanager
    async def _watcher(self) -> AsyncIterator[asyncio.Event]:
        changed = asyncio.Event()
        self.watchers.add(changed)
        try:
            yield changed
        finally:
            self.watchers.discard(changed)


class JobStore:
    """All jobs of the server; used on its event loop only."""

    def __init__(self, scheduler: Scheduler, outputs: OutputFolder, ttl_s: float, on_end: Callable[[Entry[Any]], None]) -> None:
        self._scheduler, self._outputs, self._ttl_s, self._on_end = scheduler, outputs, ttl_s, on_end
        self._entries: dict[str, Entry[Any]] = {}

    async def start(
        self, owner: str, kind: Literal["video", "avatar"], video: Path | None, submit: Callable[[ProgressCallback], Job[T]]
    ) -> Entry[T]:
        """Submits on a thread of its own, since that may touch the disk. Raises what `submit` raises; then no video is left behind."""
        entry: Entry[T] = Entry(owner, kind, video, asyncio.get_running_loop())
        try:
            entry.job = await asyncio.to_thread(submit, entry.on_progress)
        except BaseException:
            if video is not None:
                self._outputs.discard(video)
            raise
        self._entries[entry.job.id] = entry
        entry.job.when_ended(lambda: self._ended(entry))
        self.sweep()
        return entry

    def get(self, job_id: str, owner: str) -> Entry[Any]:
        """Raises NotFound, in the same words for another's job and for none."""
        entry = self._entries.get(job_id)
        if entry is None or entry.owner != owner:
            raise NotFound("There is no such job.", "It may have been deleted, or be too old.")
        return entry

    async def stop(self, entry: Entry[Any]) -> None:
        """Cancels it, waits until it has stopped, and forgets it and its video."""
        self.abandon(entry)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(entry.ended(), STOP_S)

    def abandon(self, entry: Entry[Any]) -> None:
        """As `stop`, without waiting."""
        self._entries.pop(entry.job.id, None)
        entry.job.cancel()
        video = entry.video
        if video is not None:
            entry.job.when_ended(lambda: self._outputs.discard(video))

    def forget(self, owner: str, avatar: str | None = None, with_avatar: bool = False) -> int:
        """Forgets the owner's ended videos and returns their bytes; avatar: only those of that avatar, with_avatar: those of any."""
        freed = 0
        for entry in [entry for entry in self._entries.values() if entry.owner == owner and entry.job.state == "done"]:
            result = entry.job.result()
            if not isinstance(result, Generation) or (avatar is not None and result.info.avatar != avatar):
                continue
            if with_avatar and result.info.avatar is None:
                continue
            freed += result.path.stat().st_size if result.path.is_file() else 0
            self.abandon(entry)
        return freed

    def sweep(self) -> None:
        """Forgets what ended long ago, and the oldest of an owner who has too many."""
        now = time.monotonic()
        ended = [entry for entry in self._entries.values() if entry.ended_s is not None]
        for entry in ended:
            if now - (entry.ended_s or now) > self._ttl_s:
                self.abandon(entry)
        owners: dict[str, list[Entry[Any]]] = {}
        for entry in ended:
            owners.setdefault(entry.owner, []).append(entry)
        for entries in owners.values():
            for entry in sorted(entries, key=lambda entry: entry.ended_s or now)[:-MAX_PER_OWNER]:
                self.abandon(entry)

    def cancel_all(self) -> None:
        for entry in self._entries.values():
            entry.job.cancel()

    def _ended(self, entry: Entry[Any]) -> None:
        """On the job's thread."""
        entry.ended_s = time.monotonic()
        try:
            entry.job.result()
        except TalkingHeadError as error:
            logger.info("job %s: %s", entry.job.id[:6], error)
        except BaseException as error:  # a defect: whoever asks for the job is told so, the log has the rest
            logger.error("job %s failed", entry.job.id[:6], exc_info=error)
        self._on_end(entry)
        entry.tell()
