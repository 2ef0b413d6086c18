"""Every format that is promised can be chosen and dropped in a real browser, and makes a video."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, PHOTO_SHOWN, RESULT_MS, Tab
from tests.support.paths import PORTRAIT, SPEECH

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
DROP = """([selector, name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], name, { type: '' }));
  const zone = document.querySelector(`${selector} button.upload-container`);
  zone.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("formats"))
    yield server
    stop_app(server)


def video_with_speech(path: Path, picture: str, sound: str) -> Path:
    """Three seconds of a grey picture with the speech of the tests."""
    with av.open(str(SPEECH)) as source, av.open(str(path), "w") as container:
        shown = container.add_stream(picture, rate=10)
        shown.width, shown.height, shown.pix_fmt = 64, 64, "yuv420p"
        heard = container.add_stream(sound, rate=48_000)
        resampler = av.AudioResampler(format=heard.codec_context.format or "s16", layout="mono", rate=48_000, frame_size=960)
        for _ in range(30):
            container.mux(shown.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), format="rgb24")))
        for frame in source.decode(audio=0):
            frame.pts = None
            for piece in resampler.resample(frame):
                container.mux(heard.encode(piece))
        container.mux(shown.encode(None))
        container.mux(heard.encode(None))
    return path


def photo_as(path: Path) -> Path:
    portrait = Image.open(PORTRAIT).convert("RGB")
    if path.suffix == ".heic":
        pillow_heif.from_pillow(portrait).save(path, quality=90)
    else:
        portrait.save(path, "AVIF")
    return path


def makes_a_video(tab: Tab) -> None:
    tab.generate()
    tab.page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)


@pytest.mark.parametrize(
    ("name", "picture", "sound"), [("a.webm", "libvpx", "libopus"), ("b.mp4", "libx264", "aac"), ("c.mov", "libx264", "aac")]
)
def test_a_video_with_sound_is_a_recording(tab: Tab, tmp_path: Path, name: str, picture: str, sound: str) -> None:
    tab.give(speech=video_with_speech(tmp_path / name, picture, sound))
    makes_a_video(tab)


@pytest.mark.parametrize("name", ["photo.heic", "photo.avif"])
def test_a_photo_of_a_phone_is_a_photo_and_is_seen(tab: Tab, tmp_path: Path, name: str) -> None:
    tab.give(photo=photo_as(tmp_path / name))
    tab.page.wait_for_function(PHOTO_SHOWN, timeout=RESULT_MS)
    makes_a_video(tab)


def test_what_is_dropped_is_taken_too(tab: Tab, tmp_path: Path) -> None:
    speech = video_with_speech(tmp_path / "recording.MOV", "libx264", "aac")
    photo = io.BytesIO()
    pillow_heif.from_pillow(Image.open(PORTRAIT).convert("RGB")).save(photo, quality=90)
    for selector, name, data in (("#th-photo", "IMG.HEIC", photo.getvalue()), ("#th-speech", speech.name, speech.read_bytes())):
        tab.page.evaluate(DROP, [selector, name, base64.b64encode(data).decode()])
    tab.page.wait_for_function(PHOTO_SHOWN, timeout=RESULT_MS)
    tab.page.locator("#th-speech input[type=file]").first.wait_for(state="detached", timeout=RESULT_MS)
    makes_a_video(tab)


def test_the_dialog_offers_what_is_promised(tab: Tab) -> None:
    with tab.page.expect_file_chooser() as chooser:
        tab.page.locator("#th-speech button.upload-container").click()
    accepted = chooser.value.element.get_attribute("accept")
    assert {".webm", ".mp4", ".mov", ".m4a"} <= set(accepted.split(","))
    with tab.page.expect_file_chooser() as chooser:
        tab.page.locator("#th-photo button.upload-container").click()
    assert {".heic", ".avif"} <= set(chooser.value.element.get_attribute("accept").split(","))


@pytest.mark.parametrize(("language", "said"), [("en-US", "is neither a photo nor a recording"), ("de-DE", "ist weder ein Foto noch")])
def test_another_kind_is_refused_at_once_in_plain_words(browser: object, server: Server, tmp_path: Path, language: str, said: str) -> None:
    tab = Tab(browser, server, locale=language)
    letter = tmp_path / "letter.pdf"
    letter.write_bytes(b"%PDF-1.7 " + bytes(5000))
    for component in ("#th-photo", "#th-speech"):
        tab.page.locator(f"{component} input[type=file]").first.set_input_files(letter)
        tab.page.locator("[data-testid=toast-text]", has_text=f"letter.pdf {said}").first.wait_for(timeout=10_000)
        assert "HTTP" not in tab.page.locator("[data-testid=toast-text]").first.inner_text()
        tab.page.get_by_test_id("toast-close").first.click()
        tab.page.get_by_test_id("toast-body").first.wait_for(state="detached", timeout=10_000)
    tab.give()
    tab.context.close()
