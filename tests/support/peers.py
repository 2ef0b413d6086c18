"""Clients of WHEP and WHIP for the tests, by aiortc: a viewer that keeps what it is sent, and a microphone that speaks given samples."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from typing import Any

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray

from tests.support.serving import KEY

HZ, SLICE = 48_000, 960
SDP, FRAGMENT = {"Content-Type": "application/sdp"}, {"Content-Type": "application/trickle-ice-sdpfrag"}


class Voice(MediaStreamTrack):
    """A microphone in real time: `samples`, int16 at 48 kHz, over and over. sent: when each slice left, by time.monotonic()."""

    kind = "audio"

    def __init__(self, samples: NDArray[np.int16]) -> None:
        super().__init__()
        self.samples, self.n, self.sent = samples, 0, list[float]()
        self._began_s = 0.0

    async def recv(self) -> av.AudioFrame:
        self._began_s = self._began_s or time.monotonic()
        await asyncio.sleep(max(0.0, self._began_s + self.n * SLICE / HZ - time.monotonic()))
        at = (self.n * SLICE) % len(self.samples)
        slice_ = np.resize(self.samples[at : at + SLICE], SLICE)
        frame = av.AudioFrame.from_ndarray(slice_[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = HZ, self.n * SLICE, Fraction(1, HZ)
        self.n += 1
        self.sent.append(time.monotonic())
        return frame


class Client:
    """One peer connection over HTTP. address: of the endpoint, below the server's."""

    def __init__(self, url: str, key: str = KEY) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.http = httpx.AsyncClient(base_url=url, headers={"X-API-Key": key}, trust_env=False, timeout=30)
        self.answer: httpx.Response = httpx.Response(0)
        self.frames: dict[str, list[Any]] = {"audio": [], "video": []}
        self._taking: list[asyncio.Task[None]] = []

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return str(self.pc.localDescription.sdp)

    async def post(self, address: str) -> httpx.Response:
        self.answer = await self.http.post(address, content=await self.offer(), headers=SDP)
        if self.answer.status_code == 201:
            await self.pc.setRemoteDescription(RTCSessionDescription(self.answer.text, "answer"))
        return self.answer

    async def watch(self, session: str, kinds: tuple[str, ...] = ("video", "audio")) -> httpx.Response:
        for kind in kinds:
            self.pc.addTransceiver(kind, direction="recvonly")
        self.pc.on("track", lambda track: self._taking.append(asyncio.ensure_future(self._take(track))))
        return await self.post(f"/live/{session}/whep")

    async def speak(self, voice: Voice, address: str) -> httpx.Response:
        self.pc.addTrack(voice)
        return await self.post(address)

    async def connected(self) -> None:
        async with asyncio.timeout(20):
            while self.pc.connectionState != "connected":
                await asyncio.sleep(0.02)

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(30):
            while not true():
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        await self.pc.close()
        for task in self._taking:
            task.cancel()
        await self.http.aclose()

    async def _take(self, track: Any) -> None:
        try:
            while True:
                frame = await track.recv()
                self.frames[track.kind].append((time.monotonic(), frame))
        except MediaStreamError:
            return
