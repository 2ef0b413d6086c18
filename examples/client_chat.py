#!/usr/bin/env python3
"""Talks with a language model in the terminal while a person on a photo says the answers, live: the video is written as it comes.

    python examples/client_chat.py photo.jpg video.mp4 --key KEY

Each line that is typed is a message; one that comes while the person still speaks interrupts them. Play the video meanwhile, for example
with `tail -c +1 -f video.mp4 | ffplay -`. Needs httpx and websockets:

    pip install httpx websockets
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import websockets

HEADER = struct.Struct(">BBHIIQI")


async def typed() -> AsyncIterator[str]:
    """Lines as they are typed, until the end of the input."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip():
            yield line.strip()


async def write_video(live: websockets.ClientConnection, video: BinaryIO) -> None:
    async for message in live:
        if isinstance(message, bytes):
            video.write(message[HEADER.size :])


async def print_answers(chat: websockets.ClientConnection, over: asyncio.Queue[str]) -> None:
    """over: gets the event that ends each answer."""
    async for message in chat:
        event: dict[str, Any] = json.loads(message)
        if event["type"] == "text":
            sys.stdout.write(event["text"])
        elif event["type"] == "answer_done":
            sys.stdout.write("\n")
        elif event["type"] in ("spoken", "cut"):
            over.put_nowait(event["type"])
        elif event["type"] == "latency":
            sys.stderr.write(f"(first picture after {event['first_picture_s']} s)\n")
        elif event["type"] == "error":
            sys.stderr.write(f"{event['error']['message']} {event['error']['hint']}\n")
        sys.stdout.flush()


async def talk(server: str, key: str, avatar: str, voice: str, video: BinaryIO) -> None:
    address, headers = server.replace("http", "ws", 1), {"X-API-Key": key} if key else {}
    async with (
        websockets.connect(f"{address}/live?avatar={avatar}", additional_headers=headers, max_size=None) as live,
        websockets.connect(f"{address}/chat", additional_headers=headers) as chat,
    ):
        await live.send('{"type": "start"}')
        ready = json.loads(await live.recv())
        if ready["type"] == "error":
            sys.exit(ready["error"]["message"])
        binding = {"session": ready["session"], "secret": ready["secret"]}
        await chat.send(json.dumps({"type": "start", "mode": "live", "live": binding, "voice": voice}))
        began = json.loads(await chat.recv())
        if began["type"] == "error":
            sys.exit(began["error"]["message"])
        sys.stderr.write(f"You talk with {began['partner']['name']}.\n")
        over: asyncio.Queue[str] = asyncio.Queue()
        tasks = [asyncio.create_task(write_video(live, video)), asyncio.create_task(print_answers(chat, over))]
        sent = 0
        async for line in typed():
            await chat.send(json.dumps({"type": "message", "text": line}))
            sent += 1
        for _ in range(sent):  # all but the last may be cut
            await over.get()
        await chat.send('{"type": "close"}')
        await live.send('{"type": "close"}')
        await asyncio.wait(tasks)


def main() -> None:
    parser = argparse.ArgumentParser(description="Talks with a language model through a person on a photo, live.")
    parser.add_argument("image", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--server", default="http://127.0.0.1:8000", type=lambda address: address.rstrip("/"))
    parser.add_argument("--key", default=os.environ.get("TALKING_HEAD_KEY", ""), help="default: $TALKING_HEAD_KEY")
    parser.add_argument("--voice", default="", help="default: the server's")
    given = parser.parse_args()
    with httpx.Client(headers={"X-API-Key": given.key} if given.key else {}, timeout=120) as client, given.image.open("rb") as photo:
        answer = client.post(f"{given.server}/avatars", files={"image": photo})
    if answer.is_error:
        sys.exit(answer.json()["error"]["message"])
    with given.output.open("wb") as video:
        asyncio.run(talk(given.server, given.key, answer.json()["token"], given.voice, video))


if __name__ == "__main__":
    main()
