#!/usr/bin/env python3
"""What live sessions and a render take from each other on this machine: several sessions that speak all the time beside one large render.

usage: fairness.py [--sessions N] [--seconds S] [--size PX]

The sessions are 320 x 320, through real connections on loopback to a server of its own. Prints each session's rate against real time, and
the frames a second of the render meanwhile and alone. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from typing import Any

import httpx
from server import ASSETS, FRAME_S, form, server, session, speech

SESSIONS, SECONDS, RENDER_PX = 4, 12.0, 1080
RENDER_S = 16
TIMES = 8
"""How often the recording of the render is repeated: it must not be done before the sessions are."""
N_FRAMES = round(RENDER_S * TIMES / FRAME_S)
ALONE_S = 3.0
WARM_S = 1.5


async def _frames_done(client: httpx.AsyncClient, job: str) -> int:
    return round(N_FRAMES * (await client.get(f"/jobs/{job}")).json()["progress"])


async def _rate(client: httpx.AsyncClient, job: str, seconds: float) -> float:
    """Frames a second of a render that runs."""
    began, first = time.perf_counter(), await _frames_done(client, job)
    await asyncio.sleep(seconds)
    return (await _frames_done(client, job) - first) / (time.perf_counter() - began)


async def _measured(url: str, avatar: str, sessions: int, seconds: float, size: int) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        asked = form("speech_16s.wav", avatar=avatar, options=json.dumps({"size": size}))
        asked["files"]["audio"] = speech(RENDER_S, TIMES)
        job = (await client.post("/generate?async=1", **asked)).json()["id"]
        while not await _frames_done(client, job):
            await asyncio.sleep(0.1)
        alone = await _rate(client, job, ALONE_S)
        live = [asyncio.create_task(session(url, avatar, seconds)) for _ in range(sessions)]
        await asyncio.sleep(WARM_S)
        beside = await _rate(client, job, seconds - WARM_S)
        factors = [frames * FRAME_S / watched_s for watched_s, frames, _ in await asyncio.gather(*live)]
        await client.delete(f"/jobs/{job}")
        return {
            "sessions": sessions, "render_px": size, "slowest": round(min(factors), 3), "factors": [round(factor, 3) for factor in factors],
            "render_fps": round(beside, 2), "render_alone_fps": round(alone, 2),
        }  # fmt: skip


def measure(sessions: int = SESSIONS, seconds: float = SECONDS, size: int = RENDER_PX) -> dict[str, Any]:
    """slowest: of the sessions, against real time. render_fps: frames a second of the render beside them."""
    with server(sessions) as (url, _), httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        avatar = client.post("/avatars", files={"image": (ASSETS / "portrait.png").read_bytes()}).json()["token"]
        return asyncio.run(_measured(url, avatar, sessions, seconds, size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--size", type=int, default=RENDER_PX)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    found = measure(given.sessions, given.seconds, given.size)
    print(f"{found['sessions']} live sessions, of real time: {found['factors']}; required: 0.99")
    print(f"a render of {found['render_px']} pixels: {found['render_fps']} frames/s beside them, {found['render_alone_fps']} alone")
    print(json.dumps({"load": load, **found}))


if __name__ == "__main__":
    sys.exit(main())
