"""A render replica of Ray Serve: a studio, and a service without HTTP that takes jobs from the shared queue."""

from __future__ import annotations

import functools
import logging
import threading
from typing import Any

import anyio
import anyio.to_thread
import ray
from ray import serve

from api_server import measure_speed, open_service
from core.command_line import log_to_stderr
from core.service.outputs import Sweeper
from core.service.service import Service
from core.thread_priority import switch_often
from deploy.ray_live import render_live
from deploy.ray_ranks import AVATARS, LIVE
from deploy.ray_renderers import LiveWork
from deploy.ray_scaling import QueueWatch
from deploy.ray_settings import RaySettings, read_ray_settings
from deploy.ray_streams import Answer, next_piece
from manager.ditto import Mode

logger = logging.getLogger(__name__)

CANCEL_S = 5.0
"""How long cancelled jobs may take to stop, once the time to finish them is over."""
READERS = 64
"""Readers of streams that wait for a piece of this replica at the same time."""
SESSIONS = 256
"""Live sessions of this replica, which refuses those that would not keep real time long before."""
LOOK_S = 0.5


def ditto_mode(settings: RaySettings) -> Mode:
    """Whether replicas offer Ditto: an ingress, which has no GPU, offers what the render replicas do."""
    return "on" if settings.render_gpus else "off"


class Renderer:
    """Made, asked for its health and stopped by Ray Serve. The settings are those of its own machine's environment.

    stopping: set as soon as it is to stop: from then on it begins nothing.
    """

    def __init__(self) -> None:
        log_to_stderr()
        switch_often()
        self.settings = settings = read_ray_settings()
        worker = serve.get_replica_context().replica_id.unique_id
        self.service: Service = open_service(settings, ditto_mode(settings), worker=worker)
        self._sweeper = Sweeper(self.service.outputs)
        self._queue = QueueWatch(self.service.jobs, settings.max_jobs)
        self._readers, self._sessions = anyio.CapacityLimiter(READERS), anyio.CapacityLimiter(SESSIONS)
        self.stopping = threading.Event()
        self._drain = threading.Thread(target=self._drain_when_told, name="drain", daemon=True)
        self.service.start()
        self.service.studio.load_ahead()
        self._sweeper.start()
        self._drain.start()
        measure_speed(self.service)

    async def piece(self, job_id: str, worker: str) -> Answer:
        """The next piece of a stream, for `deploy.ray_streams.RendererStreams`."""
        take = functools.partial(next_piece, self.service.jobs, job_id, worker)
        return await anyio.to_thread.run_sync(take, abandon_on_cancel=True, limiter=self._readers)

    async def render_live(self, work: LiveWork, avatar: str, attempt: int) -> None:
        """Draws a live session until it is over or this replica is to stop. avatar, attempt: the call was routed by them
        (`deploy.ray_router`).
        """
        draw = functools.partial(render_live, self.service.studio, self.service.speaker, work, self.stopping)
        await anyio.to_thread.run_sync(draw, limiter=self._sessions)

    def record_routing_stats(self) -> dict[str, Any]:
        """What `deploy.ray_router` chooses by."""
        studio = self.service.studio
        return {LIVE: studio.live_load.stats()["sessions"], AVATARS: studio.avatars_in_memory()}

    def check_health(self) -> None:
        """Raises where this process could make no video, so that another takes its place."""
        problem = self.service.health.report()["problem"]
        if problem:
            raise RuntimeError(problem)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What `deploy.ray_scaling.RenderersWanted` decides by."""
        return {**self._queue.stats(), "live": self.service.studio.live_load.part_used()}

    def __del__(self) -> None:
        """Called by Ray Serve when no call is under way any longer: lets go of what `_drain_when_told` has left."""
        if hasattr(self, "stopping"):
            self.stopping.set()
            self._drain.join()
            self.service.close(0.0, CANCEL_S)
            self.service.studio.close()
            self._sweeper.stop()

    def _drain_when_told(self) -> None:
        """Takes no more once Ray Serve stops this replica, finishes what was begun, and gives the rest back to the queue."""
        replica = _own_replica()
        while not self.stopping.wait(LOOK_S):
            if replica._shutting_down:
                self.stopping.set()
        self.service.stop(self.settings.drain_s, CANCEL_S)


def _own_replica() -> Any:
    """Ray Serve's own object of this replica, which knows that it is to stop while calls are still under way; others are told only when
    they have ended. It is no public part: requirements-ray.txt has the version.
    """
    return next(iter(ray._private.worker.global_worker.actors.values()))._replica_impl
