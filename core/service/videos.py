"""The videos a visitor made, as long as they are kept: a note beside each video, and an index of them by owner.

The notes outlive the process; the index is read from them once. A video that the sweeper removed is no longer listed.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.service.outputs import VIDEO_NAME, OutputFolder
from core.types import Generation

NOTE_NAME = "about.json"
MAX_PER_OWNER = 50


@dataclass(frozen=True)
class Result:
    """One finished video. made_s: Unix time. info: `GenerationInfo.to_dict()`."""

    path: Path
    owner: str
    made_s: float
    info: dict[str, Any]


class History:
    """Thread-safe."""

    def __init__(self, outputs: OutputFolder) -> None:
        self._outputs = outputs
        self._lock = threading.Lock()
        self._results: dict[str, list[Result]] | None = None

    def add(self, generation: Generation, owner: str) -> Result:
        """Notes a video (from `OutputFolder.new_video`) as the owner's; their oldest goes where they have too many."""
        result = Result(generation.path, owner, time.time(), generation.info.to_dict())
        note = {key: value for key, value in asdict(result).items() if key != "path"}
        with self._lock:
            results = self._index()[owner]
            _note(result.path).write_text(json.dumps(note), encoding="utf-8")
            results.append(result)
            surplus = results[:-MAX_PER_OWNER]
            del results[:-MAX_PER_OWNER]
        for old in surplus:
            self._outputs.discard(old.path)
        return result

    def of(self, owner: str) -> list[Result]:
        """The owner's videos that are still there, the newest first."""
        with self._lock:
            index = self._index()
            here = [result for result in index.get(owner, []) if result.path.is_file()]
            if here:
                index[owner] = here
            else:
                index.pop(owner, None)
        return here[::-1]

    def forget(self, owner: str, avatar: str | None = None) -> int:
        """Removes the owner's videos (`avatar`: those made with it); returns the freed bytes."""
        with self._lock:
            self._results = None  # read the notes anew: another process that shares the folder may have made more
        doomed = [result for result in self.of(owner) if avatar is None or result.info.get("avatar") == avatar]
        freed = 0
        for result in doomed:
            freed += result.path.stat().st_size if result.path.is_file() else 0
            self._outputs.discard(result.path)
        return freed

    def _index(self) -> dict[str, list[Result]]:
        if self._results is None:
            self._results = defaultdict(list)
            found = [result for video in self._outputs.root.glob(f"*/{VIDEO_NAME}") if (result := _read(video)) is not None]
            for result in sorted(found, key=lambda result: result.made_s):
                self._results[result.owner].append(result)
        return self._results


def _note(video: Path) -> Path:
    return video.with_name(NOTE_NAME)


def _read(video: Path) -> Result | None:
    try:
        note = json.loads(_note(video).read_text(encoding="utf-8"))
        return Result(video, str(note["owner"]), float(note["made_s"]), dict(note["info"]))
    except (OSError, ValueError, KeyError, TypeError):  # never finished, or not ours
        return None
