"""Avatars and registrations: finds them in memory or on the disk, or makes them with an engine, and opens sessions on them.

A registration is looked for in memory, then (of an avatar) on the disk, and made last. Photos that nobody registered stay in memory only.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from typing import Any

import cv2

from core.aux_models.upright import turned_pixels
from core.engines.base import Engine, Registration, Session
from core.errors import AvatarError, OptionError
from core.generation import Progress
from core.media.image import load_image
from core.media.jpeg import as_jpeg
from core.media.moving_picture import as_webp
from core.media.source import Clip, load_clip
from core.optimization.avatar_cache import AvatarStore, clean_name, new_avatar
from core.optimization.cache_folder import CacheFolder
from core.optimization.registration_memory import Key, RegistrationMemory
from core.optimization.resolution_optimization import cut_pixels, face_cut
from core.optimization.shared_avatars import SharedAvatars
from core.optimization.shared_folder import SharedFolder
from core.request import Avatar, Framing, is_video
from core.run_request import LoadedEngine, PreparedRun, RunRequest
from core.scheduler import Job, Scheduler
from core.settings import Settings
from core.stage_times import stage
from core.types import FPS, Frame, Photo, Source, Video
from core.zero_gpu import current_visitor

THUMBNAIL_PX = 256
MOVING_PX, MOVING_FRAMES, MOVING_STEP = 96, 14, 3
"""Of a thumbnail that moves: side, frames, and how many of the clip's are from one to the next."""


class Avatars:
    """Finds, makes and deletes avatars and registrations. Thread-safe. Every call names the owner, who sees own avatars only."""

    def __init__(self, settings: Settings, folder: CacheFolder, scheduler: Scheduler) -> None:
        self._settings, self._folder, self._scheduler = settings, folder, scheduler
        self.store = AvatarStore(folder, settings.avatars_bytes, settings.max_avatars)
        self.memory = RegistrationMemory(settings.registrations_bytes)
        self._counting = threading.Lock()
        self._hits = self._misses = 0
        self._saved_s = 0.0
        self._register_s: dict[str, float] = {}  # by engine: how long the latest registration took

    def check_new(self, name: str, consent: bool) -> None:
        """Raises OptionError for a name that is too long, or where a consent that is required was not declared."""
        clean_name(name)
        if self._settings.require_consent and not consent:
            raise OptionError(
                "The consent of the person shown was not declared.", "Declare it, or use another photo.", code="consent_missing"
            )

    def resolve_avatar(self, run_request: RunRequest) -> RunRequest:
        """The same request, with its avatar as it is registered now.

        Raises AvatarError, and OptionError where a consent that is required was not declared.
        """
        if not isinstance(run_request.source, Avatar):
            return run_request
        avatar = self.store.get(run_request.source.token, run_request.owner)
        if self._settings.require_consent and not avatar.consent:  # it was registered before that was required
            hint = "Register the photo again and declare it."
            raise OptionError("The consent of the person shown was not declared.", hint, code="consent_missing_avatar")
        return dataclasses.replace(run_request, source=avatar, framing=avatar.framing)

    def register(
        self,
        job: Job[Any],
        engine: Engine,
        source: Source,
        owner: str,
        name: str,
        framing: Framing,
        consent: bool,
    ) -> Avatar:
        """The avatar of a source, known to `engine`; where the owner has it already, that one, with a name or consent that is new."""
        token = self.store.token(owner, source.sha256, framing)
        key = _key(owner, engine, source, framing)
        with self.memory.locked(key, job.check), self.store.locked(token, job.check):
            avatar = self.store.find(token, owner)
            if avatar is None:
                self.store.check_room(owner)
                registration = self.memory.get(key) or self._made(job, engine, source, framing)
                self.memory.put(key, registration)
                first = _first_frame(source)
                avatar = new_avatar(
                    token,
                    owner,
                    name,
                    framing,
                    kind="video" if is_video(source) else "photo",
                    sha256=source.sha256,
                    width=first.shape[1],
                    height=first.shape[0],
                    consent=consent,
                    warnings=(*source.warnings, *registration.warnings),
                )
                kept = _png(first) if isinstance(source, Photo) else source.data
                moving = None if isinstance(source, Photo) else _moving_thumbnail(source, registration)
                return self.store.put(avatar, kept, _thumbnail(first, registration), engine, registration, moving)
        self.registration(job, engine, avatar, avatar.framing, owner)
        if name or (consent and not avatar.consent):
            return self.store.rename(avatar, name or avatar.name, consent)
        return self.store.get(token, owner)

    def open_session(self, job: Job[Any] | None, loaded: LoadedEngine) -> tuple[PreparedRun, Session]:
        """Registers the person with the engine, where that is not done yet, and opens a session on them. Raises as `registration`."""
        if job is not None:
            job.report(Progress("registering"))
        request, started_s = loaded.request, time.perf_counter()
        with stage("registration", 0):
            registration = self.registration(job, loaded.engine, request.source, request.framing, request.owner)
        register_ms = round((time.perf_counter() - started_s) * 1000, 1)
        current_visitor.set(request.owner)
        with self._scheduler.device_turn():
            session = loaded.engine.session(registration, request.controls, request.options)
        self.memory.trim()  # registrations grow with the sizes they are used at
        heard = self._clip(request.source) if request.options.keep_background else None
        return PreparedRun(loaded, registration, started_s, register_ms, heard), session

    def registration(self, job: Job[Any] | None, engine: Engine, source: Source | Avatar, framing: Framing, owner: str) -> Registration:
        """Made once while it stays in memory, or for an avatar on the disk. Raises FaceError, and AvatarError where the avatar is gone."""
        check = job.check if job is not None else lambda: None
        if isinstance(source, Avatar):
            source, framing = self.store.get(source.token, owner), source.framing
        key = _key(owner, engine, source, framing)
        with self.memory.locked(key, check):
            registration = self.memory.get(key)
            if isinstance(source, Avatar):
                self.store.mark_used(source)
            if registration is not None:
                self._count_hit(engine)
            else:
                if isinstance(source, Avatar):
                    registration = self._from_disk(job, engine, source, check)
                else:
                    registration = self._made(job, engine, source, framing)
                self.memory.put(key, registration, passing=not isinstance(source, Avatar))
        return registration

    def _from_disk(self, job: Job[Any] | None, engine: Engine, avatar: Avatar, check: Callable[[], None]) -> Registration:
        with self.store.using(avatar), self.store.locked(avatar.token, check):
            registration = self.store.restore(avatar, engine, lambda: self._source(avatar))
            if registration is not None:
                self._count_hit(engine)
                return registration
            registration = self._made(job, engine, self._source(avatar), avatar.framing)
            self.store.save(avatar, engine, registration)
            return registration

    def _made(self, job: Job[Any] | None, engine: Engine, source: Source, framing: Framing) -> Registration:
        """Registers in turns on the device, one for each frame of a video."""
        started = time.perf_counter()
        with ExitStack() as turn:
            turn.enter_context(self._scheduler.device_turn())

            def on_frame(done: int, total: int) -> None:
                turn.close()
                if job is not None:
                    job.report(Progress("registering", done, total))
                turn.enter_context(self._scheduler.device_turn())

            registration = engine.register(source, framing, on_frame)
        with self._counting:
            self._misses += 1
            self._register_s[engine.name] = time.perf_counter() - started
        return registration

    def _count_hit(self, engine: Engine) -> None:
        with self._counting:
            self._hits += 1
            self._saved_s += self._register_s.get(engine.name, 0.0)

    def _source(self, avatar: Avatar) -> Source:
        """The stored source of an avatar, decoded."""
        data = self.store.source(avatar)
        if avatar.kind == "video":
            return load_clip(data, "The video of this avatar", self._settings)
        return dataclasses.replace(load_image(data, self._settings), sha256=avatar.sha256, warnings=avatar.warnings)

    def _clip(self, source: Source | Avatar) -> Clip | None:
        source = self._source(source) if isinstance(source, Avatar) else source
        return source if isinstance(source, Clip) else None

    def thumbnail(self, token: str, owner: str) -> bytes:
        """JPEG, 256 pixels square at most."""
        avatar = self.store.get(token, owner)
        kept = self.store.thumbnail(avatar)
        if kept is None:
            source = self._source(avatar)
            kept = as_jpeg(_small(_first_frame(source)))
            self.store.put_thumbnail(avatar, kept)
        return kept

    def moving_thumbnail(self, token: str, owner: str) -> bytes | None:
        """Animated WebP, MOVING_PX square; None of a photo."""
        return self.store.moving_thumbnail(self.store.get(token, owner))

    def delete(self, token: str, owner: str) -> Avatar:
        """Removes it from memory and disk, and tells what it was."""
        avatar = self.store.get(token, owner)
        self.store.delete(avatar)
        self.memory.drop(lambda key: key[0] == owner and key[3] == avatar.sha256)
        return avatar

    def share(self, folder: SharedFolder, key: bytes, gone: Callable[[str, str], object]) -> None:
        """Several machines have the avatars together. gone: told of one that another deleted, the digest of its owner and the SHA-256 of
        its source.
        """
        self._folder.use_key(key)

        def forget(owner_name: str, sha256: str) -> None:
            self.memory.drop(lambda key: key[3] == sha256)
            gone(owner_name, sha256)

        self.store.shared = SharedAvatars(folder, self._folder, forget)

    def clear(self, owner: str | None) -> int:
        """Removes everything of one owner, or (None) of all. Bytes freed on the disk."""
        freed = self.store.clear(owner)
        self.memory.drop(lambda key: owner is None or key[0] == owner)
        return freed

    def in_memory(self) -> list[str]:
        """Tokens of the avatars whose registration is in memory."""
        return sorted({self.store.token(owner, sha256, framing) for owner, _, _, sha256, framing in self.memory.kept()})

    def stats(self) -> dict[str, object]:
        """hits: registrations found in memory or on the disk, misses: those made, by this process. time_saved_s: at least so much."""
        with self._counting:
            counts = {"hits": self._hits, "misses": self._misses, "time_saved_s": round(self._saved_s, 3)}
        return {**counts, "memory": self.memory.stats(), "disk": self.store.stats()}


def _key(owner: str, engine: Engine, source: Source | Avatar, framing: Framing) -> Key:
    return owner, engine.name, engine.revision, source.sha256, framing


def _first_frame(source: Source) -> Frame:
    return source.pixels if isinstance(source, Photo) else next(iter(source.frames()))


def _png(pixels: Frame) -> bytes:
    """Lossless and quick; nothing of the file it came from is in it but the pixels."""
    done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise AvatarError("The photo cannot be kept.", "Save it as PNG and try again.")
    return bytes(data)


def _thumbnail(pixels: Frame, registration: Registration) -> bytes:
    """The face and what is around it."""
    return as_jpeg(_around_face(pixels, registration, THUMBNAIL_PX))


def _moving_thumbnail(source: Video, registration: Registration) -> bytes:
    """The beginning of a clip."""
    frames = islice(source.frames(), 0, MOVING_FRAMES * MOVING_STEP, MOVING_STEP)
    return as_webp([_around_face(frame, registration, MOVING_PX) for frame in frames], FPS / MOVING_STEP)


def _around_face(pixels: Frame, registration: Registration, side: int) -> Frame:
    pixels = turned_pixels(pixels, registration.quarters)
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = registration.face_box
    return cut_pixels(pixels, face_cut(width, height, (x0 * width, y0 * height, x1 * width, y1 * height)), side, side)


def _small(pixels: Frame) -> Frame:
    scale = min(1.0, THUMBNAIL_PX / max(pixels.shape[:2]))
    small: Frame = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small
