#!/usr/bin/env python3
"""Measures live sessions over WebRTC on loopback, in about a minute and a half: how late the picture is, and what viewers cost.

usage: webrtc.py [--seconds S] [--pairs N] [--size PX]

latency: bursts of a tone go out over WHIP; from the moment a burst's first 20 ms were sent until a viewer over WHEP has the picture of the
frame that it is heard with, and that without the engine's look-ahead. Counted as packets arrive: no player's buffer is in it.
viewers: CPU time of the server for a session with one viewer and with two, in pairs, and the ratio. Prints both, and one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from server import ASSETS, server, summary

HZ, SLICE = 48_000, 960
BURST_SLICES, EVERY_SLICES = 15, 60
FRAME_S = 0.04
LOUD = 0.05
SETTLE_S = 4.0


class Bursts(MediaStreamTrack):
    """A microphone that hears 0.3 s of a tone every 1.2 s. began: of each burst, when its first slice was sent."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.n, self.began, self._since_s = 0, list[float](), 0.0
        self._tone = (np.sin(np.arange(SLICE) * 2 * np.pi * 400 / HZ) * 12_000).astype(np.int16)

    async def recv(self) -> av.AudioFrame:
        self._since_s = self._since_s or time.perf_counter()
        await asyncio.sleep(max(0.0, self._since_s + (self.n + 1) * SLICE / HZ - time.perf_counter()))
        nth = self.n % EVERY_SLICES
        samples = self._tone if nth < BURST_SLICES else np.zeros(SLICE, np.int16)
        if nth == 0:
            self.began.append(time.perf_counter())
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = HZ, self.n * SLICE, Fraction(1, HZ)
        self.n += 1
        return frame


class Arrivals:
    """What a viewer gets, as packets arrive. pictures: when the last packet of each frame came, by its number. loud: frames that a burst
    is heard in, where the one before was silent.
    """

    def __init__(self) -> None:
        self.pictures: dict[int, float] = {}
        self.loud: list[int] = []
        self._first: dict[str, int] = {}
        self._decoder: Any = av.CodecContext.create("libopus", "r")
        self._was_loud = True

    def watch(self, receiver: Any, kind: str) -> None:
        handle = receiver._handle_rtp_packet

        async def handled(packet: Any, arrival_time_ms: int) -> None:
            now_s = time.perf_counter()
            if packet.payload:
                ticks = (90_000 if kind == "video" else HZ) // 25
                nth = ((packet.timestamp - self._first.setdefault(kind, packet.timestamp)) & 0xFFFFFFFF) // ticks
                if kind == "video" and packet.marker:
                    self.pictures[nth] = now_s
                elif kind == "audio":
                    self._hear(nth, bytes(packet.payload))
            await handle(packet, arrival_time_ms=arrival_time_ms)

        receiver._handle_rtp_packet = handled

    def _hear(self, nth: int, payload: bytes) -> None:
        samples = np.concatenate([frame.to_ndarray().ravel() for frame in self._decoder.decode(av.Packet(payload))])
        loud = bool(np.abs(samples).max() > LOUD)
        if loud and not self._was_loud:
            self.loud.append(nth)
        self._was_loud = loud


async def connect(http: httpx.AsyncClient, pc: RTCPeerConnection, address: str) -> httpx.Response:
    await pc.setLocalDescription(await pc.createOffer())
    answer = await http.post(address, content=pc.localDescription.sdp, headers={"Content-Type": "application/sdp"})
    answer.raise_for_status()
    await pc.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    return answer


@asynccontextmanager
async def viewer(http: httpx.AsyncClient, session: str, arrivals: Arrivals | None = None) -> AsyncIterator[None]:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind in ("video", "audio"):
        receiver = pc.addTransceiver(kind, direction="recvonly").receiver
        if arrivals is not None:
            arrivals.watch(receiver, kind)
    answer = await connect(http, pc, f"/live/{session}/whep")
    yield
    await http.delete(answer.headers["Location"])
    await pc.close()


def cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def cost(http: httpx.AsyncClient, session: str, process: int, viewers: int, seconds: float) -> float:
    """CPU seconds a second of the server."""
    async with AsyncExitStack() as stack:
        for _ in range(viewers):
            await stack.enter_async_context(viewer(http, session))
        await asyncio.sleep(SETTLE_S)
        before, began = cpu_s(process), time.perf_counter()
        await asyncio.sleep(seconds)
        return (cpu_s(process) - before) / (time.perf_counter() - began)


async def measure(url: str, process: int, arguments: argparse.Namespace) -> dict[str, Any]:
    bursts, arrivals = Bursts(), Arrivals()
    microphone = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    microphone.addTrack(bursts)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
        photo = {"image": (ASSETS / "portrait.png").read_bytes()}
        avatar = (await http.post("/avatars", files=photo)).raise_for_status().json()["token"]
        options = json.dumps({"size": arguments.size})
        started = await connect(http, microphone, str(httpx.URL("/whip", params={"avatar": avatar, "options": options})))
        session = started.headers["X-Live-Session"]
        async with viewer(http, session, arrivals):
            await asyncio.sleep(SETTLE_S + arguments.seconds)
        late_ms = []
        for nth in arrivals.loud[1:]:
            shown_s = arrivals.pictures.get(nth)
            sent_s = max((each for each in bursts.began if shown_s is not None and each < shown_s), default=None)
            if shown_s is not None and sent_s is not None:
                late_ms.append(1000 * (shown_s - sent_s))
        pairs = []
        for _ in range(arguments.pairs):
            one = await cost(http, session, process, 1, arguments.seconds)
            pairs.append((one, await cost(http, session, process, 2, arguments.seconds)))
        await http.delete(started.headers["Location"])
    await microphone.close()
    look_ahead_ms = 112.5
    return {
        "bursts": len(late_ms),
        "latency_ms": summary(late_ms),
        "beyond_look_ahead_ms": summary([each - look_ahead_ms for each in late_ms]),
        "one_viewer_cores": round(statistics.median(one for one, _ in pairs), 3),
        "two_viewers_cores": round(statistics.median(two for _, two in pairs), 3),
        "ratio": round(statistics.median(two / one for one, two in pairs), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--size", type=int, default=320)
    arguments = parser.parse_args()
    with server(2) as (url, process):
        found = asyncio.run(measure(url, process, arguments))
    print(f"{found['bursts']} bursts: sound to picture {found['latency_ms']} ms, beyond the look-ahead {found['beyond_look_ahead_ms']} ms")
    print(f"server: {found['one_viewer_cores']} cores with one viewer, {found['two_viewers_cores']} with two: {found['ratio']} times")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
