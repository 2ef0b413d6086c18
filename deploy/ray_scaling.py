"""How many render replicas there are: told by the length of the queue, by how long its jobs have been waiting, and by live sessions."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from core.errors import BusyError

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingContext

    from core.service.jobs import Jobs


LIVE_ROOM = 0.25
"""Of one replica's part for live sessions that is to be free: another replica takes longer to start than a visitor waits."""


class QueueWatch:
    """Looks at the queue that all replicas share. slots: jobs of one replica at the same time.

    How long a job waits is counted from when it was first seen here: no other machine's clock has a part in it.
    """

    def __init__(self, jobs: Jobs, slots: int) -> None:
        self._jobs, self._slots = jobs, slots
        self._first_seen_s: dict[str, float] = {}

    def stats(self) -> dict[str, float]:
        """running, waiting: jobs. waits_s: how long the oldest has been waiting. slots: as given. Empty while the store is away."""
        try:
            totals, waiting = self._jobs.totals(), self._jobs.waiting()
        except BusyError:
            return {}
        now_s = time.monotonic()
        self._first_seen_s = {job_id: self._first_seen_s.get(job_id, now_s) for job_id in waiting}
        waits_s = max((now_s - since_s for since_s in self._first_seen_s.values()), default=0.0)
        return {"running": float(totals["running"]), "waiting": float(len(waiting)), "waits_s": waits_s, "slots": float(self._slots)}


class RenderersWanted:
    """The policy of Ray Serve's autoscaling. late_s: what counts as a long wait. Ray Serve keeps what it says within the bounds, and waits
    before it stops a replica.
    """

    def __init__(self, late_s: float) -> None:
        self._late_s = late_s

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        """Where jobs wait too long, places for all of them; where none wait, places for those that run; else as many as there are. And in
        any case as many as live sessions need.
        """
        metrics = context.aggregated_metrics or {}
        told = {name: max(values.values(), default=0.0) for name, values in metrics.items()}
        for_live = math.ceil(sum(metrics.get("live", {}).values()) + LIVE_ROOM)
        waiting, running = told.get("waiting", 0.0), told.get("running", 0.0)
        if "slots" not in told or (waiting and told["waits_s"] <= self._late_s):
            return max(context.target_num_replicas, for_live), {}
        return max(for_live, math.ceil((running + waiting) / told["slots"])), {}
