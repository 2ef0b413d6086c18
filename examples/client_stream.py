#!/usr/bin/env python3
"""Plays a video while it is made: POST /stream, to a file or into a player.

    python examples/client_stream.py speech.wav photo.jpg video.mp4 --key KEY
    python examples/client_stream.py speech.wav photo.jpg - --key KEY | ffplay -

Needs httpx.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

import httpx


def stream(server: str, key: str, audio: Path, image: Path, output: BinaryIO, options: str) -> tuple[float, int]:
    """Seconds until the first picture was there, and the bytes of the video. Ends the program with the server's words where it refuses."""
    headers = {"X-API-Key": key} if key else {}
    began, first_s, n_bytes = time.perf_counter(), 0.0, 0
    with httpx.Client(base_url=server, headers=headers, timeout=120) as client, audio.open("rb") as speech, image.open("rb") as photo:
        files = {"audio": speech, "image": photo}
        with client.stream("POST", "/stream", files=files, data={"options": options}) as answer:
            if answer.is_error:
                answer.read()
                sys.exit(answer.json()["error"]["message"])
            for n, piece in enumerate(answer.iter_raw()):
                if n == 1:  # the first piece says what comes, the second shows it
                    first_s = time.perf_counter() - began
                output.write(piece)
                output.flush()
                n_bytes += len(piece)
    return first_s, n_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description="Plays a video while it is made.")
    parser.add_argument("audio", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("output", help="a file, or - for standard output")
    parser.add_argument("--server", default="http://127.0.0.1:8000", type=lambda address: address.rstrip("/"))
    parser.add_argument("--key", default=os.environ.get("TALKING_HEAD_KEY", ""), help="default: $TALKING_HEAD_KEY")
    parser.add_argument("--options", default="{}", help='by name, as JSON: {"size": 512, "seed": 7}')
    given = parser.parse_args()
    try:
        with sys.stdout.buffer if given.output == "-" else Path(given.output).open("wb") as output:
            first_s, n_bytes = stream(given.server, given.key, given.audio, given.image, output, given.options)
    except httpx.RemoteProtocolError:
        sys.exit("The video broke off: the server could not finish it.")
    sys.stderr.write(f"first picture after {1000 * first_s:.0f} ms, {n_bytes} bytes\n")


if __name__ == "__main__":
    main()
