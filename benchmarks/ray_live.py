#!/usr/bin/env python3
"""Compares live sessions over Ray with those of one process, on one machine, with the lite engine.

usage: ray_live.py [--rounds N] [--seconds S]

In pairs, one after the other: from the moment the last of a frame's sound was fed to the piece that shows it (median and 95th percentile),
and CPU seconds for each second, of all processes that have to do with the session. Then the memory of a session's own process, and how long
after a render replica was killed the next piece came. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray  # noqa: E402

from core.media.image import load_image  # noqa: E402
from core.optimization.cache_folder import CacheFolder  # noqa: E402
from core.service.held_session import HeldSession  # noqa: E402
from core.service.live_messages import EndOfUtterance, LiveRequest, MediaPiece, Sound  # noqa: E402
from core.service.live_source import LiveSource, StudioSource  # noqa: E402
from core.service.quotas import RateLimit  # noqa: E402
from core.settings import Settings  # noqa: E402
from core.speech_synthesis.speaker import Speaker  # noqa: E402
from core.streaming.outputs import LiveEvent  # noqa: E402
from core.studio import open_studio  # noqa: E402
from deploy.ray_live import RayLiveSessions  # noqa: E402
from tests.support.live_caller import speech  # noqa: E402
from tests.support.paths import PORTRAIT  # noqa: E402
from tests.support.render_replicas import begin_replica, cluster  # noqa: E402
from tests.support.replica_pool import ReplicaPool  # noqa: E402

OWNER = "benchmark"
CHUNK_S, SPEECH_S = 0.02, 3.0
TICKS_HZ = os.sysconf("SC_CLK_TCK")
NAMES = (b"ray::SessionActor", b"ray::RenderReplica")


class Place:
    next_number = 0


def processes(name: bytes) -> list[Path]:
    return [place for place in Path("/proc").glob("[0-9]*") if name in read(place / "cmdline")]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def cpu_s() -> dict[str, float]:
    """Of this process, and of those of Ray that render or hold a session, by number."""
    told = {place.name: read(place / "stat").rsplit(b")", 1)[-1].split() for name in NAMES for place in processes(name)}
    others = {number: (int(values[11]) + int(values[12])) / TICKS_HZ for number, values in told.items() if values}
    return {"": time.process_time(), **others}


def memory_mb(name: bytes) -> list[int]:
    lines = [line for place in processes(name) for line in read(place / "status").splitlines() if line.startswith(b"VmRSS:")]
    return [int(line.split()[1]) // 1024 for line in lines]


class Watched:
    """One session that is spoken to for a while. delays_s: of each frame of speech. arrived_s: of each piece."""

    def __init__(self, session: HeldSession, seconds: float) -> None:
        self.delays_s: list[float] = []
        self.arrived_s: list[float] = []
        self._session, self._place = session, Place()
        before, end_s = cpu_s(), time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._utterance()
        self.cpu = sum(now_s - before.get(number, 0.0) for number, now_s in cpu_s().items()) / seconds

    def _utterance(self) -> None:
        begun_s = time.monotonic()
        feeding = threading.Thread(target=self._feed, args=(begun_s,))
        feeding.start()
        speaking_s = -1.0
        idle = False
        while not idle:
            for message in self._session.produce(0.25):
                now_s = time.monotonic()
                if isinstance(message, LiveEvent):
                    speaking_s = message.at_s if message.kind == "speaking" else speaking_s
                    idle = idle or message.kind == "idle"
                elif isinstance(message, MediaPiece) and message.kind == "segment":
                    self.arrived_s.append(now_s)
                    frames = range(round(message.duration_s * 25)) if message.speaking and speaking_s >= 0 else ()
                    spoken_s = [message.at_s + k / 25 - speaking_s for k in frames]
                    self.delays_s += [now_s - begun_s - each - 0.04 for each in spoken_s if -1e-6 <= each < SPEECH_S - 0.04]
        feeding.join()

    def _feed(self, begun_s: float) -> None:
        n = round(CHUNK_S * 16_000) * 2
        sound = speech(SPEECH_S)
        for i in range(len(sound) // n):
            time.sleep(max(0.0, begun_s + (i + 1) * CHUNK_S - time.monotonic()))  # a chunk is there when it has been spoken
            while not self._session.take(self._place, Sound(sound[i * n : (i + 1) * n])):
                pass
        self._session.take(self._place, EndOfUtterance())


def watched(source: LiveSource, token: str, seconds: float) -> Watched:
    session = source.open(token, OWNER, LiveRequest(engine="lite"))
    try:
        return Watched(session, seconds)
    finally:
        session.close()


def after_a_kill_s(source: LiveSource, token: str, replica: object) -> float:
    """The longest time between two pieces where the replica that renders is killed."""
    session = source.open(token, OWNER, LiveRequest(engine="lite"))
    pid = ray.get(replica.pid.remote())  # type: ignore[attr-defined]
    killing = threading.Timer(2.0, lambda: os.kill(pid, signal.SIGKILL))
    killing.start()
    found = Watched(session, 5.0)
    session.close()
    return float(np.diff(found.arrived_s).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, cluster():
        settings = Settings(cache_dir=Path(folder) / "cache", output_dir=Path(folder) / "out")
        studio = open_studio(settings, serving=True)
        token = studio.preload_avatar(load_image(PORTRAIT, settings), OWNER, engine="lite", consent=True).token
        here = StudioSource(studio, Speaker(settings, CacheFolder(settings.cache_dir)), settings, RateLimit(1000, "texts"))
        replicas = [begin_replica(name, settings) for name in ("first", "second")]
        away = RayLiveSessions(settings, ReplicaPool(["first", "second"]))
        pairs = [(watched(here, token, arguments.seconds), watched(away, token, arguments.seconds)) for _ in range(arguments.rounds)]
        held = away.open(token, OWNER, LiveRequest(engine="lite"))
        held.produce(0.25)
        memory = max(memory_mb(NAMES[0]))
        held.close()
        told: dict[str, object] = {"rounds": arguments.rounds, "session_memory_mb": memory}
        for name, found in zip(("here", "ray"), zip(*pairs, strict=True), strict=True):
            delays = np.concatenate([each.delays_s for each in found])
            told[name] = {
                "delay_ms": [round(1000 * float(np.percentile(delays, part))) for part in (50, 95)],
                "cpu": round(float(np.median([each.cpu for each in found])), 3),
            }
        told["delay_ratio"] = round(float(np.median([np.median(b.delays_s) / np.median(a.delays_s) for a, b in pairs])), 3)
        told["cpu_ratio"] = round(float(np.median([b.cpu / a.cpu for a, b in pairs])), 2)
        told["after_a_kill_s"] = round(after_a_kill_s(away, token, replicas[0]), 2)
        studio.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
