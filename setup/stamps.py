"""Says which parts of an environment are not installed, or stamps parts as installed: `stamps.py missing|write STATE_FOLDER PART ...`

A part is installed when its stamp equals the hash of its requirement files and of the Python it is for; that Python runs this in the
project's folder.
"""

from __future__ import annotations

import hashlib
import pathlib
import platform
import sys

FILES = {
    "lite": ("requirements-lite.txt",),
    "libraries": ("requirements-lite.txt",),
    "full": ("requirements-lite.txt", "requirements.txt"),
    "gpu": ("requirements-lite.txt", "requirements-gpu.txt"),
    "tensorrt": ("requirements-tensorrt.txt",),
    "speech": ("requirements-speech.txt",),
    "dev": ("requirements-dev.txt", "requirements-speech.txt"),
    "livekit": ("requirements-livekit.txt",),
    "webrtc": ("requirements-webrtc.txt",),
    "pipecat": ("requirements-pipecat.txt",),
    "train": ("requirements-train.txt",),
    "cluster": ("requirements-cluster.txt",),
    "ray": ("requirements-ray.txt",),
    "moto": ("requirements-test-s3.txt",),
    "japanese": ("requirements-japanese.txt",),
}


def stamp(part: str) -> str:
    python = "{}.{} {} {}".format(*sys.version_info[:2], platform.system(), platform.machine())
    digest = hashlib.sha256(python.encode())
    for name in FILES[part]:
        digest.update(name.encode() + b"\0" + pathlib.Path(name).read_bytes() + b"\0")
    return digest.hexdigest()


def main(mode: str, state: str, *parts: str) -> None:
    for part in parts:
        path = pathlib.Path(state) / part
        if mode == "write":
            path.write_text(stamp(part))
        elif not path.is_file() or path.read_text() != stamp(part):
            sys.stdout.write(f"{part}\n")


main(*sys.argv[1:])
