"""Render replicas of live sessions as plain actors of Ray, each with the lite engine in a process of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from core.settings import Settings
from deploy.ray_renderers import LiveWork
from tests.support.paths import ROOT
from tests.support.replica_pool import NAMESPACE


class RenderReplica:
    """As a deployment of Ray Serve has it. Whoever asks one loads this class, so what it needs is imported when it begins."""

    def __init__(self, settings: Settings) -> None:
        from core.optimization.cache_folder import CacheFolder
        from core.speech_synthesis.speaker import Speaker
        from core.studio import open_studio
        from deploy.ray_live import render_live

        self._render = render_live
        self._studio = open_studio(settings, serving=True)
        self._studio.engine("lite")
        self._speaker = Speaker(settings, CacheFolder(settings.cache_dir))
        self._stopping = threading.Event()

    def render_live(self, work: LiveWork) -> None:
        self._render(self._studio, self._speaker, work, self._stopping)

    def stop(self) -> None:
        self._stopping.set()

    def n_live(self) -> int:
        return int(self._studio.live_load.stats()["sessions"])

    def pid(self) -> int:
        return os.getpid()


@contextmanager
def cluster() -> Iterator[None]:
    """Ray on this machine alone."""
    ray.init(
        num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, configure_logging=False, _node_ip_address="127.0.0.1",
        namespace=NAMESPACE, runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
    )  # fmt: skip
    try:
        yield
    finally:
        ray.shutdown()


def begin_replica(name: str, settings: Settings) -> Any:
    """Returns when it can render."""
    replica: Any = ray.remote(RenderReplica).options(name=name, num_cpus=0, max_concurrency=16).remote(settings)
    ray.get(replica.pid.remote(), timeout=120)
    return replica
