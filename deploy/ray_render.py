"""A render replica of Ray Serve: a studio, and a service without HTTP that takes jobs from the shared queue."""

from __future__ import annotations

import threading

from api_server import measure_speed, open_service
from core.command_line import log_to_stderr
from core.service.outputs import Sweeper
from core.service.service import Service
from core.thread_priority import switch_often
from deploy.ray_scaling import QueueWatch
from deploy.ray_settings import RaySettings, read_ray_settings
from manager.ditto import Mode

CANCEL_S = 5.0
"""How long cancelled jobs may take to stop, once the time to finish them is over."""


def ditto_mode(settings: RaySettings) -> Mode:
    """Whether replicas offer Ditto: an ingress, which has no GPU, offers what the render replicas do."""
    return "on" if settings.render_gpus else "off"


class Renderer:
    """Made, asked for its health and stopped by Ray Serve. The settings are those of its own machine's environment."""

    def __init__(self) -> None:
        log_to_stderr()
        switch_often()
        self.settings = settings = read_ray_settings()
        self.service: Service = open_service(settings, ditto_mode(settings))
        self._sweeper = Sweeper(self.service.outputs)
        self._queue = QueueWatch(self.service.jobs, settings.max_jobs)
        self._stopping = threading.Lock()
        self.service.start()
        self.service.studio.load_ahead()
        self._sweeper.start()
        measure_speed(self.service)

    def check_health(self) -> None:
        """Raises where this process could make no video, so that another takes its place."""
        problem = self.service.health.report()["problem"]
        if problem:
            raise RuntimeError(problem)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What `deploy.ray_scaling.renderers_wanted` decides by."""
        return self._queue.stats()

    def __del__(self) -> None:
        """Called by Ray Serve when the replica is to stop: takes no more, finishes what was begun, gives the rest back to the queue."""
        if hasattr(self, "_stopping") and self._stopping.acquire(blocking=False):  # once; the interpreter calls it again
            self.service.close(self.settings.drain_s, CANCEL_S)
            self.service.studio.close()
            self._sweeper.stop()
