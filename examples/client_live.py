#!/usr/bin/env python3
"""Speaks through an avatar, live: sends a recording as if it were spoken now, and writes the video as it comes.

    python examples/client_live.py speech.wav photo.jpg video.mp4 --key KEY

A lost connection is taken up again after 3 s, for up to 30 s; nothing is missed. Needs av, httpx and websockets.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import av
import httpx
import websockets

HEADER = struct.Struct(">BBHIIQI")
"""version, kind, flags, generation, sequence, microseconds before it, microseconds long"""
RATES_HZ = 8_000, 96_000
"""What the server takes live; a recording beyond is converted."""
RECONNECT_S, GIVE_UP_S = 3.0, 30.0
CHUNK_S = 0.04


class Recording:
    """A sound file of any usual format (WAV, FLAC, MP3, M4A, Ogg) as 16-bit samples, channels interleaved. Raises OSError, ValueError."""

    def __init__(self, path: Path) -> None:
        with av.open(str(path)) as file:
            if not file.streams.audio:
                raise ValueError(f"{path} has no sound.")
            track = file.streams.audio[0]
            self.rate, self.channels = min(max(track.rate, RATES_HZ[0]), RATES_HZ[1]), min(track.channels, 2)
            to_16_bits = av.AudioResampler("s16", "mono" if self.channels == 1 else "stereo", self.rate)
            blocks = [block for frame in (*file.decode(track), None) for block in to_16_bits.resample(frame)]
        self._samples = b"".join(block.to_ndarray().tobytes() for block in blocks)

    def __len__(self) -> int:
        """In frames: a sample of each channel."""
        return len(self._samples) // (2 * self.channels)

    def frames(self, start: int, n: int) -> bytes:
        return self._samples[2 * self.channels * start :][: 2 * self.channels * n]


class LiveClient:
    """One session. recording: as Recording takes it. video: where fragmented MP4 is written, ready to be played from the start."""

    def __init__(self, server: str, key: str, avatar: str, recording: Path, video: BinaryIO) -> None:
        self._url = f"{server.replace('http', 'ws', 1)}/live?avatar={avatar}"
        self._headers = {"X-API-Key": key} if key else {}
        self._recording, self._video = Recording(recording), video
        self._ready: dict[str, Any] = {}
        self._received = -1
        self._sent_frames = 0
        self._said_all = False
        self.events: list[str] = []
        self.resumed = 0

    async def run(self) -> None:
        """Until the person has said everything and listens again. Raises OSError where the server cannot be reached for long."""
        lost_s = 0.0
        while True:
            try:
                async with websockets.connect(self._url, additional_headers=self._headers, max_size=None) as socket:
                    lost_s = 0.0
                    if await self._talk(socket):
                        return
            except (OSError, websockets.ConnectionClosedError):
                lost_s += RECONNECT_S
                if not self._ready or lost_s > GIVE_UP_S:
                    raise
                await asyncio.sleep(RECONNECT_S)

    async def _talk(self, socket: websockets.ClientConnection) -> bool:
        """True when all is said."""
        if self._ready:
            first = {"type": "resume", "session": self._ready["session"], "secret": self._ready["secret"], "received": self._received}
            self.resumed += 1
        else:
            first = {"type": "start", "rate": self._recording.rate, "channels": self._recording.channels}
        await socket.send(json.dumps(first))
        speaking = asyncio.create_task(self._speak(socket))
        try:
            async for message in socket:
                if isinstance(message, bytes):
                    self._received = HEADER.unpack(message[: HEADER.size])[4]
                    self._video.write(message[HEADER.size :])
                elif await self._told(json.loads(message)):
                    await socket.send('{"type": "close"}')
                    return True
        finally:
            speaking.cancel()
        raise ConnectionResetError("The server closed the connection.")

    async def _speak(self, socket: websockets.ClientConnection) -> None:
        n = round(self._recording.rate * CHUNK_S)
        while chunk := self._recording.frames(self._sent_frames, n):
            await socket.send(chunk)
            self._sent_frames += n
            await asyncio.sleep(CHUNK_S)
        self._sent_frames = len(self._recording)
        self._said_all = True
        await socket.send('{"type": "end"}')

    async def _told(self, event: dict[str, Any]) -> bool:
        self.events.append(event["type"])
        if event["type"] == "ready":
            self._ready = event
        elif event["type"] == "error":
            sys.exit(event["error"]["message"])
        return event["type"] == "idle" and self._said_all


def register(server: str, key: str, image: Path) -> str:
    """The token that stands for the person on the photo."""
    with httpx.Client(headers={"X-API-Key": key} if key else {}, timeout=120) as client, image.open("rb") as photo:
        answer = client.post(f"{server}/avatars", files={"image": photo})
    if answer.is_error:
        sys.exit(answer.json()["error"]["message"])
    token: str = answer.json()["token"]
    return token


def main() -> None:
    parser = argparse.ArgumentParser(description="Speaks through an avatar, live.")
    parser.add_argument("audio", type=Path, help="WAV, FLAC, MP3, M4A or Ogg")
    parser.add_argument("image", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--server", default="http://127.0.0.1:8000", type=lambda address: address.rstrip("/"))
    parser.add_argument("--key", default=os.environ.get("TALKING_HEAD_KEY", ""), help="default: $TALKING_HEAD_KEY")
    given = parser.parse_args()
    avatar = register(given.server, given.key, given.image)
    with given.output.open("wb") as video:
        try:
            client = LiveClient(given.server, given.key, avatar, given.audio, video)
        except (OSError, ValueError) as error:
            sys.exit(f"{given.audio} cannot be read: {error}")
        asyncio.run(client.run())
    sys.stdout.write(f"{given.output}: {', '.join(client.events)}\n")


if __name__ == "__main__":
    main()
