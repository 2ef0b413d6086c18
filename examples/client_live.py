#!/usr/bin/env python3
"""Speaks through an avatar, live: sends a recording as if it were spoken now, or a text, and writes the video as it comes.

    python examples/client_live.py speech.wav photo.jpg video.mp4 --key KEY
    python examples/client_live.py photo.jpg video.mp4 --say "Hello, I am Ada." --key KEY

A lost connection is taken up again after 3 s, for up to 30 s; nothing is missed on either side. Needs av (PyAV), httpx and websockets:

    pip install av httpx websockets
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
import sys
from collections import deque
from pathlib import Path
from typing import Any, BinaryIO

import av
import httpx
import websockets

HEADER = struct.Struct(">BBHIIQI")
"""version, kind, flags, generation, sequence, microseconds before it, microseconds long"""
RATES_HZ = 8_000, 96_000
"""What the server takes live; a recording beyond is converted."""
SPEAKS = 1
QUIET_S = 1.0
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


class Outbox:
    """What is sent, kept until the server has taken it. Every message after the start has a number: the first is 0."""

    def __init__(self) -> None:
        self._first = 0
        self._kept: deque[bytes | str] = deque()
        self.more = asyncio.Event()

    @property
    def end(self) -> int:
        """The number of the next message."""
        return self._first + len(self._kept)

    def add(self, message: bytes | str) -> None:
        self._kept.append(message)
        self.more.set()

    def taken(self, received: int) -> None:
        """The server has the first `received` messages."""
        while self._kept and self._first < received:
            self._kept.popleft()
            self._first += 1

    def message(self, number: int) -> bytes | str:
        return self._kept[number - self._first]


class LiveClient:
    """One session. speech: a recording as Recording takes it, or a text. video: where fragmented MP4 is written, playable from its start.
    """

    def __init__(self, server: str, key: str, avatar: str, speech: Path | str, video: BinaryIO) -> None:
        self._url = f"{server.replace('http', 'ws', 1)}/live?avatar={avatar}"
        self._headers = {"X-API-Key": key} if key else {}
        self._speech, self._video = speech if isinstance(speech, str) else Recording(speech), video
        self._ready: dict[str, Any] = {}
        self._shown = self._last_event = -1
        self._outbox = Outbox()
        self._received = 0
        self._said = False
        self._quiet_s = 0.0
        self.events: list[str] = []
        self.resumed = 0

    async def run(self) -> None:
        """Until the person has said everything and listens again. Raises OSError where the server cannot be reached for long."""
        lost_s = 0.0
        said = asyncio.create_task(self._say())
        try:
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
        finally:
            said.cancel()

    async def _say(self) -> None:
        """The text, or the recording as if it were spoken now, whether there is a connection or not."""
        if isinstance(self._speech, str):
            self._outbox.add(json.dumps({"type": "say", "text": self._speech}))
            return  # an event tells when it was said
        n = round(self._speech.rate * CHUNK_S)
        for start in range(0, len(self._speech), n):
            self._outbox.add(self._speech.frames(start, n))
            await asyncio.sleep(CHUNK_S)
        self._outbox.add('{"type": "end"}')
        self._said = True

    async def _talk(self, socket: websockets.ClientConnection) -> bool:
        """True when all is said."""
        if self._ready:
            first = {"type": "resume", "session": self._ready["session"], "secret": self._ready["secret"], "received": self._shown}
            first["event"] = self._last_event
            self.resumed += 1
        else:
            first = {"type": "start"}
            if isinstance(self._speech, Recording):
                first |= {"rate": self._speech.rate, "channels": self._speech.channels}
        await socket.send(json.dumps(first))
        sending: asyncio.Task[None] | None = None
        try:
            async for message in socket:
                if isinstance(message, bytes):
                    if self._show(message):
                        await socket.send('{"type": "close"}')
                        return True
                elif self._told(json.loads(message)) == "ready":
                    sending = asyncio.create_task(self._send(socket, self._received))
        finally:
            if sending is not None:
                sending.cancel()
        raise ConnectionResetError("The server closed the connection.")

    async def _send(self, socket: websockets.ClientConnection, number: int) -> None:
        """All messages from `number` on: first what the server did not take over the connection before, then what comes."""
        while True:
            self._outbox.more.clear()
            while number < self._outbox.end:
                await socket.send(self._outbox.message(number))
                number += 1
            await self._outbox.more.wait()

    def _show(self, message: bytes) -> bool:
        """Whether all is said: the server has taken everything, and the person has listened for a while since."""
        _, _, flags, _, self._shown, _, duration_us = HEADER.unpack(message[: HEADER.size])
        self._video.write(message[HEADER.size :])
        all_taken = self._said and self._received == self._outbox.end
        self._quiet_s = 0.0 if flags & SPEAKS or not all_taken else self._quiet_s + duration_us / 1e6
        return self._quiet_s >= QUIET_S

    def _told(self, event: dict[str, Any]) -> str:
        """The kind of event."""
        kind: str = event["type"]
        self.events.append(kind)
        self._last_event = event.get("event", self._last_event)
        if kind in ("ready", "ack"):
            self._received = event["received"]
            self._outbox.taken(self._received)
        if kind == "ready":
            self._ready = event
        elif kind == "said":
            self._said = True
        elif kind in ("error", "say_failed"):
            sys.exit(event["error"]["message"])
        elif kind == "closing":
            sys.exit(event["reason"])
        return kind


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
    parser.add_argument("audio", type=Path, nargs="?", help="WAV, FLAC, MP3, M4A or Ogg")
    parser.add_argument("image", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--say", metavar="TEXT", help="what is said, in place of a recording")
    parser.add_argument("--server", default="http://127.0.0.1:8000", type=lambda address: address.rstrip("/"))
    parser.add_argument("--key", default=os.environ.get("TALKING_HEAD_KEY", ""), help="default: $TALKING_HEAD_KEY")
    given = parser.parse_args()
    if (given.audio is None) == (given.say is None):
        parser.error("Give a recording, or a text with --say.")
    avatar = register(given.server, given.key, given.image)
    with given.output.open("wb") as video:
        try:
            client = LiveClient(given.server, given.key, avatar, given.say or given.audio, video)
        except (OSError, ValueError) as error:
            sys.exit(f"{given.audio} cannot be read: {error}")
        asyncio.run(client.run())
    sys.stdout.write(f"{given.output}: {', '.join(client.events)}\n")


if __name__ == "__main__":
    main()
