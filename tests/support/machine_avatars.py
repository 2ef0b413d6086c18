"""Avatars of one process of one of several machines that share them through a bucket."""

from __future__ import annotations

import json
from pathlib import Path

from core.optimization.cache_folder import CacheFolder
from core.optimization.shared_avatars import SharedAvatars
from core.optimization.shared_folder import SharedFolder

OWNER = "0" * 40


class MachineAvatars:
    """gone: what it was told of those that another machine deleted. nbytes: of each one's photo."""

    def __init__(self, folder: Path, bucket: SharedFolder, nbytes: int) -> None:
        self.cache, self.gone, self._nbytes = CacheFolder(folder), list[tuple[str, str]](), nbytes
        self.cache.make_subfolder("avatars")
        self.shared = SharedAvatars(bucket, self.cache, lambda owner, sha256: self.gone.append((owner, sha256)))

    def entry(self, n: int) -> Path:
        return self.cache.subfolder("avatars") / OWNER / f"{n:040x}"

    def make(self, n: int) -> Path:
        entry = self.entry(n)
        entry.mkdir(parents=True)
        (entry / "avatar.json").write_text(json.dumps({"sha256": f"photo {n}"}))
        (entry / "source").write_bytes(bytes(self._nbytes))
        self.shared.push(entry)
        return entry
