"""The finished videos of an owner, as long as they are kept: each is the result of a job."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from core.optimization.avatar_cache import clean_name
from core.service.errors import UnknownJob
from core.service.job_store import JobKind
from core.service.job_views import NAME, JobView
from core.service.jobs import Jobs
from core.service.outputs import OutputFolder

Wanted = Callable[[JobView], bool]
MOST_TIMES = 24
"""A video is kept so many times the time to live at most."""


class Videos:
    """Thread-safe."""

    def __init__(self, jobs: Jobs, outputs: OutputFolder) -> None:
        self._jobs, self._outputs = jobs, outputs

    def of(self, owner: str) -> list[JobView]:
        """The newest first; each has `video` and `info`. Streams that were kept are among them."""
        return self._done(owner, "video", "stream")

    def _done(self, owner: str, *kinds: JobKind) -> list[JobView]:
        return [job for job in self._jobs.of(owner, ("done",), kinds) if job.video is not None and job.info is not None]

    def without_words(self, owner: str) -> list[JobView]:
        """Those that can be watched, while the words of their recording are still being recognised."""
        return [job for job in self._jobs.of(owner, ("running",), ("video",)) if job.made is not None]

    def one(self, owner: str, video_id: str) -> JobView:
        """Raises UnknownJob, in the same words for another's and for none."""
        found = next((video for video in self.of(owner) if video.id == video_id), None)
        if found is None:
            raise UnknownJob
        return found

    def thumbnail(self, video: JobView) -> Path | None:
        """A small JPEG of it; None where it cannot be made."""
        return None if video.video is None else self._outputs.thumbnail(video.video)

    def rename(self, owner: str, video_id: str, name: str) -> None:
        """name: of 80 characters at most; "" takes it away. Raises UnknownJob, OptionError."""
        video = self.one(owner, video_id)
        self._jobs.note(video.id, owner, {NAME: clean_name(name)})

    def left_s(self, video: JobView) -> float:
        """How long it is still kept, in seconds, unless it has to make room."""
        return max(video.ended_s, video.prolonged_s) + self._outputs.ttl_s - time.time()

    def can_be_kept_longer(self, video: JobView) -> bool:
        return time.time() - video.ended_s < MOST_TIMES * self._outputs.ttl_s

    def keep_longer(self, owner: str, video_id: str) -> None:
        """Its time to live begins anew, until it is MOST_TIMES as old: then nothing changes. Raises UnknownJob."""
        video = self.one(owner, video_id)
        if self.can_be_kept_longer(video):
            self._jobs.prolong(video.id, owner)

    def forget_one(self, owner: str, video_id: str) -> int:
        """Bytes freed. Raises UnknownJob."""
        return self._jobs.forget(self.one(owner, video_id).id, owner)

    def forget(self, owner: str, avatar: str | None = None) -> int:
        """Removes the owner's videos (avatar: those made with it). Bytes freed."""
        return self._forget(owner, lambda job: avatar is None or (job.info is not None and job.info.avatar == avatar))

    def forget_of_avatars(self, owner: str) -> int:
        """Removes the owner's videos of any avatar. Bytes freed."""
        return self._forget(owner, lambda job: job.info is not None and job.info.avatar is not None)

    def _forget(self, owner: str, wanted: Wanted) -> int:
        return sum(self._jobs.forget(job.id, owner) for job in self._done(owner, "video", "stream", "idle") if wanted(job))
