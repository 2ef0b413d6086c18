"""Answers a request with a video that was made before, where every input is the same."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from core.errors import BusyError, OutputError
from core.generation import Generation
from core.media.video import check_writable
from core.optimization.avatar_cache import AvatarStore
from core.optimization.cache_folder import CacheFolder
from core.optimization.inference_cache import InferenceCache
from core.request import Avatar, RenderOptions, is_video
from core.run_request import LoadedEngine, RunRequest
from core.settings import Settings
from core.types import Audio, Photo

log = logging.getLogger(__name__)


SHARED_OWNER = "examples"
"""Owner of the videos of shared inputs."""


class ResultKey(NamedTuple):
    """Names one kept video."""

    owner: str
    digest: str


@dataclasses.dataclass
class ResultSlot:
    """generation: the video that was made before, or the one that was made now; None while there is none."""

    generation: Generation | None = None


class ResultReuse:
    """signature: tells apart what differently configured signers sign. keeping: False: nothing is looked up or kept."""

    def __init__(self, settings: Settings, folder: CacheFolder, avatars: AvatarStore, signature: str, keeping: bool) -> None:
        self._settings, self._avatars, self._signature, self.keeping = settings, avatars, signature, keeping
        self._cache = InferenceCache(folder, settings.results_bytes, settings.results_ttl_s, settings.share_caches)
        self._shared: frozenset[tuple[str, str]] = frozenset()

    def share(self, inputs: Iterable[tuple[str, str]]) -> None:
        """inputs: SHA-256 of photo and recording whose videos are nobody's own: whoever makes one makes it for all owners."""
        self._shared |= frozenset(inputs)

    def lookup(self, loaded: LoadedEngine | None, audio: Audio, output: Path) -> Generation | None:
        """The kept video of the request, put at `output`. None where there is none, or its engine is not loaded. Raises OutputError."""
        check_writable(output)
        return None if loaded is None else self._find(self._key(loaded, audio), loaded, output)

    @contextlib.contextmanager
    def reserved(self, loaded: LoadedEngine, audio: Audio, output: Path, check: Callable[[], None]) -> Iterator[ResultSlot]:
        """The slot of the request's video. It is this caller's while the video is made: an identical request waits and then finds it.

        A video put into an empty slot is kept, unless the avatar in it was deleted meanwhile. check: called while waiting; may raise.
        Raises OutputError.
        """
        key = self._key(loaded, audio)
        with contextlib.nullcontext() if key is None else self._cache.locked(key.digest, check):
            slot = ResultSlot(self._find(key, loaded, output))
            found = slot.generation is not None
            yield slot
            if key is not None and slot.generation is not None and not found:
                self._keep(key, loaded.request, slot.generation)

    def _key(self, loaded: LoadedEngine, audio: Audio) -> ResultKey | None:
        """The key of the video that the request would give; None where videos are not kept.

        An avatar counts as what it was made of: the same photo, handed in again, is the same request.
        """
        if not self.keeping:
            return None
        run_request, settings = loaded.request, self._settings
        moving, source = is_video(run_request.source), run_request.source.sha256
        parts = {
            "source": ["video" if moving else "photo", source, run_request.framing],
            "audio": [audio.original, audio.samples, audio.words if run_request.options.burn_captions else (), audio.phones],
            "warnings": audio.warnings,  # they are in what is told of the video; a transcript adds some that the sound alone does not
            "controls": run_request.controls,
            "options": _comparable(run_request.options),
            "said": [loaded.disclosure, loaded.marker.fingerprint, self._signature],
            "limits": [settings.max_video_s, settings.max_video_store_bytes] if moving else [],
        }
        try:
            own = isinstance(run_request.options.background, Photo)  # a visitor's picture is nobody else's
            shared = self._shared and not own and (source, hashlib.sha256(audio.original).hexdigest()) in self._shared
            owner = SHARED_OWNER if shared else run_request.owner
            digest = self._cache.key(owner, parts)
        except OutputError as error:
            log.warning("finished videos are not kept: %s", error)
            return None
        return None if digest is None else ResultKey(owner, digest)

    def _find(self, key: ResultKey | None, loaded: LoadedEngine, output: Path) -> Generation | None:
        """The kept video, put at `output`."""
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

    def _keep(self, key: ResultKey, run_request: RunRequest, generation: Generation) -> None:
        if self._was_deleted(run_request):
            return
        self._cache.put(*key, generation.path, generation.info, run_request.source.sha256)
        if self._was_deleted(run_request):
            self.forget(key.owner, run_request.source.sha256)

    def _was_deleted(self, run_request: RunRequest) -> bool:
        source = run_request.source
        try:
            return isinstance(source, Avatar) and self._avatars.find(source.token, run_request.owner) is None
        except BusyError:  # it cannot be told now
            return True

    def forget(self, owner: str, source_sha256: str) -> int:
        """Removes the videos of a person. Bytes freed."""
        return self._cache.forget(owner, source_sha256)

    def forget_of(self, owner_name: str, source_sha256: str) -> int:
        """As `forget`, of an owner who is known by the name of their folder alone."""
        return self._cache.forget_of(owner_name, source_sha256)

    def clear(self, owner: str | None) -> int:
        return self._cache.clear(owner)

    def stats(self) -> dict[str, float]:
        return self._cache.stats()


def _comparable(options: RenderOptions) -> RenderOptions:
    """A picture in the background counts as its content's digest, which no other value of the option can be. What is told beside a video
    does not count.
    """
    options, background = dataclasses.replace(options, visemes=False), options.background
    return dataclasses.replace(options, background=f"picture {background.sha256}") if isinstance(background, Photo) else options
