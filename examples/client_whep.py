#!/usr/bin/env python3
"""Speaks a recording to a live session over WebRTC (WHIP), watches it (WHEP), and writes what it sees and hears.

    python examples/client_whep.py speech.wav photo.jpg video.mp4 --key KEY

Needs aiortc and httpx: pip install aiortc httpx
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import av
import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer, MediaRecorder

SDP = {"Content-Type": "application/sdp"}


async def connect(http: httpx.AsyncClient, pc: RTCPeerConnection, address: str) -> httpx.Response:
    """Offers `pc` at the address, as WHIP and WHEP do. The connection is the answer's Location."""
    await pc.setLocalDescription(await pc.createOffer())
    answer = await http.post(address, content=pc.localDescription.sdp, headers=SDP)
    answer.raise_for_status()
    await pc.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    return answer


async def main(arguments: argparse.Namespace) -> None:
    with av.open(arguments.speech) as file:
        seconds = (file.duration or 0) / av.time_base
    speaker, viewer = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    async with httpx.AsyncClient(base_url=arguments.server, headers={"X-API-Key": arguments.key}, timeout=60) as http:
        with open(arguments.photo, "rb") as photo:
            avatar = (await http.post("/avatars", files={"image": photo})).raise_for_status().json()["token"]
        speaker.addTrack(MediaPlayer(arguments.speech).audio)
        started = await connect(http, speaker, f"/whip?avatar={avatar}")
        recorder = MediaRecorder(arguments.video)
        viewer.on("track", recorder.addTrack)
        for kind in ("video", "audio"):
            viewer.addTransceiver(kind, direction="recvonly")
        await connect(http, viewer, f"/live/{started.headers['X-Live-Session']}/whep")
        await recorder.start()
        await asyncio.sleep(seconds + 2)
        await http.delete(started.headers["Location"])  # ends the session, and with it both connections
        await recorder.stop()
        await asyncio.gather(speaker.close(), viewer.close())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Speaks over WHIP and watches over WHEP.")
    for name in ("speech", "photo", "video"):
        parser.add_argument(name)
    parser.add_argument("--server", default="http://127.0.0.1:8000")
    parser.add_argument("--key", default="")
    sys.exit(asyncio.run(main(parser.parse_args())))
