"""A face that was marked by hand, through studio, avatars, caches and engines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from core.engine_selection import EngineSelector
from core.engines.lite import LiteEngine
from core.engines.profiles import PROFILES
from core.errors import FaceError, OptionError
from core.media.image import load_image
from core.media.source import load_source
from core.optimization.cold_start_optimization import Engines
from core.request import Controls, Framing, RenderOptions, Request
from core.run_request import RunRequest
from core.settings import Settings
from core.streaming.outputs import LiveFrame, LiveOptions
from core.studio import Studio
from core.types import Audio, Frame, Photo
from tests.support.cat import CAT, HEIGHT, LANDMARKS, POINTS, WIDTH
from tests.support.paths import ASSETS

MARKED = Framing(landmarks=LANDMARKS)
SMALL = RenderOptions(size=128)


@pytest.fixture(scope="module")
def cat(settings: Settings) -> Photo:
    return load_image(CAT, settings)


def frames(path: Path) -> list[Frame]:
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


def test_no_face_is_found_and_the_error_says_what_helps(lite: LiteEngine, cat: Photo) -> None:
    with pytest.raises(FaceError, match="landmarks") as refused:
        lite.register(cat, Framing())
    assert refused.value.code == "face_none"


def test_the_cat_speaks(studio: Studio, speech: Audio, cat: Photo, tmp_path: Path) -> None:
    options = RenderOptions(size=256, aspect="source")
    generation = studio.generate(Request(speech, cat, framing=MARKED, options=options), tmp_path / "cat.mp4")
    assert generation.info.engine == "lite"
    assert generation.info.warnings == ()
    shown = np.stack(frames(generation.path)).astype(int)
    scale = shown.shape[2] / WIDTH
    x, y = (round(each * scale) for each in POINTS[4])
    mouth = shown[:, y + 2 : y + 6, x - 10 : x + 10].mean(axis=(1, 2, 3))
    assert mouth.min() < 0.7 * mouth.max()  # it opens, and closes
    nose = shown[:, y - 40 : y - 10, x - 20 : x + 20]
    assert np.abs(nose - nose[0]).mean() > 2  # the head moves


def test_the_points_are_part_of_what_an_avatar_is(open_again: Callable[..., Studio], cat: Photo, short: Audio, tmp_path: Path) -> None:
    studio = open_again()
    avatar = studio.preload_avatar(cat, "ann", name="Cat", framing=MARKED)
    assert avatar.framing == MARKED
    assert studio.preload_avatar(cat, "ann", framing=MARKED).token == avatar.token
    elsewhere = Framing(landmarks=(*LANDMARKS[:5], (0.55, 0.97)))
    assert studio.preload_avatar(cat, "ann", framing=elsewhere).token != avatar.token
    first = studio.generate(Request(short, avatar, owner="ann", options=SMALL), tmp_path / "a.mp4")
    by_photo = studio.generate(Request(short, cat, owner="ann", framing=MARKED, options=SMALL), tmp_path / "b.mp4")
    studio.close()
    studio = open_again(keep_results=False)
    again = studio.avatar(avatar.token, "ann")
    assert again.framing == MARKED
    second = studio.generate(Request(short, again, owner="ann", options=SMALL), tmp_path / "c.mp4")
    assert second.info.register_ms < first.info.wall_s * 1000
    assert frames(first.path)[-1].tolist() == frames(second.path)[-1].tolist() == frames(by_photo.path)[-1].tolist()
    live = studio.live(again, "ann", options=SMALL, live=LiveOptions(output="frames", lead_s=0))
    outputs = [live.next_output(5.0) for _ in range(3)]
    live.close()
    assert {each.frame.shape for each in outputs if isinstance(each, LiveFrame)} == {(128, 128, 3)}


def test_a_kept_video_is_that_of_the_same_points(open_again: Callable[..., Studio], cat: Photo, short: Audio, tmp_path: Path) -> None:
    studio = open_again()
    request = Request(short, cat, framing=MARKED, options=SMALL)
    elsewhere = dataclasses.replace(request, framing=Framing(landmarks=(*LANDMARKS[:5], (0.55, 0.97))))
    hits = [studio.generate(each, tmp_path / "v.mp4").info.cache_hit for each in (request, request, elsewhere)]
    assert hits == [False, True, False]


def test_tokens_of_before_there_were_points_stay_what_they_were(open_again: Callable[..., Studio], portrait: Photo) -> None:
    studio = open_again()
    assert studio.preload_avatar(portrait, "ann").token == studio._folder.digest("avatar", "ann", portrait.sha256, "{}")


def test_what_cannot_be_is_refused_before_anything_is_made(
    studio: Studio, short: Audio, cat: Photo, settings: Settings, tmp_path: Path
) -> None:
    above = (*LANDMARKS[:4], (0.5, 0.1), LANDMARKS[5])
    for framing, code in ((Framing(landmarks=above), "landmarks_order"), (Framing(landmarks=LANDMARKS[:4]), "landmarks_count")):
        with pytest.raises((FaceError, OptionError)) as refused:
            studio.submit(Request(short, cat, framing=framing), tmp_path / "v.mp4")
        assert refused.value.code == code
    clip = load_source(ASSETS / "examples" / "person.mp4", settings)
    with pytest.raises(OptionError) as refused:
        studio.submit(Request(short, clip, framing=MARKED), tmp_path / "v.mp4")
    assert refused.value.code == "landmarks_video"


def test_ditto_needs_a_face_that_it_finds_and_auto_takes_lite(cat: Photo, settings: Settings) -> None:
    with pytest.raises(OptionError, match="finds itself") as refused:
        PROFILES["ditto"].check(cat, MARKED, Controls(), RenderOptions())
    assert refused.value.code == "landmarks_not_honoured"
    engines = Engines({"lite": LiteEngine, "ditto": LiteEngine})
    selector = EngineSelector(settings, engines, "cuda", serving=False)
    try:
        selector.obstacle = None  # as on a machine with a GPU
        assert selector.choose("auto")[0] == "ditto"
        request = RunRequest(cat, "ann", "auto", MARKED)
        selector.check_supported(request)
        loaded = selector.load_engine(request)
        assert loaded.engine.name == "lite"
        assert "by hand" in loaded.reason
        with pytest.raises(OptionError, match="finds itself"):
            selector.check_supported(dataclasses.replace(request, engine="ditto"))
    finally:
        engines.close()


def test_pixels_of_the_upright_photo_are_meant(lite: LiteEngine, cat: Photo) -> None:
    x0, y0, x1, y1 = lite.register(cat, MARKED).face_box
    eyes = [(x / WIDTH, y / HEIGHT) for x, y in POINTS[:2]]
    assert all(x0 < x < x1 and y0 < y < y1 for x, y in eyes)
