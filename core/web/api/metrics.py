"""Metrics for Prometheus at /metrics. Nothing in them identifies an owner."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from core.generation import GenerationInfo
from core.streaming.load import BUCKETS_S

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)
_FIRST = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 15.0)
_RTF = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 20.0)
PREFIX = "talking_head"


class Metrics:
    """One server's. stats: of caches and queue, `Studio.stats`. live: live sessions now, and those that wait for their client to come
    back. load: of live sessions, `LiveLoad.stats`. peers: `PeerConnections.stats`, empty where there is no WebRTC.
    """

    def __init__(
        self, stats: Callable[[], dict[str, Any]], live: Callable[[], int], load: Callable[[], dict[str, Any]],
        peers: Callable[[], dict[str, int]],
    ) -> None:  # fmt: skip
        self.registry = CollectorRegistry()
        self.requests = Counter(f"{PREFIX}_requests", "Requests", ("method", "path", "status"), registry=self.registry)
        self.request_s = Histogram(
            f"{PREFIX}_request_seconds", "Time of a request to its last byte", ("method", "path"), buckets=_SECONDS, registry=self.registry
        )
        self.jobs = Counter(f"{PREFIX}_jobs", "Jobs that ended", ("kind", "state"), registry=self.registry)
        self.generation_s = self._by_engine("generation_seconds", "Time of a video", _SECONDS)
        self.first_frame_s = self._by_engine("first_frame_seconds", "Time to the first frame, or a stream's first piece", _FIRST)
        self.rtf = self._by_engine("real_time_factor", "Time of a video over its length", _RTF)
        self.registry.register(_Now(stats, live, load, peers))
        ProcessCollector(registry=self.registry)

    def _by_engine(self, name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", about, ("engine",), buckets=buckets, registry=self.registry)

    def made(self, info: GenerationInfo) -> None:
        """A video or stream was made."""
        if not info.cache_hit:
            self.generation_s.labels(info.engine).observe(info.wall_s)
            self.first_frame_s.labels(info.engine).observe(info.first_frame_ms / 1000)
            self.rtf.labels(info.engine).observe(info.rtf)

    def text(self) -> tuple[bytes, str]:
        """The page and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class _Now(Collector):
    """Gauges asked for when the page is read."""

    def __init__(
        self, stats: Callable[[], dict[str, Any]], live: Callable[[], int], load: Callable[[], dict[str, Any]],
        peers: Callable[[], dict[str, int]],
    ) -> None:  # fmt: skip
        self._stats, self._live, self._load, self._peers = stats, live, load, peers

    def collect(self) -> Iterator[Metric]:
        stats = self._stats()
        queue = GaugeMetricFamily(f"{PREFIX}_queue", "Jobs of the queue, and its limits", labels=("state",))
        for name, value in stats.pop("queue", {}).items():
            queue.add_metric((name,), value)
        yield queue
        cache = GaugeMetricFamily(f"{PREFIX}_cache", "Hits, misses, bytes, entries, evictions, seconds saved", labels=("cache", "what"))
        for names, value in _numbers(stats):
            cache.add_metric((".".join(names[:-1]), names[-1]), value)
        yield cache
        yield GaugeMetricFamily(f"{PREFIX}_live_sessions", "Live sessions now", value=self._live())
        load = self._load()
        yield CounterMetricFamily(
            f"{PREFIX}_live_refused", "Live sessions refused because they would not keep real time", value=load["refused"]
        )
        yield GaugeMetricFamily(f"{PREFIX}_live_late_seconds", "Lateness of the latest frame, of the latest session", value=load["late_s"])
        needed = GaugeMetricFamily(f"{PREFIX}_live_load", "Needed for real time: the whole device is 1, a core is 1", labels=("of",))
        for name in ("device", "cores"):
            needed.add_metric((name,), load[name])
        yield needed
        buckets = list(zip([*map(str, BUCKETS_S), "+Inf"], itertools.accumulate(load["lateness"]), strict=True))
        yield HistogramMetricFamily(
            f"{PREFIX}_live_frame_lateness_seconds", "Lateness of the frames of live sessions", buckets, load["late_total_s"]
        )

        if peers := self._peers():
            now = GaugeMetricFamily(f"{PREFIX}_webrtc_connections", "WebRTC connections of live sessions now", labels=("kind",))
            for kind in ("viewers", "microphones"):
                now.add_metric((kind,), peers[kind])
            yield now
            ended = CounterMetricFamily(f"{PREFIX}_webrtc_offers", "Offers by whether a connection came about", labels=("how",))
            for how in ("connected", "failed"):
                ended.add_metric((how,), peers[how])
            yield ended

    def describe(self) -> Iterator[Metric]:
        return iter(())


def _numbers(values: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _numbers(value, (*above, name))
        elif isinstance(value, int | float) and above:
            yield (*above, name), float(value)
