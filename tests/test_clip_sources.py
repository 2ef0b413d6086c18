"""A clip as source behind every way in: the studio, an avatar after a restart, a stream, a live session, the API, the page's previews."""

from __future__ import annotations

import asyncio
import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from core.engines.base import Engine
from core.errors import OptionError
from core.media.source import Clip, load_source
from core.request import Controls, RenderOptions, Request
from core.service.clip_stills import still_path, video_of
from core.service.outputs import OutputFolder
from core.service.service import Service
from core.settings import Settings
from core.streaming import LiveFrame, LiveOptions
from core.studio import Studio
from core.types import Audio, Frame, Photo
from core.web.pages.tabs.common import uploaded
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.serving import Serving, error, forget_people, serving
from tests.support.streams import Clock
from tests.support.talking_clip import HEIGHT, WIDTH, encoded, talking_frames

SMALL = RenderOptions(size=128)


@pytest.fixture(scope="module")
def pictures(lite: Engine, portrait: Photo, speech: Audio) -> list[Frame]:
    return talking_frames(lite, portrait, speech, 16)


@pytest.fixture(scope="module")
def data(pictures: list[Frame]) -> bytes:
    return encoded(pictures)


@pytest.fixture(scope="module")
def clip(data: bytes, settings: Settings) -> Clip:
    clip = load_source(data, settings)
    assert isinstance(clip, Clip)
    return clip


@pytest.fixture(scope="module")
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(studio, tmp_path_factory.mktemp("server")) as server:
        yield server
    forget_people(studio)


def test_a_file_at_the_clips_own_size(studio: Studio, clip: Clip, short: Audio, tmp_path: Path) -> None:
    made = studio.generate(Request(short, clip, engine="lite", options=RenderOptions(size="source")), tmp_path / "a.mp4")
    assert (made.info.width, made.info.height, made.info.frames) == (WIDTH, HEIGHT, short.n_frames)
    assert (made.info.engine, made.info.skipped) == ("lite", ())


def test_an_avatar_is_not_registered_again_after_a_restart(
    open_again: Callable[..., Studio], clip: Clip, short: Audio, tmp_path: Path, lite: Engine, monkeypatch: pytest.MonkeyPatch,
) -> None:
    studio = open_again(keep_results=False)
    avatar = studio.preload_avatar(clip, "me", engine="lite")
    assert (avatar.kind, avatar.width, avatar.height) == ("video", WIDTH, HEIGHT)
    moving = studio.moving_thumbnail(avatar.token, "me")
    assert moving is not None
    with Image.open(io.BytesIO(moving)) as picture:
        assert (picture.size, picture.n_frames) == ((96, 96), 6)
    request = Request(short, avatar, engine="lite", options=SMALL, owner="me")
    first = studio.generate(request, tmp_path / "a.mp4").path.read_bytes()
    assert studio.still(avatar, "me", avatar.framing, Controls(), SMALL, "mouth").shape == (128, 128, 3)
    monkeypatch.setattr(lite, "register", None)
    again = open_again(keep_results=False)
    request = dataclasses.replace(request, source=again.avatar(avatar.token, "me"))
    assert again.generate(request, tmp_path / "b.mp4").path.read_bytes() == first


def test_a_live_session_idles_with_the_clip_and_speaks(studio: Studio, clip: Clip, speech: Audio) -> None:
    clock = Clock()
    live = studio.live(clip, "me", engine="lite", options=SMALL, live=LiveOptions(output="frames", lead_s=0), clock=clock)
    with pytest.raises(OptionError, match="blink is for photos"):
        live.set_controls(Controls(blink=0))
    frames: list[LiveFrame] = []

    def run(seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            clock.advance(0.02)
            while (output := live.next_output()) is not None:
                frames.extend([output] if isinstance(output, LiveFrame) else [])

    run(0.8)
    idle = len(frames)
    live.feed(speech.samples[:12_800], 16_000)
    live.end_of_utterance()
    run(2.0)
    live.close()
    assert idle >= 20
    assert sum(frame.speaking for frame in frames) == 20
    tops = [frame.frame[:20].astype(int) for frame in frames]  # hair and background, which the clip moves all the time
    order = list(range(16))
    played = (order + order[::-1]) * 3
    for number in range(16, len(frames)):
        same = [np.abs(tops[number] - tops[before]).max() == 0 for before in range(16)]
        assert same[played[number]], number


def test_a_stream_begins_and_ends(studio: Studio, clip: Clip, short: Audio) -> None:
    with studio.stream(Request(short, clip, engine="lite", options=SMALL)) as stream:
        whole = b"".join(segment.data for segment in stream)
    with av.open(io.BytesIO(whole)) as file:
        assert sum(1 for _ in file.decode(video=0)) == short.n_frames


def test_the_api_takes_a_video_for_lite(server: Serving, data: bytes) -> None:
    parts = {"audio": ("s.wav", SPEECH.read_bytes()), "image": ("talk.mp4", data)}
    with server.client() as client:
        answer = client.post("/generate", files=parts, data={"engine": "lite", "options": '{"size": 128}'})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "video/mp4"
        refused = client.post("/generate", files=parts, data={"engine": "lite", "options": '{"head_motion": 0.5}'})
        assert "head_motion is for photos" in error(refused, 422)["message"]


def test_a_persons_card_moves_where_the_person_came_as_a_video(server: Serving, data: bytes) -> None:
    with server.client() as client:
        tokens = [
            client.post("/avatars", files={"image": ("x", each)}, data={"engine": "lite"}).json()["token"]
            for each in (data, PORTRAIT.read_bytes())
        ]
        kinds = [client.get(f"/avatars/{token}/thumbnail?moving=true").headers["content-type"] for token in tokens]
        assert kinds == ["image/webp", "image/jpeg"]
        assert client.get(f"/avatars/{tokens[0]}/thumbnail").headers["content-type"] == "image/jpeg"


def test_a_frame_stands_for_a_video_on_the_page(studio: Studio, data: bytes, tmp_path: Path, pictures: list[Frame]) -> None:
    service, path = page_service(studio, tmp_path, "talk.mp4", data)
    found = asyncio.run(service.face_previews.of(path, "visitor:a"))
    service.close(0.0)
    assert found is not None
    assert len(found.faces) == 1
    assert found.shown == still_path(path)
    assert uploaded(str(found.shown)) == path
    with av.open(str(found.shown)) as file:
        (shown,) = file.decode(video=0)
    assert (shown.width, shown.height) == (WIDTH, HEIGHT)


def test_the_first_frame_need_not_show_the_face(studio: Studio, pictures: list[Frame], tmp_path: Path) -> None:
    data = encoded([np.full_like(pictures[0], 90)] * 8 + pictures)
    service, path = page_service(studio, tmp_path, "late.mp4", data)
    found = asyncio.run(service.face_previews.of(path, "visitor:a"))
    nobody = page_file(service, "nobody.mp4", encoded([np.full_like(pictures[0], 90)] * 4))
    none = asyncio.run(service.face_previews.of(nobody, "visitor:a"))
    service.close(0.0)
    assert found is not None
    assert len(found.faces) == 1
    assert none is not None
    assert (none.faces, none.error, none.shown) == ((), None, still_path(nobody))


@pytest.mark.parametrize("name", ["", ".still.jpg", "a.still.jpg", "x\0.still.jpg", "photo.png"])
def test_what_stands_for_no_video_is_itself(tmp_path: Path, name: str) -> None:
    assert video_of(tmp_path / name) == tmp_path / name


def page_service(studio: Studio, folder: Path, name: str, data: bytes) -> tuple[Service, Path]:
    """A service, and an upload of one of its visitors."""
    outputs = OutputFolder(folder / "out", 3600.0)
    outputs.prepare()
    service = Service(studio, outputs, Settings(output_dir=folder / "out", cache_dir=folder / "cache", keep_results=False))
    service.start()
    return service, page_file(service, name, data)


def page_file(service: Service, name: str, data: bytes) -> Path:
    return service.outputs.new_upload(name, data, "visitor:a")
