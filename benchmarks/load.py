#!/usr/bin/env python3
"""Measures the server under load, in about two minutes: memory, fairness, live sessions and silent connections.

usage: load.py [--requests N] [--connections N] [--sessions N] [--seconds S] [--only PART...]

memory: requests with a photo of 10 MB each, every one another, 8 at a time: resident memory before (the engine is warm, one video was
made), at its peak, and 10 s after the last. health: /health, while connections that say nothing are opened, and once a second again where
they were ended. live: sessions that speak all the time, against real time, the slowest. readers: a video for a client that reads, alone and
beside three readers of /stream that do not. fairness: live sessions beside a render (fairness.py). Prints a table, and one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import cv2
import fairness
import httpx
import numpy as np
from server import ASSETS, FRAME_S, form, server, session, speech

PHOTO_PX = 1830
"""Of a side: as BMP 10 MB."""
AT_ONCE, SETTLE_S = 8, 10.0
HEALTH_S = 6.0
READERS, LONG_S, MOST_S = 3, 120, 40.0
"""How long their recordings are: longer than what a stream keeps for its reader. How long the client that reads waits at most."""


def resident_mb(process: int, what: str = "VmRSS") -> float:
    return round(int(re.findall(rf"{what}:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[0]) / 1000, 1)


def photo(base: cv2.typing.MatLike, nth: int) -> bytes:
    marked = base.copy()
    marked[:4, :4] = nth % 251, nth // 251, 0
    return bytes(cv2.imencode(".bmp", marked)[1])


def memory(given: argparse.Namespace) -> dict[str, Any]:
    base = cv2.resize(cv2.imread(str(ASSETS / "portrait.png")), (PHOTO_PX, PHOTO_PX))
    sound, states = speech(0.4), dict[int, int]()
    with server(given.sessions, UPLOADS_AT_ONCE=AT_ONCE, OWNER_UPLOADS_AT_ONCE=AT_ONCE) as (url, process):
        with httpx.Client(base_url=url, timeout=300, trust_env=False) as client:

            def ask(nth: int) -> int:
                files = {"audio": sound, "image": photo(base, nth)}
                return client.post("/generate", files=files, data={"options": json.dumps({"size": 128})}).status_code

            ask(given.requests)
            start_mb = resident_mb(process)
            Path(f"/proc/{process}/clear_refs").write_text("5")  # the peak counts from here
            began = time.perf_counter()
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for state in pool.map(ask, range(given.requests)):
                    states[state] = states.get(state, 0) + 1
            took_s = time.perf_counter() - began
            time.sleep(SETTLE_S)
            return {
                "requests": given.requests, "answers": states, "seconds": round(took_s, 1), "start_mb": start_mb,
                "peak_mb": resident_mb(process, "VmHWM"), "end_mb": resident_mb(process),
            }  # fmt: skip


def crowd(address: tuple[str, int], n: int, ready: Event, end: Event) -> None:
    """`n` connections that say nothing, or the beginning of a request; those that are ended are opened again."""
    connections: list[socket.socket | None] = [None] * n
    while not end.is_set():
        for nth, connection in enumerate(connections):
            if connection is not None and not _is_open(connection):
                connection.close()
                connection = None
            if connection is None:
                with contextlib.suppress(OSError):
                    connection = socket.create_connection(address, timeout=5)
                    connection.sendall(b"GET /health HTTP/1.1\r\nX: " if nth % 2 else b"")
                    connection.setblocking(False)
                if ready.is_set():
                    end.wait(1.0 / n)  # over the second
            connections[nth] = connection
        if not ready.is_set():
            ready.set()
            end.wait(1.0)


def _is_open(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def percentiles(times_ms: list[float]) -> dict[str, float]:
    return {
        "p50": round(float(np.percentile(times_ms, 50)), 1), "p95": round(float(np.percentile(times_ms, 95)), 1),
        "max": round(max(times_ms), 1),
    }  # fmt: skip


def health_ms(url: str) -> list[float]:
    times, until = [], time.perf_counter() + HEALTH_S
    while time.perf_counter() < until:
        began = time.perf_counter()
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:  # each on a connection of its own, as probes do
            connected = time.perf_counter()  # what making a client takes is ours
            client.get("/health").raise_for_status()
            times.append(1000 * (time.perf_counter() - connected))
        time.sleep(max(0.0, 0.05 - (time.perf_counter() - began)))
    return times


def health(given: argparse.Namespace, url: str) -> dict[str, Any]:
    host, port = url.removeprefix("http://").split(":")
    alone = percentiles(health_ms(url))
    many = multiprocessing.get_context("spawn")  # a process of its own: it must not slow down the clock
    ready, end = many.Event(), many.Event()
    others = many.Process(target=crowd, args=((host, int(port)), given.connections, ready, end))
    others.start()
    try:
        ready.wait(60)
        beside = {f"{name}_ms": ms for name, ms in percentiles(health_ms(url)).items()}
        return {"connections": given.connections, "alone_ms": alone, **beside}
    finally:
        end.set()
        others.join()


async def live_factor(url: str, avatar: str, sessions: int, seconds: float) -> float:
    """Seconds of video that arrived in a second, of the slowest."""
    found = await asyncio.gather(*(session(url, avatar, seconds) for _ in range(sessions)))
    return round(min(frames * FRAME_S / watched_s for watched_s, frames, _ in found), 3)


@contextlib.contextmanager
def readers_that_do_not_read(url: str) -> Iterator[None]:
    host, port = url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as connections:
        for _ in range(READERS):
            files = {"audio": speech(16, LONG_S // 16), "image": (ASSETS / "portrait.png").read_bytes()}
            request = httpx.Request("POST", f"{url}/stream", headers={"X-Owner-Key": "a reader that does not read"}, files=files)
            body = request.read()
            head = b"".join(b"%s: %s\r\n" % pair for pair in request.headers.raw)
            connection = connections.enter_context(socket.create_connection((host, int(port))))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"POST /stream HTTP/1.1\r\n" + head + b"\r\n" + body)
        time.sleep(5.0)  # they have begun
        yield


def video_s(client: httpx.Client, avatar: str) -> float:
    """How long a video takes; MOST_S where it took longer."""
    began = time.perf_counter()
    with contextlib.suppress(httpx.ReadTimeout):
        client.post("/generate", **form("speech_3s.wav", avatar=avatar), timeout=MOST_S).raise_for_status()
        return time.perf_counter() - began
    return MOST_S


def readers(url: str, avatar: str) -> dict[str, float]:
    with httpx.Client(base_url=url, trust_env=False) as client:
        alone_s = min(video_s(client, avatar) for _ in range(2))
        with readers_that_do_not_read(url):
            beside_s = video_s(client, avatar)
    return {"readers": READERS, "alone_s": round(alone_s, 2), "beside_s": round(beside_s, 2), "ratio": round(beside_s / alone_s, 2)}


def rows(about: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What was measured, the figure, and what it must be."""
    if "memory" in about:
        of = about["memory"]
        yield f"memory, start, {of['requests']} requests of 10 MB", f"{of['start_mb']:.0f} MB", ""
        yield "memory, peak", f"{of['peak_mb']:.0f} MB", "< 1200 MB"
        yield "memory, end over start", f"{of['end_mb'] - of['start_mb']:+.0f} MB", "< 150 MB"
    if "health" in about:
        of = about["health"]
        yield "/health alone, p50 / p95 / max", " / ".join(f"{ms:.1f}" for ms in of["alone_ms"].values()) + " ms", ""
        beside = " / ".join(f"{of[f'{name}_ms']:.1f}" for name in of["alone_ms"])
        yield f"/health beside {of['connections']} silent connections", f"{beside} ms", "< 100 ms"
    if "live" in about:
        yield f"{about['live']['sessions']} live sessions, of real time", f"{about['live']['factor']:.3f}", ">= 0.99"
    if "readers" in about:
        yield f"a video beside {READERS} readers that do not read", f"{about['readers']['ratio']:.2f} times as long", "about 1"
    for name, value in about.get("fairness", {}).items():
        yield f"fairness, {name}", str(value), ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("memory", "health", "live", "readers", "fairness")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--connections", type=int, default=1200)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    given = parser.parse_args()
    about: dict[str, Any] = {"load": os.getloadavg()[0]}
    with server(given.sessions) as (url, _), httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        avatar = client.post("/avatars", files={"image": (ASSETS / "portrait.png").read_bytes()}).json()["token"]
        measured: dict[str, Callable[[], dict[str, Any]]] = {
            "health": lambda: health(given, url),
            "live": lambda: {
                "sessions": given.sessions, "factor": asyncio.run(live_factor(url, avatar, given.sessions, given.seconds)),
            },  # fmt: skip
            "readers": lambda: readers(url, avatar),
        }
        about |= {name: measure() for name, measure in measured.items() if name in given.only}
    if "memory" in given.only:
        about["memory"] = memory(given)
    if "fairness" in given.only:
        about["fairness"] = fairness.measure()
    for what, figure, required in rows(about):
        print(f"{what:<52} {figure:>26}   {required}")
    print(json.dumps(about))


if __name__ == "__main__":
    sys.exit(main())
