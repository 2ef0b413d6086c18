#!/usr/bin/env python3
"""Makes a video through the REST API: registers the photo, starts a job, is told the moment it is done, fetches it.

    python examples/client_rest.py speech.wav photo.jpg video.mp4 --server http://127.0.0.1:8000 --key KEY
    python examples/client_rest.py photo.jpg video.mp4 --text "Hello, I am Ada." --voice af_heart

Needs httpx and websockets.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect


def checked(answer: httpx.Response) -> httpx.Response:
    """Ends the program with the server's words where it refused."""
    if answer.is_error:
        answer.read()
        try:
            error = answer.json()["error"]
        except (ValueError, KeyError):
            sys.exit(f"{answer.status_code} {answer.reason_phrase}")
        sys.exit(f"{error['message']} {error['hint']}".strip())
    return answer


def make_video(server: str, key: str, speech: dict[str, Any], image: Path, output: Path, options: str) -> dict[str, object]:
    """speech: parts of the form, a recording or a text and its voice. Returns what the server tells about the video: engine, frames, …"""
    headers = {"X-API-Key": key} if key else {}
    with httpx.Client(base_url=server, headers=headers, timeout=120) as client:
        with image.open("rb") as photo:
            avatar = checked(client.post("/avatars", files={"image": photo})).json()
        form = {"avatar": (None, avatar["token"]), "options": (None, options), **speech}
        job = checked(client.post("/generate?async=1", files=form)).json()

        with connect(f"{server.replace('http', 'ws', 1)}/jobs/{job['id']}/events", additional_headers=headers) as events:
            for message in events:
                job = json.loads(message)
                sys.stderr.write(f"\r{job['stage']}: {job['progress']:.0%} at {job['fps']:g} frames/s ")
        sys.stderr.write("\n")
        if job["state"] != "done":
            sys.exit(job["error"]["message"] if job["error"] else f"The job was {job['state']}.")

        with client.stream("GET", job["result"]) as answer, output.open("wb") as file:
            for piece in checked(answer).iter_bytes():
                file.write(piece)
        checked(client.delete(f"/jobs/{job['id']}"))
    info: dict[str, object] = job["info"]
    return info


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes a video through the REST API.")
    parser.add_argument("audio", type=Path, nargs="?", help="left out with --text")
    parser.add_argument("image", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--server", default="http://127.0.0.1:8000", type=lambda address: address.rstrip("/"))
    parser.add_argument("--key", default=os.environ.get("TALKING_HEAD_KEY", ""), help="default: $TALKING_HEAD_KEY")
    parser.add_argument("--options", default="{}", help='by name, as JSON: {"size": 512, "seed": 7}')
    parser.add_argument("--text", help="what is said, instead of a recording")
    parser.add_argument("--voice", default="", help="of the text, as GET /voices tells it (default: the server's)")
    given = parser.parse_args()
    if (given.audio is None) == (given.text is None):
        parser.error("give a recording, or --text")
    if given.text is None:
        speech = {"audio": given.audio.read_bytes()}
    else:
        speech = {"text": (None, given.text), "voice": (None, given.voice)}
    info = make_video(given.server, given.key, speech, given.image, given.output, given.options)
    sys.stdout.write(f"{given.output}: {info['frames']} frames by {info['engine']} in {info['wall_s']} s\n")


if __name__ == "__main__":
    main()
