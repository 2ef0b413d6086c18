"""How much room the disks have on which the service keeps files, for /metrics."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from core.web.api.metrics import PREFIX


class DiskMetrics(Collector):
    """folders: by the names they have in the figures. One that is not there has none."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders

    def collect(self) -> Iterator[GaugeMetricFamily]:
        free = GaugeMetricFamily(f"{PREFIX}_disk_free_bytes", "Room on the disk of a folder", labels=("folder",))
        size = GaugeMetricFamily(f"{PREFIX}_disk_bytes", "Size of the disk of a folder", labels=("folder",))
        for name, folder in self._folders.items():
            with contextlib.suppress(OSError):
                usage = shutil.disk_usage(folder)
                free.add_metric((name,), usage.free)
                size.add_metric((name,), usage.total)
        yield from (free, size)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())
