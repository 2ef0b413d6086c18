#!/usr/bin/env python3
"""Measures how the service over Ray Serve grows with its render replicas, on one machine.

usage: scale.py [--replicas N ...] [--engine sleeping|lite] [--times STAGES.json] [--slower N] [--seconds S] [--live N] [--people N]
                [--only PART...]

sleeping: an engine that takes the device as long as Ditto does and no processor (benchmarks/sleeping_engine.py), so that replicas beyond
this machine's cores can be measured; all else is real: PostgreSQL, Redis, a bucket (moto), Ray, encoding. Its times are the published ones
(benchmarks/device_times.py), or with --times those that `scripts/gpu_check.sh stages` wrote on a GPU. Recordings take --slower times as
long, so that this machine's cores can encode for all replicas; live sessions do not. For each number of replicas, once everybody was shown
once:

throughput: seconds of video made in a second, with two jobs waiting for each that is made, against one replica; how long jobs waited
(median and p95), each counted from when it was accepted; and how many found their person in the memory of the replica that took them.
live: sessions that speak all the time, against real time, the slowest.
kill: at half the load that this many replicas can take, one of them is killed: jobs that were accepted and did not end well, and how long
the slowest took from when it was accepted until its video was there. With one replica it is left out.

Prints the table and the sizing row of docs/deployment.md in Markdown, and one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import httpx
import websockets

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.device_times import PUBLISHED, motion_options, read_stages, sizing_row  # noqa: E402
from benchmarks.server import ASSETS, FRAME_S, form, session  # noqa: E402
from benchmarks.sleeping_engine import ENGINE, LIVE_TIMES, READ_ANEW, RECORDED_TIMES, as_variable  # noqa: E402
from tests.support.databases import PostgresServer, RedisServer  # noqa: E402
from tests.support.ray_service import RayService, ray_service  # noqa: E402
from tests.support.s3 import BUCKET, CREDENTIALS, S3Server  # noqa: E402

SPEECH, SPEECH_S = "speech_3s.wav", 3.0
REPLICA = "ServeReplica:default:Renderer"
"""What its process is called."""
AHEAD = 2
"""Jobs that wait, for each that is made."""
MANY = 64
"""At the same time, so that nobody is refused."""
PARTS = ("throughput", "live", "kill")


@dataclass
class Asked:
    """A job. Times by time.perf_counter()."""

    id: str
    accepted_s: float
    started_s: float = 0.0
    ended_s: float = 0.0
    state: str = "queued"
    hit: bool = False

    @property
    def waited_s(self) -> float:
        return self.started_s - self.accepted_s


class Load:
    """Asks for videos of several people in turn, and watches each until it has ended."""

    def __init__(self, client: httpx.AsyncClient, people: list[str]) -> None:
        self._client, self._people, self.asked = client, people, list[Asked]()
        self._events = str(client.base_url).replace("http", "ws", 1).rstrip("/")
        self._numbers = itertools.count()
        self._watching = set[asyncio.Task[None]]()

    async def ask(self) -> asyncio.Task[None]:
        nth = next(self._numbers)
        options = json.dumps({"seed": nth})  # of another one's job, that is under way, it would be a copy else
        answer = await self._client.post("/generate?async=1", **form(SPEECH, avatar=self._people[nth % len(self._people)], options=options))
        answer.raise_for_status()
        one = Asked(answer.json()["id"], time.perf_counter())
        self.asked.append(one)
        watching = asyncio.create_task(self._watch(one))
        self._watching.add(watching)
        return watching

    async def end(self) -> None:
        await asyncio.gather(*self._watching)

    async def keep(self, waiting: int, until_s: float) -> None:
        """So many jobs at the same time, until then."""

        async def one_after_another() -> None:
            while time.perf_counter() < until_s:
                await (await self.ask())

        await asyncio.gather(*(one_after_another() for _ in range(waiting)))

    async def _watch(self, one: Asked) -> None:
        async with websockets.connect(f"{self._events}/jobs/{one.id}/events", proxy=None) as events:
            async for message in events:
                about = json.loads(message)
                one.state = about["state"]
                if one.state != "queued" and not one.started_s:
                    one.started_s = time.perf_counter()
        one.ended_s = time.perf_counter()
        if one.state == "done":
            one.hit = READ_ANEW not in about["info"]["warnings"]
        await self._client.delete(f"/jobs/{one.id}")


def waits(asked: list[Asked]) -> dict[str, float]:
    """p95: no more than 5 % waited longer."""
    ordered = sorted(one.waited_s for one in asked)
    return {"wait_s": round(statistics.median(ordered), 2), "wait_p95_s": round(ordered[math.ceil(0.95 * len(ordered)) - 1], 2)}


async def throughput(client: httpx.AsyncClient, people: list[str], slots: int, seconds: float) -> dict[str, float]:
    """Of what ended in the last two thirds, so that the queue was as it stays; from the first end to the last, since few may."""
    load, began_s = Load(client, people), time.perf_counter()
    await load.keep(slots * (1 + AHEAD), began_s + seconds)
    made = [one for one in load.asked if began_s + seconds / 3 <= one.ended_s <= began_s + seconds]
    hits = sum(one.hit for one in made) / len(made)
    ends_s = [one.ended_s for one in made]
    per_s = (len(made) - 1) / (max(ends_s) - min(ends_s))
    return {"video_s_per_s": round(per_s * SPEECH_S, 2), "avatar_hits": round(hits, 2), **waits(made)}


async def kill(client: httpx.AsyncClient, people: list[str], per_s: float, seconds: float, service: RayService) -> dict[str, float]:
    """per_s: jobs that are asked for in a second."""
    load, began_s, killed = Load(client, people), time.perf_counter(), False
    while (now_s := time.perf_counter() - began_s) < seconds:
        if not killed and now_s > seconds / 3:
            os.kill(service.processes(REPLICA)[0], signal.SIGKILL)
            killed = True
        await load.ask()
        await asyncio.sleep(max(0.0, began_s + len(load.asked) / per_s - time.perf_counter()))
    await load.end()
    lost, slowest_s = sum(one.state != "done" for one in load.asked), max(one.ended_s - one.accepted_s for one in load.asked)
    return {"kill_jobs": len(load.asked), "kill_lost": lost, "kill_slowest_s": round(slowest_s, 1)}


async def live(url: str, avatar: str, sessions: int, seconds: float) -> dict[str, float]:
    watched = await asyncio.gather(*(session(url, avatar, seconds) for _ in range(sessions)))
    return {"live_sessions": sessions, "live_slowest": round(min(frames * FRAME_S / watched_s for watched_s, frames, _ in watched), 3)}


def register(client: httpx.Client, people: int) -> list[str]:
    """Tokens of as many photos, which differ in a corner."""
    photo, tokens = cv2.imread(str(ASSETS / "portrait.png")), []
    for nth in range(people):
        photo[:4, :4] = nth
        tokens.append(client.post("/avatars", files={"image": bytes(cv2.imencode(".png", photo)[1])}).json()["token"])
    return tokens


@contextmanager
def service_of(replicas: int, given: argparse.Namespace) -> Iterator[RayService]:
    """So many render replicas, over databases and a bucket of their own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        postgres, redis, bucket = PostgresServer(folder), RedisServer(folder), S3Server(folder)
        for each in (postgres, redis, bucket):
            each.start()
        try:
            at_once = {name: MANY for name in ("MAX_LIVE", "OWNER_MAX_LIVE", "UPLOADS_AT_ONCE", "OWNER_UPLOADS_AT_ONCE")}
            limits = {"REQUESTS_PER_MINUTE": 10**6, "JOBS_PER_MINUTE": 10**6, "MAX_QUEUE": 500}
            settings = {
                "JOBS_DATABASE": postgres.url, "REDIS_URL": redis.url, "S3_BUCKET": f"s3://{BUCKET}", "S3_ENDPOINT": bucket.url,
                "OUTPUT_DIR": folder / "out", "CACHE_DIR": folder / "cache", "MIN_RENDERERS": replicas, "MAX_RENDERERS": replicas,
                "RENDER_CPUS": 0.1, "API_KEYS": "", "PAGE": "false", "KEEP_RESULTS": "false", "CAPTION_RECORDINGS": "false",
                **limits, **at_once,
            }  # fmt: skip
            times = {RECORDED_TIMES: as_variable(given.times.slower(given.slower)), LIVE_TIMES: as_variable(given.times)}
            os.environ.update(CREDENTIALS, **times, **{ENGINE: given.engine})
            told = {name: str(value) for name, value in settings.items()}
            with ray_service(folder, told, application="benchmarks.scale_app:app") as service:
                yield service
        finally:
            for each in (bucket, redis, postgres):
                each.stop()


async def measured(service: RayService, replicas: int, given: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"replicas": replicas}
    with service.client("") as client:
        people, slots = register(client, given.people), client.get("/health").json()["queue"]["slots"]
    async with httpx.AsyncClient(base_url=service.url, timeout=300, trust_env=False) as client:
        warm = Load(client, people)
        await asyncio.gather(*[await warm.ask() for _ in people])
        if "throughput" in given.only:
            found |= await throughput(client, people, slots, given.seconds)
        if "live" in given.only:
            found |= await live(service.url, people[0], given.live or replicas, given.seconds / 2)
        if "kill" in given.only and replicas > 1:
            per_s = found["video_s_per_s"] / SPEECH_S / 2 if "video_s_per_s" in found else 0.5
            found |= await kill(client, people, per_s, given.seconds, service)
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """In Markdown, with the growth against the first row."""
    columns = {
        "replicas": "replicas", "video_s_per_s": "seconds of video in a second", "linear": "of linear", "wait_s": "a job waits, median s",
        "wait_p95_s": "p95 s", "avatar_hits": "person in memory",
        "live_sessions": "live sessions", "live_slowest": "the slowest, of real time",
        "kill_jobs": "jobs around a kill at half load", "kill_lost": "lost", "kill_slowest_s": "the slowest, s",
    }  # fmt: skip
    first = rows[0]
    for row in rows:
        if "video_s_per_s" in row:
            row["linear"] = round(row["video_s_per_s"] / first["video_s_per_s"] / (row["replicas"] / first["replicas"]), 3)
    shown = [name for name in columns if any(name in row for row in rows)]
    lines = ["| " + " | ".join(columns[name] for name in shown) + " |", "| --- " * len(shown) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(row.get(name, "")) for name in shown) + " |" for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--engine", choices=("sleeping", "lite"), default="sleeping")
    parser.add_argument("--times", type=lambda name: read_stages(Path(name)), default=PUBLISHED, help="stages.json of a GPU")
    parser.add_argument("--slower", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=28.0)
    parser.add_argument("--live", type=int, default=0, help="sessions; 0: one for each replica")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    load, rows = os.getloadavg()[0], []
    for replicas in given.replicas:
        with service_of(replicas, given) as service:
            rows.append(asyncio.run(measured(service, replicas, given)))
        print(json.dumps(rows[-1]), file=sys.stderr)
    live_ms, video_ms = (given.times.of_a_frame_ms(motion_options(live)) for live in (True, False))
    print(table(rows))
    print(sizing_row(given.times.source, live_ms, video_ms))
    of_device = {"times": given.times.source, "slower": given.slower, "live_ms": round(live_ms, 2), "video_ms": round(video_ms, 2)}
    print(json.dumps({"load": load, "engine": given.engine, **of_device, "rows": rows}))


if __name__ == "__main__":
    sys.exit(main())
