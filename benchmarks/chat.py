#!/usr/bin/env python3
"""Measures how soon an answer of a conversation is seen, and how soon it ends when the user interrupts, over real connections on loopback.

usage: chat.py [--runs N] [--voice ID]

A language model of the tests answers a word every 5 ms. Prints, for each answer and as medians, in seconds after the message: the first
token, the first whole sentence, the first sound, the first picture (as the server tells them), and the first piece of video of the person
speaking that the client got; the last two also after the first whole sentence, median and p95. Then, from the interrupt that is sent while
the person speaks, how long until the client knows that nothing of the speech follows. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import websockets

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.server import ASSETS, HEADER, SPEAKS, server, summary  # noqa: E402
from tests.support.chat_server import KEY, chat_server  # noqa: E402

BUDGET_S = 1.3
"""From the first whole sentence to the first picture, on two cores."""


class Watcher:
    """Of a live session: its "ready", when its first piece of somebody who speaks came since `reset`, and its "interrupted" events."""

    def __init__(self) -> None:
        self.ready: dict[str, Any] = {}
        self.seen_s = 0.0
        self.interrupted_s: list[float] = []
        self.quiet = asyncio.Event()

    def reset(self) -> None:
        self.seen_s = 0.0
        self.quiet.clear()

    async def watch(self, url: str, avatar: str) -> None:
        address = f"{url.replace('http', 'ws', 1)}/live?avatar={avatar}"
        async with websockets.connect(address, max_size=None, proxy=None, compression=None) as connection:
            await connection.send('{"type": "start"}')
            async for message in connection:
                now = time.monotonic()
                if isinstance(message, bytes):
                    if HEADER.unpack(message[: HEADER.size])[2] & SPEAKS and not self.seen_s:
                        self.seen_s = now
                    continue
                event = json.loads(message)
                if event["type"] == "ready":
                    self.ready = event
                elif event["type"] == "interrupted":
                    self.interrupted_s.append(now)
                elif event["type"] == "idle":
                    self.quiet.set()


async def converse(url: str, avatar: str, runs: int, voice: str) -> tuple[list[dict[str, float]], list[float]]:
    """(of each answer the latencies in seconds, of each interrupt the milliseconds until it was known)."""
    watcher = Watcher()
    watching = asyncio.ensure_future(watcher.watch(url, avatar))
    while not watcher.ready:
        await asyncio.sleep(0.05)
    binding = {"session": watcher.ready["session"], "secret": watcher.ready["secret"]}
    answers, interrupts = [], []
    async with websockets.connect(f"{url.replace('http', 'ws', 1)}/chat", proxy=None) as chat:

        async def event(kind: str) -> dict[str, Any]:
            while (told := json.loads(await chat.recv()))["type"] != kind:
                if told["type"] == "error":
                    raise RuntimeError(told["error"]["message"])
            return told  # type: ignore[no-any-return]

        await chat.send(json.dumps({"type": "start", "mode": "live", "live": binding, "voice": voice}))
        await event("ready")
        for run in range(runs + 1):
            watcher.reset()
            sent_s = time.monotonic()
            await chat.send(json.dumps({"type": "message", "text": f"Who are you? ({run})"}))
            latency = {name: value for name, value in (await event("latency")).items() if name.endswith("_s")}
            while not watcher.seen_s:
                await asyncio.sleep(0.01)
            latency["client_picture_s"] = round(watcher.seen_s - sent_s, 3)
            answers.append(latency)
            began_s = time.monotonic()
            await chat.send('{"type": "interrupt"}')
            known = len(watcher.interrupted_s)
            while len(watcher.interrupted_s) == known:
                await asyncio.sleep(0.005)
            interrupts.append(1000 * (watcher.interrupted_s[-1] - began_s))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(watcher.quiet.wait(), 5)
            await asyncio.sleep(0.5)
    watching.cancel()
    return answers[1:], interrupts[1:]  # the first loads the voice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--voice", default="", help="default: the server's")
    given = parser.parse_args()
    with chat_server() as model, server(1, CHAT_URL=model.url, CHAT_KEY=KEY, CHATS_PER_MINUTE=10**6) as (url, _):
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            avatar = client.post("/avatars", files={"image": (ASSETS / "portrait.png").read_bytes()}).json()["token"]
        answers, interrupts = asyncio.run(converse(url, avatar, given.runs, given.voice))
    for answer in answers:
        print(answer)
    after = [answer["first_picture_s"] - answer["first_sentence_s"] for answer in answers]
    client_after = [answer["client_picture_s"] - answer["first_sentence_s"] for answer in answers]
    stages = {name: round(statistics.median(answer[name] for answer in answers), 3) for name in answers[0]}
    print(f"median: {stages}")
    picture, seen = summary([1000 * value for value in after]), summary([1000 * value for value in client_after])
    voice = summary([1000 * (answer["first_sound_s"] - answer["first_sentence_s"]) for answer in answers])
    print(f"first sentence to first sound: {voice} ms")
    print(f"first sentence to first picture: {picture} ms, at the client {seen} ms (budget {1000 * BUDGET_S:.0f})")
    print(f"interrupt to the word that nothing follows: {summary(interrupts)} ms")
    after_sentence = {"sentence_to_sound_ms": voice, "sentence_to_picture_ms": picture, "sentence_to_client_ms": seen}
    print(json.dumps({"runs": given.runs, **stages, **after_sentence, "interrupt_ms": summary(interrupts)}))


if __name__ == "__main__":
    main()
