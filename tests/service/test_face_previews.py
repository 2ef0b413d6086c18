"""Faces of chosen photos: what they hold in memory is bounded, the newest photo of a visitor counts, and Generate decodes nothing again."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from core.service import face_previews
from core.service import requests as requests_module
from core.service.decoded_photos import KEPT_S, DecodedPhotos
from core.service.face_previews import AT_ONCE, MAX_WAITING, PhotoPreview
from core.service.outputs import OutputFolder
from core.service.requests import VideoInputs
from core.service.service import Service
from core.settings import Settings
from core.studio import Studio
from core.types import Photo
from tests.support.clip_files import clip_file
from tests.support.paths import PORTRAIT, SPEECH

SIDE = 1200
PHOTO_BYTES = SIDE * SIDE * 3
CACHE_BYTES = 3 * PHOTO_BYTES


class Reading:
    """Stands where photos are decoded. decoded: names of files in their order; peak_bytes: of all photos that were there at one time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded: list[str] = []
        self.peak_bytes = 0
        self._photos: list[weakref.ref[Any]] = []
        real = requests_module.read_source

        def read(path: Path, settings: Settings) -> Any:
            photo = real(path, settings)
            self.decoded.append(path.name)
            self._photos.append(weakref.ref(photo.pixels))
            self.peak_bytes = max(self.peak_bytes, self.bytes())
            return photo

        monkeypatch.setattr(requests_module, "read_source", read)

    def bytes(self) -> int:
        return sum(pixels.nbytes for pixels in (each() for each in list(self._photos)) if pixels is not None)


@pytest.fixture
def service(studio: Studio, tmp_path: Path) -> Iterator[Service]:
    settings = Settings(output_dir=tmp_path / "out", cache_dir=tmp_path / "cache", previews_bytes=CACHE_BYTES, keep_results=False)
    outputs = OutputFolder(tmp_path / "out", 3600.0)
    outputs.prepare()
    service = Service(studio, outputs, settings)
    service.start()
    yield service
    service.close(0.0)


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    return Reading(monkeypatch)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of the same person, each another file."""
    folder, pixels = tmp_path_factory.mktemp("photos"), cv2.resize(cv2.imread(str(PORTRAIT)), (SIDE, SIDE))
    paths = []
    for n in range(24):
        pixels[0, 0] = n
        paths.append(folder / f"{n}.bmp")
        cv2.imwrite(str(paths[-1]), pixels)
    return paths


def test_many_previews_of_large_photos_hold_a_bounded_number(service: Service, reading: Reading, photos: list[Path]) -> None:
    async def all_at_once() -> list[PhotoPreview | None]:
        return await asyncio.gather(*(service.face_previews.of(path, f"visitor:{n}") for n, path in enumerate(photos)))

    found = asyncio.run(all_at_once())
    assert all(seen is not None and len(seen.faces) == 1 for seen in found)
    assert reading.peak_bytes <= CACHE_BYTES + AT_ONCE * PHOTO_BYTES
    gc.collect()
    assert PHOTO_BYTES <= reading.bytes() <= CACHE_BYTES


def test_the_newest_of_a_visitor_replaces_the_one_before(service: Service, reading: Reading, photos: list[Path]) -> None:
    async def one_after_the_other() -> list[PhotoPreview | None]:
        asked = []
        for n, path in enumerate(photos[:8]):
            asked += [asyncio.create_task(service.face_previews.of(path, owner)) for owner in ("visitor:a", f"visitor:other {n}")]
            await asyncio.sleep(0)
        return await asyncio.gather(*asked)

    found = asyncio.run(one_after_the_other())
    mine, others = found[::2], found[1::2]
    assert mine[:-1] == [None] * 7
    assert mine[-1] is not None
    assert len(mine[-1].faces) == 1
    assert all(each.faces for each in others), "another visitor's go on"
    assert len(reading.decoded) <= 8 + 1 + AT_ONCE, "what was replaced before its turn is not decoded"


def test_who_asks_for_the_same_photo_is_told_the_same(service: Service, reading: Reading, photos: list[Path]) -> None:
    async def twice() -> list[PhotoPreview | None]:
        return await asyncio.gather(*(service.face_previews.of(photos[0], "visitor:a") for _ in range(2)))

    first, second = asyncio.run(twice())
    assert first.faces
    assert first is second
    assert reading.decoded == ["0.bmp"]


def test_who_goes_away_disturbs_nobody(service: Service, photos: list[Path]) -> None:
    async def leave() -> PhotoPreview | None:
        gone = asyncio.create_task(service.face_previews.of(photos[0], "visitor:a"))
        await asyncio.sleep(0)
        staying = asyncio.create_task(service.face_previews.of(photos[0], "visitor:a"))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await staying

    assert asyncio.run(leave()).faces


def test_no_more_than_so_many_wait(service: Service, photos: list[Path]) -> None:
    async def crowd() -> list[PhotoPreview | None]:
        waiting = [asyncio.create_task(service.face_previews.of(photos[0], f"visitor:{n}")) for n in range(MAX_WAITING)]
        await asyncio.sleep(0)
        refused = await service.face_previews.of(photos[1], "visitor:one more")
        newer = [asyncio.create_task(service.face_previews.of(Path("gone.png"), f"visitor:{n}")) for n in range(MAX_WAITING)]
        return [refused, *await asyncio.gather(*waiting, *newer)]

    refused, *told = asyncio.run(crowd())
    assert refused == PhotoPreview()
    assert told == [None] * MAX_WAITING + [PhotoPreview()] * MAX_WAITING


def test_the_video_that_follows_decodes_nothing_again(service: Service, reading: Reading, photos: list[Path]) -> None:
    async def choose_and_generate() -> None:
        await service.face_previews.of(photos[0], "visitor:a")
        for owner in ("visitor:a", "visitor:b"):
            job = await service.requests.video(VideoInputs(SPEECH, photos[0], engine="lite", options={"size": 64}), owner)
            assert (await service.jobs.ended(job.id, owner)).state == "done"

    asyncio.run(choose_and_generate())
    assert reading.decoded == ["0.bmp", "0.bmp"], "of the preview, and of the other visitor"


def photo(n: int, side: int = 10) -> Photo:
    return Photo(np.zeros((side, side, 3), np.uint8), f"{n}")


def test_kept_photos_are_bounded_in_bytes_and_time(tmp_path: Path) -> None:
    kept = DecodedPhotos(1000)
    file = tmp_path / "photo"
    file.write_bytes(b"photo")
    mine = Photo(np.zeros((10, 10, 3), np.uint8), hashlib.sha256(b"photo").hexdigest())
    kept.keep("visitor:a", mine)
    assert kept.find("visitor:a", file) is mine
    assert kept.find("visitor:b", file) is None
    for n in range(2):
        kept.keep("visitor:b", photo(n))
    assert kept.find("visitor:a", file) is mine
    kept.keep("visitor:b", photo(2))
    kept.keep("visitor:b", photo(3))
    assert kept.nbytes == 900
    assert kept.find("visitor:a", file) is mine, "used last but two"
    kept.keep("visitor:b", photo(4, side=100))
    assert kept.nbytes == 900, "one that is larger than all is not kept"
    kept.sweep()
    assert kept.nbytes == 900
    kept.sweep(time.monotonic() + KEPT_S + 1)
    assert kept.nbytes == 0


@pytest.mark.parametrize(("look_s", "faces"), [(30.0, 1), (0.0, 0)], ids=["while there is time", "no longer"])
def test_a_face_is_looked_for_in_a_video(
    service: Service, portrait: Photo, monkeypatch: pytest.MonkeyPatch, look_s: float, faces: int
) -> None:
    """Frames may be large, and others wait for the place."""
    monkeypatch.setattr(face_previews, "LOOK_S", look_s)
    face = cv2.resize(portrait.pixels, (256, 256), interpolation=cv2.INTER_AREA)
    frames = [np.zeros_like(face)] * 8 + [face] * 8
    clip = service.outputs.new_upload("clip.mp4", clip_file(frames, rate=25), "ada")

    async def test() -> None:
        preview = await service.face_previews.of(clip, "ada")
        assert preview is not None
        assert len(preview.faces) == faces
        assert preview.shown is not None
        shown = cv2.imread(str(preview.shown))
        assert shown is not None
        assert (shown.mean() > 20) == bool(faces), "the frame whose faces these are, or the first"

    asyncio.run(test())
