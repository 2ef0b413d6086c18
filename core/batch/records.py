"""The record beside a finished video, by which a later run knows that it has nothing to do for it.

    talk.mp4  talk.mp4.job.json        {"format": 1, "job": digest, "bytes": ..., "sha256": ..., "info": {...}}

`job` is a digest of what the video is made of, the contents of its files, its text and its options, and of what makes it. `bytes` and
`sha256` are the video's: one that was replaced or cut off afterwards is not the one that was made. The record is written after the video is
whole and in its place.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.batch.job_list import BatchJob
from core.errors import disk_error

FORMAT = 1
MAX_BYTES = 2**20
"""Of a record; those written here have about 1000."""


def record_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.job.json")


def digest(job: BatchJob, made_by: Mapping[str, Any]) -> str:
    """Of all that decides what the video shows and says. made_by: as `JobRequests.made_by`. OSError for a file that cannot be read."""
    speech = job.speech
    parts = {
        "format": FORMAT,
        "made_by": dict(made_by),
        "speech": [_input_sha256(speech.recording)] if speech.recording is not None else [speech.text, speech.speed],
        "source": _input_sha256(job.source),
        "background": None if job.background is None else _input_sha256(job.background),
        "options": dict(job.options),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _input_sha256(path: Path) -> str:
    status = path.stat()
    return _known_sha256(path, status.st_mtime_ns, status.st_size)


@lru_cache(4096)
def _known_sha256(path: Path, changed_ns: int, size: int) -> str:
    """Of a file as it is now: many rows may have the same one."""
    return file_sha256(path)


def file_sha256(path: Path) -> str:
    """Raises OSError for what is no regular file as well: a pipe might never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is not a regular file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finished(output: Path, job_digest: str) -> dict[str, Any] | None:
    """What is known of the video where it is this very job's and lies there as it was made; None where it has to be made."""
    try:
        with record_path(output).open("rb") as file:
            record = json.loads(file.read(MAX_BYTES))
        known = record["format"] == FORMAT and record["job"] == job_digest and record["bytes"] == output.stat().st_size
        if not known or record["sha256"] != file_sha256(output):
            return None
        return dict(record["info"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # none, or not one of ours
        return None


def write_record(output: Path, job_digest: str, info: dict[str, Any]) -> None:
    """Raises OutputError."""
    path = record_path(output)
    part = path.with_name(f".{secrets.token_hex(8)}.job.json.part")
    try:
        record = {"format": FORMAT, "job": job_digest, "bytes": output.stat().st_size, "sha256": file_sha256(output), "info": info}
        part.write_text(json.dumps(record), "utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_error(error, f"{path} cannot be written", "Choose a place you may write to.") from error
