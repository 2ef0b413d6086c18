"""The settings of how a video is played become options where they mean something."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from core.engines.capabilities import DITTO, LITE
from core.request import RenderOptions
from core.service.clip_stills import still_path
from core.service.job_views import JobView
from core.service.service import Service
from core.web.pages.tabs.clip import ClipInputs, is_moving
from core.web.pages.tabs.common import Context, person_of
from core.web.pages.tabs.person import PhotoInputs
from tests.support.clip_files import clip_file
from tests.support.paths import PORTRAIT

INPUTS = ClipInputs({"longer": "a", "shorter": "b", "fps": "c", "keep_background": "d"}, place=None)
USUAL = {"a": RenderOptions.longer, "b": RenderOptions.shorter, "c": RenderOptions.fps, "d": RenderOptions.keep_background}


def test_only_what_was_changed_and_is_honoured_of_a_video_is_asked_for() -> None:
    changed = {**USUAL, "a": "loop", "c": "source", "d": 0.3}
    assert INPUTS.options(USUAL, LITE, True) == {}
    assert INPUTS.options(changed, LITE, True) == {"longer": "loop", "fps": "source", "keep_background": 0.3}
    assert INPUTS.options(changed, DITTO, True) == {"longer": "loop", "keep_background": 0.3}
    assert INPUTS.options(changed, LITE, False) == {}


def test_what_an_engine_does_not_honour_is_not_offered() -> None:
    assert [update["visible"] for update in INPUTS.offered(DITTO)] == [True, True, False, True]
    assert [update["visible"] for update in INPUTS.offered(LITE)] == [True] * 4


def test_what_was_chosen_is_restored() -> None:
    changed = {**USUAL, "b": "rest"}
    updates = INPUTS.restored(INPUTS.chosen(changed))
    assert [update["value"] for update in updates] == ["bounce", "rest", 25, 0.0]
    assert len(INPUTS.restored({})) == len(INPUTS.outputs())


def test_a_video_is_known_by_the_picture_that_stands_for_it(tmp_path: Path) -> None:
    """And by itself: its settings hold also where somebody is faster than its preview."""
    video, photo = tmp_path / "talk.mp4", tmp_path / "photo.png"
    video.write_bytes(clip_file([np.zeros((64, 64, 3), np.uint8)], rate=25))
    still_path(video).write_bytes(PORTRAIT.read_bytes())
    photo.write_bytes(PORTRAIT.read_bytes())
    context: Context = None  # type: ignore[assignment]  # asked for avatars only
    assert is_moving(context, "", str(still_path(video)), "local")
    assert is_moving(context, "", str(video), "local")
    assert not is_moving(context, "", str(photo), "local")
    assert not is_moving(context, "", str(tmp_path / "gone.mp4"), "local")
    assert not is_moving(context, "", None, "local")


def test_the_picture_that_stands_for_a_video_is_put_in_again(tmp_path: Path) -> None:
    """Browsers show no video as a picture. Where the picture is gone, it is made anew of the video."""
    video = tmp_path / "talk.mp4"
    video.write_bytes(clip_file([np.zeros((64, 64, 3), np.uint8)], rate=25))
    picture = still_path(video)
    picture.write_bytes(PORTRAIT.read_bytes())
    inputs = PhotoInputs(photo=None, faces=None, face=None, face_of=None, crop=None, landmarks=None, known=())
    assert inputs.restored({"photo": str(picture), "face": 0})[0]["value"] == str(picture)
    picture.unlink()
    assert inputs.restored({"photo": str(picture), "face": 0})[0]["value"] == str(video)


def test_a_video_is_named_after_the_file_that_its_person_came_in(tmp_path: Path) -> None:
    """Uploads are kept no longer than videos, often less long."""
    clip, photo = str(still_path(tmp_path / "Ada at home.mp4")), str(tmp_path / "Ada.png")
    service: Service = None  # type: ignore[assignment]  # asked for avatars only
    for state, name in (({"photo": clip}, "Ada at home"), ({"photo": photo}, "Ada"), ({"photo": ""}, ""), ({"photo": None}, ""), ({}, "")):
        job: JobView = SimpleNamespace(client_state=state, owner="local")  # type: ignore[assignment]
        assert person_of(service, job) == name
