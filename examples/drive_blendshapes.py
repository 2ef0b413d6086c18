#!/usr/bin/env python3
"""Drives the blendshapes of a 3-D avatar beside a live session: says a text and prints, frame by frame, what the face is to do and when.

    python examples/drive_blendshapes.py TOKEN "Hello, I am Ada." --key KEY

TOKEN: of a registered person (POST /avatars). A line a frame: milliseconds of video, viseme, and ARKit's weights that are not 0; a renderer
sets them where this prints them. Needs websockets.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator

from websockets.sync.client import connect


def frames(server: str, key: str, token: str, text: str) -> Iterator[tuple[float, str, dict[str, float]]]:
    """Milliseconds of video before the frame, Oculus' viseme, and all blendshapes that speech moves, by name."""
    headers = {"X-API-Key": key} if key else {}
    with connect(f"{server.replace('http', 'ws', 1)}/live?avatar={token}", additional_headers=headers, max_size=None) as live:
        live.send(json.dumps({"type": "start", "options": {"size": 64, "visemes": True}}))
        live.send(json.dumps({"type": "say", "text": text}))
        names: list[str] = []
        said = False
        for message in live:
            if isinstance(message, bytes):  # the video, which a 3-D avatar does without
                continue
            event = json.loads(message)
            if event["type"] in ("error", "say_failed"):
                sys.exit(str(event.get("error", event)))
            if event["type"] == "ready":
                names, frame_ms = event["visemes"]["arkit"], event["visemes"]["frame_ms"]
            elif event["type"] == "visemes":
                for at, frame in enumerate(event["frames"]):
                    yield 1000 * event["at_s"] + at * frame_ms, frame["oculus"], dict(zip(names, frame["arkit"], strict=True))
                if said and event["frames"][-1]["oculus"] == "sil":
                    live.send(json.dumps({"type": "close"}))
            said = said or event["type"] == "said"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("token")
    parser.add_argument("text")
    parser.add_argument("--server", default="http://127.0.0.1:8000")
    parser.add_argument("--key", default=os.environ.get("TALKING_HEAD_KEY", ""))
    asked = parser.parse_args()
    for at_ms, viseme, weights in frames(asked.server, asked.key, asked.token, asked.text):
        moved = " ".join(f"{name}={value:g}" for name, value in weights.items() if value)
        sys.stdout.write(f"{at_ms:7.0f} {viseme:<3} {moved}\n")


if __name__ == "__main__":
    main()
