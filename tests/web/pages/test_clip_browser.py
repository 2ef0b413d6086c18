"""A video of a person, chosen and dropped on the page: a frame of it is seen, its face can be chosen, and a video is made."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engines.base import Engine
from core.types import Audio, Photo
from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, PHOTO_SHOWN, RESULT_MS, Tab
from tests.support.talking_clip import encoded, talking_frames

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
DROP = """([selector, name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], name, { type: 'video/mp4' }));
  const zone = document.querySelector(`${selector} button.upload-container`);
  zone.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("clip"))
    yield server
    stop_app(server)


@pytest.fixture(scope="module")
def data(lite: Engine, portrait: Photo, speech: Audio) -> bytes:
    return encoded(talking_frames(lite, portrait, speech, 12))


def test_a_video_is_chosen_seen_and_made_to_talk(tab: Tab, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "talk.mp4"
    path.write_bytes(data)
    tab.give(photo=path)
    tab.page.wait_for_function(PHOTO_SHOWN, timeout=RESULT_MS)
    tab.page.locator("#th-faces .th-card").first.wait_for(timeout=RESULT_MS)
    tab.generate()
    tab.page.locator("#th-status .th-result").wait_for(timeout=2 * RESULT_MS)
    tab.page.reload()  # the choice is still there
    tab.page.wait_for_function(PHOTO_SHOWN, timeout=RESULT_MS)


def test_a_video_can_be_dropped(tab: Tab, data: bytes) -> None:
    tab.page.evaluate(DROP, ["#th-photo", "talk.mov", base64.b64encode(data).decode()])
    tab.page.wait_for_function(PHOTO_SHOWN, timeout=RESULT_MS)
    tab.page.locator("#th-faces .th-card").first.wait_for(timeout=RESULT_MS)
