"""What can be said of a photo before anything is made of it: small pictures of its faces to choose from, and what is wrong with each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from core.errors import FaceError, TalkingHeadError
from core.hand_landmarks import HandLandmarks
from core.picture_options import Crop
from core.service.clip_stills import LOOKED_AT, STEP, still_path
from core.service.decoded_photos import DecodedPhotos
from core.service.errors import without_folders
from core.service.outputs import OutputFolder
from core.service.requests import Requests
from core.service.threads import on_thread
from core.studio import Studio
from core.types import Photo, Video

AT_ONCE = 2
"""Photos that are decoded and looked at at the same time; those that wait hold nothing."""
MAX_WAITING = 200
"""Visitors that wait; further ones are shown no faces."""
LOOK_S = 4.0
"""How long a face is looked for in a video: frames may be large, and others wait for the place."""
_UNSEEN = ("HEIF",)
"""What browsers do not show."""


@dataclass(frozen=True)
class SeenFace:
    """cut: what a video of it would show, JPEG. warnings: as in Photo. error: why it cannot be animated. place, kept, parts: as in
    `core.lite.face_preview.FacePreview`.
    """

    cut: bytes
    warnings: tuple[str, ...]
    error: FaceError | None
    place: Crop
    kept: Crop
    parts: Mapping[str, Crop]


@dataclass(frozen=True)
class PhotoPreview:
    """faces: the largest first. error: why the photo cannot be used at all. shown: the same photo as a JPEG file, where browsers do not
    show it as it came; of a video the frame whose faces these are. photo: it is one, in which a face can be marked by hand.
    """

    faces: tuple[SeenFace, ...] = ()
    error: TalkingHeadError | None = None
    shown: Path | None = None
    photo: bool = False


@dataclass(frozen=True, eq=False)
class _Preview:
    asked: tuple[Path, HandLandmarks | None]
    task: asyncio.Task[PhotoPreview]


class FacePreviews:
    """photos: where a decoded photo is put for the request that follows. Used on one event loop at a time."""

    def __init__(self, studio: Studio, requests: Requests, outputs: OutputFolder, photos: DecodedPhotos) -> None:
        self._studio, self._requests, self._outputs, self._photos = studio, requests, outputs, photos
        self._places = asyncio.Semaphore(AT_ONCE)
        self._newest: dict[str, _Preview] = {}

    async def of(self, path: Path, owner: str, landmarks: HandLandmarks | None = None) -> PhotoPreview | None:
        """Of a photo that the owner chose; nothing is in it where too many wait. landmarks: verified; the face in it that is meant.

        None where the owner asked for another photo's meanwhile: the newest replaces the one before. Who asks again is told the same.
        """
        preview, asked = self._newest.get(owner), (path, landmarks)
        if preview is None or preview.asked != asked:
            if preview is not None:
                preview.task.cancel()
            elif len(self._newest) >= MAX_WAITING:
                return PhotoPreview()
            preview = self._newest[owner] = _Preview(asked, asyncio.create_task(self._made(path, owner, landmarks)))
            preview.task.add_done_callback(lambda task: self._forget(owner, task))
        try:
            return await asyncio.shield(preview.task)
        except asyncio.CancelledError:
            asking = asyncio.current_task()
            if asking is not None and asking.cancelling():
                raise
            return None

    async def of_background(self, path: Path, owner: str) -> PhotoPreview:
        """Of a picture for behind a person, in which no face is looked for."""
        async with self._places:
            try:
                with self._outputs.using(path):
                    picture = await self._requests.picture(path, owner, kept=True)
                    return PhotoPreview(shown=await on_thread(self._visible, path, picture, owner))
            except TalkingHeadError as error:
                return PhotoPreview(error=without_folders(error, path))

    def _forget(self, owner: str, task: asyncio.Task[PhotoPreview]) -> None:
        if self._newest[owner].task is task:
            del self._newest[owner]

    async def _made(self, path: Path, owner: str, landmarks: HandLandmarks | None) -> PhotoPreview:
        async with self._places:
            try:
                with self._outputs.using(path):
                    photo = await self._requests.source(path, owner) if path.is_file() else None
                    if photo is None:
                        return PhotoPreview()
                    if not isinstance(photo, Photo):
                        return await on_thread(self._looked_into, path, photo)
                    self._photos.keep(owner, photo)
                    return await on_thread(self._looked_at, path, photo, owner, landmarks)
            except TalkingHeadError as error:
                return PhotoPreview(error=without_folders(error, path))

    def _looked_at(self, path: Path, photo: Photo, owner: str, landmarks: HandLandmarks | None) -> PhotoPreview:
        from core.engines.lite import LiteEngine  # imported when first needed: the page must answer before they are loaded
        from core.media.jpeg import as_jpeg

        shown = self._visible(path, photo, owner)
        engine = self._studio.engine("lite")
        if not isinstance(engine, LiteEngine):
            return PhotoPreview(shown=shown)
        try:
            with self._studio.scheduler.device_turn():
                found = engine.faces(photo, landmarks=landmarks)
        except FaceError as error:
            return PhotoPreview(error=error, shown=shown, photo=True)
        faces = (SeenFace(as_jpeg(face.cut), face.warnings, face.error, face.place, face.kept, face.parts) for face in found)
        return PhotoPreview(tuple(faces), None, shown, photo=True)

    def _looked_into(self, path: Path, video: Video) -> PhotoPreview:
        """Of the first frame that has a face, or of the very first where none is seen within LOOK_S."""
        from core.engines.lite import LiteEngine
        from core.media.jpeg import as_jpeg

        engine, shown = self._studio.engine("lite"), None
        until_s = time.monotonic() + LOOK_S
        seen: tuple[SeenFace, ...] = ()
        for frame in islice(video.frames(), 0, LOOKED_AT * STEP, STEP):
            if shown is not None and time.monotonic() > until_s:
                break
            shown = frame if shown is None else shown
            try:
                with self._studio.scheduler.device_turn():
                    found = engine.faces(Photo(frame, video.sha256), of_video=True) if isinstance(engine, LiteEngine) else []
            except FaceError:
                continue  # a video is good as long as any frame is
            cards = (SeenFace(as_jpeg(face.cut), face.warnings, None, face.place, face.kept, face.parts) for face in found)
            shown, seen = frame, tuple(cards)
            break
        if shown is None:
            return PhotoPreview()
        return PhotoPreview(seen, None, self._outputs.put_beside(path, still_path(path).name, as_jpeg(shown, quality=92)))

    def _visible(self, path: Path, photo: Photo, owner: str) -> Path | None:
        """The same picture for the browser; None where the file itself can be shown."""
        from core.media.jpeg import as_jpeg
        from core.media.sniff import HEAD_BYTES, identify

        with path.open("rb") as file:
            unseen = identify(file.read(HEAD_BYTES)).decoder in _UNSEEN
        return self._outputs.new_upload(f"{path.stem}.jpg", as_jpeg(photo.pixels, quality=95), owner) if unseen else None
