#!/usr/bin/env python3
"""Measures how soon and how evenly the server answers, through a real connection on loopback.

usage: server.py [--runs N] [--seconds S] [--sessions N] [--aborted N]

Prints: the first media piece of POST /stream after the request, avatar known; of one live session fed as it is spoken in chunks of
20 ms, from the moment the last of a frame's sound was sent to the segment that shows it (the engine itself looks ahead 113 ms); of several
live sessions at once, the frames that arrived against 25 a second; how long /health takes meanwhile, with a video being made as well; and
what the server holds more after many aborted connections, and as many again. Median and p95. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import websockets

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "assets"
HEADER = struct.Struct(">BBHIIQI")
CHUNK_S, FRAME_S = 0.02, 0.04
SPEAKS = 1


def speech(seconds: float, times: int = 1) -> bytes:
    sink = io.BytesIO()
    with wave.open(str(ASSETS / "speech_16s.wav")) as source, wave.open(sink, "wb") as cut:
        cut.setparams(source.getparams())
        cut.writeframes(source.readframes(round(seconds * source.getframerate())) * times)
    return sink.getvalue()


def summary(values_ms: list[float]) -> dict[str, float]:
    ordered = sorted(values_ms)
    return {"median": round(statistics.median(ordered), 1), "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 1)}


@contextmanager
def server(sessions: int, **more: object) -> Iterator[tuple[str, int]]:
    """Its address and process id. sessions: live ones at the same time. more: settings of the server by name, in capitals."""
    with tempfile.TemporaryDirectory() as folder:
        limits = {"MAX_LIVE": sessions, "OWNER_MAX_LIVE": sessions, "REQUESTS_PER_MINUTE": 10**6, "JOBS_PER_MINUTE": 10**6}
        only = {"KEEP_RESULTS": "false", "CAPTION_RECORDINGS": "false"}  # videos are made, and nothing else is done
        settings = {"OUTPUT_DIR": f"{folder}/out", "CACHE_DIR": f"{folder}/cache", **only, **limits, **more}
        environment = {**os.environ, **{f"TALKING_HEAD_{name}": str(value) for name, value in settings.items()}}
        command = [sys.executable, str(ROOT / "api_server.py"), "--port", "0", "--no-page"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"http://[\d.:]+", line)
            if found is None:
                raise RuntimeError(f"the server did not start: {line}")
            while httpx.get(f"{found[0]}/health", trust_env=False).status_code != 200:
                time.sleep(0.1)
            yield found[0], process.pid
        finally:
            process.terminate()
            process.wait(60)


def form(audio: str, **fields: str) -> dict[str, Any]:
    return {"files": {"audio": (ASSETS / audio).read_bytes()}, "data": fields}


def first_piece_ms(client: httpx.Client, avatar: str, runs: int) -> list[float]:
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        with client.stream("POST", "/stream", **form("speech_16s.wav", avatar=avatar)) as answer:
            for n, _ in enumerate(answer.iter_raw()):
                if n == 1:
                    times.append(1000 * (time.perf_counter() - began))
                    break
        while client.get("/health").json()["queue"]["running"]:
            time.sleep(0.02)
    return times[1:]


async def session(url: str, avatar: str, seconds: float) -> tuple[float, int, list[float]]:
    """Of one live session that speaks all the time: how long it was watched, frames that arrived, and the latencies in ms."""
    with wave.open(str(ASSETS / "speech_16s.wav")) as file:
        speech, rate = file.readframes(file.getnframes()), file.getframerate()
    sent: list[float] = []
    latencies: list[float] = []
    frames, begins_s, began = 0, 0.0, 0.0
    address = f"{url.replace('http', 'ws', 1)}/live?avatar={avatar}"
    async with websockets.connect(address, max_size=None, proxy=None, compression=None) as connection:
        await connection.send(json.dumps({"type": "start", "rate": rate}))

        async def speak() -> None:
            step = round(rate * CHUNK_S) * 2
            due = time.perf_counter()
            while True:
                at = len(sent) * step % (len(speech) // step * step)
                await connection.send(speech[at : at + step])
                sent.append(time.perf_counter())
                due += CHUNK_S
                await asyncio.sleep(max(0.0, due - time.perf_counter()))

        speaking: asyncio.Task[None] | None = None
        async for message in connection:
            now = time.perf_counter()
            if isinstance(message, str):
                event = json.loads(message)
                if event["type"] == "ready":
                    speaking = asyncio.create_task(speak())
                elif event["type"] == "speaking":
                    begins_s, began = event["at_s"], began or now
                elif event["type"] == "idle":
                    sys.stderr.write(f"an utterance ended at {event['at_s']} s: the machine is too slow to feed it\n")
                continue
            _, _, flags, _, _, at_us, length_us = HEADER.unpack(message[: HEADER.size])
            if not flags & SPEAKS or not began:
                continue
            frames += round(length_us / 1e6 / FRAME_S)
            nth = round((at_us / 1e6 - begins_s) / FRAME_S)  # the segment's first frame, of the utterance
            chunk = (nth + 1) * round(FRAME_S / CHUNK_S) - 1
            if 0 <= chunk < len(sent):
                latencies.append(1000 * (now - sent[chunk]))
            if now - began > seconds:
                break
        if speaking is not None:
            speaking.cancel()
        await connection.send('{"type": "close"}')
        async for _ in connection:  # until the server has closed too
            pass
    return now - began, frames, latencies


async def crowd(url: str, avatar: str, seconds: float, sessions: int) -> tuple[list[float], list[float]]:
    """Frames a second of each session, and the times of /health in ms while a video is made as well."""
    health: list[float] = []

    async def watch() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
            job = (await client.post("/generate?async=1", **form("speech_16s.wav", avatar=avatar))).json()
            while True:
                began = time.perf_counter()
                await client.get("/health")
                health.append(1000 * (time.perf_counter() - began))
                if (await client.get(f"/jobs/{job['id']}")).json()["state"] == "done":
                    await client.delete(f"/jobs/{job['id']}")
                    return
                await asyncio.sleep(0.1)

    results = await asyncio.gather(*(session(url, avatar, seconds) for _ in range(sessions)))
    busy = [asyncio.create_task(session(url, avatar, seconds)) for _ in range(sessions)]
    await asyncio.sleep(1.0)
    await watch()
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    return [frames / watched_s for watched_s, frames, _ in results], health


def abort(url: str, avatar: str, n: int, process: int) -> dict[str, float]:
    """After n connections that end in the middle of whatever they send: threads, open files and memory that the server has more."""
    request = httpx.Request("POST", f"{url}/generate", **form("speech_3s.wav", avatar=avatar))
    head = b"".join(b"%s: %s\r\n" % pair for pair in request.headers.raw)
    whole = b"POST /generate HTTP/1.1\r\n" + head + b"\r\n" + request.read()
    host, port = url.removeprefix("http://").split(":")

    def held() -> tuple[int, int, float]:
        status = Path(f"/proc/{process}/status").read_text()
        memory_mb = int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024
        return int(re.findall(r"Threads:\s+(\d+)", status)[0]), len(os.listdir(f"/proc/{process}/fd")), memory_mb

    def some(count: int) -> None:
        for nth in range(count):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(whole[: (nth * 7919) % len(whole)])
        time.sleep(2.0)
        while httpx.get(f"{url}/health", trust_env=False).json()["queue"]["running"]:
            time.sleep(0.1)

    some(n)  # as many before: what so many at once need is kept by the allocator
    before = held()
    some(n)
    after = held()
    return {"threads": after[0] - before[0], "files": after[1] - before[1], "memory_mb": round(after[2] - before[2], 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--aborted", type=int, default=1000)
    given = parser.parse_args()
    with server(given.sessions) as (url, process), httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        avatar = client.post("/avatars", files={"image": (ASSETS / "portrait.png").read_bytes()}).json()["token"]
        first = summary(first_piece_ms(client, avatar, given.runs))
        print(f"/stream, first media piece: {first} ms")
        latency = summary(asyncio.run(session(url, avatar, given.seconds))[2])
        print(f"/live, sound to segment: {latency} ms")
        rates, health_times = asyncio.run(crowd(url, avatar, given.seconds, given.sessions))
        health = summary(health_times)
        print(f"{given.sessions} live sessions at once: {[round(rate, 2) for rate in rates]} frames/s")
        print(f"/health meanwhile, with a video beside: {health} ms")
        left = abort(url, avatar, given.aborted, process)
        print(f"after {given.aborted} aborted connections the server has more: {left}")
    about = {
        "first_piece_ms": first, "live_latency_ms": latency, "sessions": given.sessions, "slowest_fps": round(min(rates), 2),
        "health_ms": health, "aborted": given.aborted, "left": left,
    }  # fmt: skip
    print(json.dumps(about))


if __name__ == "__main__":
    main()
