"""Writes clips into safetensors files, a few for each video, and reads stretches of them again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from training.data.clip import SHAPES, ClipArrays
from training.data.clips import MadeClip
from training.data.manifest import SHARDS, ClipEntry
from training.files import DataError, digest_of, write_arrays

MAX_SHARD_BYTES = 256 * 2**20
MAX_OPEN = 64
"""Shards that a reader keeps open (mapped, not in memory)."""


class ShardWriter:
    """Collects the clips of one video and writes them, shard by shard. `close` writes the last one; without it nothing of it is left."""

    def __init__(self, folder: Path, sha256: str) -> None:
        self._folder, self._name = folder, sha256[:16]
        self._waiting: dict[str, NDArray[Any]] = {}
        self._bytes = self._clips = 0
        self.entries: list[ClipEntry] = []
        self.shards: dict[str, str] = {}

    def add(self, made: MadeClip, start_s: float) -> None:
        arrays = {f"{self._clips:05d}.{name}": array for name, array in made.arrays.named().items()}
        size = sum(array.nbytes for array in arrays.values())
        if self._waiting and self._bytes + size > MAX_SHARD_BYTES:
            self.close()
        self.entries.append(ClipEntry(shard=self._shard(), key=f"{self._clips:05d}", frames=len(made.arrays), start_s=start_s))
        self._waiting |= arrays
        self._bytes += size
        self._clips += 1

    def close(self) -> None:
        if self._waiting:
            path = self._folder / SHARDS / self._shard()
            write_arrays(path, self._waiting)
            self.shards[path.name] = digest_of(path)
            self._waiting, self._bytes = {}, 0

    def _shard(self) -> str:
        return f"{self._name}-{len(self.shards):03d}.safetensors"


class ShardReader:
    """Reads stretches of clips. Not thread-safe; each process has its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: OrderedDict[str, Any] = OrderedDict()

    def stretch(self, clip: ClipEntry, first: int, end: int, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
        """Frames first .. end - 1 of these arrays (names of `SHAPES`), and `sc`. Raises DataError for a damaged shard."""
        path = self._folder / SHARDS / clip.shard
        try:
            shard = self._shard(clip.shard, path)
            found = {name: shard.get_slice(f"{clip.key}.{name}")[first:end] for name in names}
            found["sc"] = shard.get_tensor(f"{clip.key}.sc")
        except (OSError, SafetensorError) as error:
            raise DataError(f"The shard {path} is damaged or cut off ({error}).", "Run python -m training.prepare again.") from error
        check_stretch(path, found, end - first)
        return found

    def whole(self, clip: ClipEntry) -> ClipArrays:
        found = self.stretch(clip, 0, clip.frames, tuple(SHAPES))
        return ClipArrays(**found)

    def _shard(self, name: str, path: Path) -> Any:
        if name not in self._open:
            self._open[name] = safe_open(path, "np")
        self._open.move_to_end(name)
        while len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        return self._open[name]


def check_stretch(path: Path, found: Mapping[str, NDArray[Any]], frames: int) -> None:
    for name, array in found.items():
        wanted = (63,) if name == "sc" else (frames, *SHAPES[name])
        if array.shape != wanted or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise DataError(
                f"The shard {path} holds {name} as {array.dtype} {array.shape}, not floats {wanted}, or values that are no numbers.",
                "Run python -m training.prepare again.",
            )
