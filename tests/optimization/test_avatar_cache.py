"""Avatars through the studio, the real lite engine and real files: once registered, never looked at again, each owner's own."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import AvatarError, FaceError, OptionError
from core.optimization.avatar_cache import AvatarStore
from core.request import Framing, RenderOptions, Request
from core.settings import Settings
from core.studio import Studio
from core.types import Audio, Photo
from tests.support.avatars import folder_of, video


def test_a_token_stands_for_its_photo_after_a_restart_and_nobody_looks_for_the_face_again(
    open_again: Callable[..., Studio], portrait: Photo, short: Audio, tmp_path: Path, detections: list[str]
) -> None:
    studio = open_again(keep_results=False)
    avatar = studio.preload_avatar(portrait, "ann", name="  Ann\n Lee ", consent=True)
    assert (avatar.name, avatar.kind, avatar.width, avatar.height, avatar.consent) == ("Ann Lee", "photo", 512, 512, True)
    assert avatar.sha256 == portrait.sha256
    assert avatar.nbytes > portrait.pixels.nbytes
    assert detections
    direct = video(studio, portrait, short, tmp_path)
    del detections[:]
    studio.close()

    studio = open_again(keep_results=False)
    assert studio.avatar(avatar.token, "ann") == avatar
    assert studio.list_avatars("ann") == [avatar]
    assert video(studio, avatar, short, tmp_path) == direct
    assert video(studio, avatar, short, tmp_path, seed=9) != direct
    assert studio.preload_avatar(portrait, "ann") == avatar
    assert detections == []
    stats = studio.stats()["avatars"]
    assert (stats["hits"], stats["misses"]) == (3, 0)


def test_the_same_photo_has_the_same_token_for_its_owner_and_framing(
    open_again: Callable[..., Studio], portrait: Photo, two_faces: Photo
) -> None:
    studio = open_again()
    first = studio.preload_avatar(two_faces, "ann", name="one")
    again = studio.preload_avatar(two_faces, "ann", name="two")
    assert (again.token, again.name) == (first.token, "two")
    other_face = studio.preload_avatar(two_faces, "ann", framing=Framing(face_index=1))
    bobs = studio.preload_avatar(two_faces, "bob")
    assert len({first.token, other_face.token, bobs.token, studio.preload_avatar(portrait, "ann").token}) == 4
    assert studio.avatar(other_face.token, "ann").framing == Framing(face_index=1)
    with pytest.raises(FaceError, match="Face 2"):
        studio.preload_avatar(two_faces, "ann", framing=Framing(face_index=2))
    assert len(studio.list_avatars("ann")) == 3


@pytest.fixture(scope="module")
def two_faces(portrait: Photo) -> Photo:
    return Photo(np.concatenate([portrait.pixels, portrait.pixels[:, ::-1]], axis=1), "two faces")


def test_owners_never_meet(open_again: Callable[..., Studio], portrait: Photo, short: Audio, tmp_path: Path) -> None:
    studio = open_again()
    avatar = studio.preload_avatar(portrait, "ann")
    messages = set()
    stolen = dataclasses.replace(avatar, owner="bob")
    for token in (avatar.token, "0" * 40):
        for call in (studio.avatar, studio.thumbnail, studio.delete_avatar, lambda token, owner: studio.rename_avatar(token, owner, "x")):
            with pytest.raises(AvatarError) as error:
                call(token, "bob")
            messages.add(str(error.value).replace(token, "TOKEN"))
        with pytest.raises(AvatarError) as error:
            studio.submit(Request(short, dataclasses.replace(stolen, token=token), owner="bob"), tmp_path / "v.mp4")
        messages.add(str(error.value).replace(token, "TOKEN"))
    assert len(messages) == 1, "an unknown token and another's must not be told apart"
    for token in ("", "../../key", "x" * 40, avatar.token + "/", avatar.token.upper()):
        with pytest.raises(AvatarError):
            studio.avatar(token, "ann")
    assert studio.list_avatars("bob") == []
    assert studio.clear_cache("all", "bob") == 0
    assert studio.avatar(avatar.token, "ann") == avatar


def test_an_avatar_brings_its_own_framing(open_again: Callable[..., Studio], portrait: Photo, short: Audio, tmp_path: Path) -> None:
    studio = open_again()
    avatar = studio.preload_avatar(portrait, "ann")
    with pytest.raises(OptionError, match="framing"):
        studio.submit(Request(short, avatar, owner="ann", framing=Framing(face_index=1)), tmp_path / "v.mp4")


def test_names_consent_and_how_many(open_again: Callable[..., Studio], portrait: Photo) -> None:
    studio = open_again(require_consent=True, max_avatars=1)
    with pytest.raises(OptionError, match="consent"):
        studio.submit_avatar(portrait, "ann")
    with pytest.raises(OptionError, match="81 characters"):
        studio.submit_avatar(portrait, "ann", name="x" * 81, consent=True)
    avatar = studio.preload_avatar(portrait, "ann", consent=True)
    renamed = studio.rename_avatar(avatar.token, "ann", "Grüße \u202e <b>")
    assert renamed.name == "Grüße <b>"
    assert (renamed.created_s, renamed.consent, renamed.token) == (avatar.created_s, True, avatar.token)
    with pytest.raises(OptionError, match="1 avatars already"):
        studio.preload_avatar(dataclasses.replace(portrait, sha256="another"), "ann", consent=True)
    studio.preload_avatar(portrait, "bob", consent=True)


def test_a_consent_that_was_not_declared_is_missed_when_it_is_asked_for_and_can_be_declared_later(
    open_again: Callable[..., Studio], portrait: Photo, short: Audio, tmp_path: Path
) -> None:
    avatar = open_again().preload_avatar(portrait, "ann", name="Ada")
    strict = open_again(require_consent=True)
    request = Request(short, avatar, options=RenderOptions(size=64), owner="ann")
    with pytest.raises(OptionError, match="consent"):
        strict.submit(request, tmp_path / "video.mp4")
    again = strict.preload_avatar(portrait, "ann", consent=True)
    assert (again.token, again.name, again.consent) == (avatar.token, "Ada", True)
    assert strict.generate(request, tmp_path / "video.mp4").info.avatar == avatar.token
    assert open_again().preload_avatar(portrait, "ann").consent


def test_what_is_kept_of_the_photo_has_nothing_of_the_camera_in_it(
    open_again: Callable[..., Studio], portrait: Photo, settings: Settings
) -> None:
    from core.media.image import load_image

    taken = Image.fromarray(portrait.pixels)
    exif = taken.getexif()
    exif[0x010E] = "secret place"
    out = io.BytesIO()
    taken.save(out, "jpeg", quality=95, exif=exif)
    studio = open_again()
    photo = load_image(out.getvalue(), settings)
    avatar = studio.preload_avatar(photo, "ann")
    folder = folder_of(studio, avatar)
    assert not any(b"secret place" in path.read_bytes() for path in folder.iterdir())
    with Image.open(folder / "source") as kept:
        assert kept.format == "PNG"
        assert not kept.info.get("exif")
        assert kept.convert("RGB").tobytes() == photo.pixels.tobytes()
    with Image.open(io.BytesIO(studio.thumbnail(avatar.token, "ann"))) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (256, 256))


def test_an_avatars_file_holds_no_owner(open_again: Callable[..., Studio], portrait: Photo) -> None:
    studio = open_again()
    avatar = studio.preload_avatar(portrait, "visitor:ann")
    values = json.loads((folder_of(studio, avatar) / "avatar.json").read_bytes())
    assert "ann" not in json.dumps(values)
    assert not any("ann" in path.name for path in studio.settings.cache_dir.rglob("*"))
    assert isinstance(studio._avatars.store, AvatarStore)
