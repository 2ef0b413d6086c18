"""Answers a request with a video that was made before, where every input is the same."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from core.engine_selection import LoadedEngine, RunRequest
from core.errors import OutputError
from core.optimization.avatar_cache import AvatarStore
from core.optimization.cache_folder import CacheFolder
from core.optimization.inference_cache import InferenceCache
from core.provenance.disclosure import disclosure
from core.settings import Settings
from core.types import Audio, Avatar, Generation, is_video

log = logging.getLogger(__name__)


SHARED_OWNER = "examples"
"""Owner of the videos of shared inputs."""


class ResultKey(NamedTuple):
    """Names one kept video."""

    owner: str
    digest: str


class ResultReuse:
    """signature: tells apart what differently configured signers sign. keeping: False: nothing is looked up or kept."""

    def __init__(self, settings: Settings, folder: CacheFolder, avatars: AvatarStore, signature: str, keeping: bool) -> None:
        self._settings, self._avatars, self._signature, self.keeping = settings, avatars, signature, keeping
        self._cache = InferenceCache(folder, settings.results_bytes, settings.results_ttl_s, settings.share_caches)
        self._shared: frozenset[tuple[str, str]] = frozenset()

    def share(self, inputs: Iterable[tuple[str, str]]) -> None:
        """inputs: SHA-256 of photo and recording whose videos are nobody's own: whoever makes one makes it for all owners."""
        self._shared |= frozenset(inputs)

    def key(self, audio: Audio, loaded: LoadedEngine) -> ResultKey | None:
        """The key of the video that the request would give; None where videos are not kept.

        An avatar counts as what it was made of: the same photo, handed in again, is the same request.
        """
        if not self.keeping:
            return None
        run_request = loaded.request
        kind: Literal["video", "photo"] = "video" if is_video(run_request.source) else "photo"
        settings, engine = self._settings, loaded.engine
        parts = {
            "source": [kind, run_request.source.sha256, run_request.framing],
            "audio": [audio.original, audio.samples],
            "controls": run_request.controls,
            "options": run_request.options,
            "said": [disclosure(engine.name, engine.revision, kind, run_request.options.label, datetime.date.min), self._signature],
            "limits": [settings.max_video_s, settings.max_video_store_bytes] if kind == "video" else [],
        }
        try:
            source = run_request.source.sha256
            shared = self._shared and (source, hashlib.sha256(audio.original).hexdigest()) in self._shared
            owner = SHARED_OWNER if shared else run_request.owner
            digest = self._cache.key(owner, parts)
        except OutputError as error:
            log.warning("finished videos are not kept: %s", error)
            return None
        return None if digest is None else ResultKey(owner, digest)

    def locked(self, key: ResultKey | None, check: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
        """A lock to be held while a video is made, so that an identical request waits and then finds it."""
        return contextlib.nullcontext() if key is None else self._cache.locked(key.digest, check)

    def find(self, key: ResultKey | None, loaded: LoadedEngine, output: Path) -> Generation | None:
        """The kept video, put at `output`. Raises OutputError."""
        run_request, started = loaded.request, time.perf_counter()
        known = self._cache.find(*key, output) if key is not None else None
        if known is None:
            return None
        wall_s = time.perf_counter() - started
        info = dataclasses.replace(
            known,
            engine_reason=loaded.reason,
            wall_s=round(wall_s, 4),
            rtf=round(wall_s / known.audio_s, 4) if known.audio_s else 0.0,
            first_frame_ms=round(wall_s * 1000, 1),
            register_ms=0.0,
            load_ms=loaded.load_ms,
            cache_hit=True,
            avatar=run_request.source.token if isinstance(run_request.source, Avatar) else None,
        )
        return Generation(output, info)

    def keep(self, key: ResultKey | None, loaded: LoadedEngine, generation: Generation) -> None:
        """Keeps a finished video, unless the avatar in it was deleted meanwhile."""
        run_request = loaded.request
        if key is None or self._was_deleted(run_request):
            return
        self._cache.put(*key, generation.path, generation.info, run_request.source.sha256)
        if self._was_deleted(run_request):
            self.forget(key.owner, run_request.source.sha256)

    def _was_deleted(self, run_request: RunRequest) -> bool:
        source = run_request.source
        return isinstance(source, Avatar) and self._avatars.find(source.token, run_request.owner) is None

    def forget(self, owner: str, source_sha256: str) -> int:
        """Removes the videos of a person. Bytes freed."""
        return self._cache.forget(owner, source_sha256)

    def clear(self, owner: str | None) -> int:
        return self._cache.clear(owner)

    def stats(self) -> dict[str, float]:
        return self._cache.stats()
