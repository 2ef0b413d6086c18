"""The finished videos of an owner, as long as they are kept: each is the result of a job."""

from __future__ import annotations

from collections.abc import Callable

from core.service.job_store import JobKind
from core.service.job_views import JobView
from core.service.jobs import Jobs

Wanted = Callable[[JobView], bool]


class Videos:
    """Thread-safe."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def of(self, owner: str) -> list[JobView]:
        """The newest first; each has `video` and `info`. Streams that were kept are among them."""
        return self._done(owner, "video", "stream")

    def _done(self, owner: str, *kinds: JobKind) -> list[JobView]:
        return [job for job in self._jobs.of(owner, ("done",), kinds) if job.video is not None and job.info is not None]

    def forget(self, owner: str, avatar: str | None = None) -> int:
        """Removes the owner's videos (avatar: those made with it). Bytes freed."""
        return self._forget(owner, lambda job: avatar is None or (job.info is not None and job.info.avatar == avatar))

    def forget_of_avatars(self, owner: str) -> int:
        """Removes the owner's videos of any avatar. Bytes freed."""
        return self._forget(owner, lambda job: job.info is not None and job.info.avatar is not None)

    def _forget(self, owner: str, wanted: Wanted) -> int:
        return sum(self._jobs.forget(job.id, owner) for job in self._done(owner, "video", "stream", "idle") if wanted(job))
