"""The part of the photo that the video shows, and the face, chosen on the photo itself: by mouse, keyboard and touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support.app_process import Server, probe, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, PHONE, RESULT_MS, SHOWS_MS, Tab, faults
from tests.support.paths import PORTRAIT

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("part"))
    yield server
    stop_app(server)


@pytest.fixture(scope="module")
def two(browser: Any, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A page with a photo of two people, each 512 pixels wide; the second looks the other way."""
    path = tmp_path_factory.mktemp("photo") / "two.png"
    one = cv2.imread(str(PORTRAIT))
    cv2.imwrite(str(path), np.concatenate((one, one[:, ::-1]), axis=1))
    tab = Tab(browser, server, has_touch=True)
    tab.give(path)
    tab.page.locator("#th-photo .th-places button").nth(1).wait_for(timeout=RESULT_MS)
    yield tab
    tab.context.close()


def shares(page: Any) -> list[float]:
    """Left, top, width, height of the frame in the open dialog."""
    return page.locator(".th-part-frame").evaluate(
        "(frame) => ['left', 'top', 'width', 'height'].map((each) => parseFloat(frame.style[each]) / 100)"
    )


def test_a_face_is_chosen_on_the_photo(two: Tab) -> None:
    boxes = two.page.locator("#th-photo .th-places button")
    assert boxes.count() == 2
    x = [box.bounding_box()["x"] for box in boxes.all()]
    right = x.index(max(x))
    for n in (right, 1 - right):
        two.page.locator("#th-photo .th-places button").nth(n).click()
        two.page.locator(f"#th-faces [data-key='{n}'][aria-pressed=true]").wait_for(timeout=SHOWS_MS)
        two.page.locator(f"#th-photo .th-places button.th-chosen[data-face='{n}']").wait_for(timeout=SHOWS_MS)
    two.page.locator("#th-photo .th-places button").nth(right).tap()
    two.page.locator(f"#th-faces [data-key='{right}'][aria-pressed=true]").wait_for(timeout=SHOWS_MS)


def test_the_frame_is_moved_and_zoomed_and_keeps_the_face_in(two: Tab) -> None:
    page = two.page
    page.locator("#th-faces .th-part").press("Enter")
    page.locator(".th-part-dialog").wait_for(timeout=SHOWS_MS)
    assert faults(page) == []
    began = shares(page)
    page.keyboard.press("ArrowLeft")
    assert shares(page)[0] < began[0]
    page.keyboard.press("-")
    assert shares(page)[2] > began[2]
    for _ in range(60):
        page.keyboard.press("+")
    kept = shares(page)  # as small as it may be
    page.locator(".th-part-dialog input").fill("0")
    largest = shares(page)
    assert largest[2:] == pytest.approx([0.5, 1.0], abs=0.01)  # a square as high as the photo
    frame = page.locator(".th-part-frame").bounding_box()
    page.mouse.move(frame["x"] + 40, frame["y"] + 40)
    page.mouse.down()
    page.mouse.move(frame["x"] - 900, frame["y"] + 40, steps=3)
    page.mouse.up()
    moved = shares(page)
    assert moved[0] < largest[0]
    assert moved[0] + moved[2] >= kept[0] + kept[2] - 0.03  # the face is at its right edge, and no farther
    page.keyboard.press("Escape")
    page.locator(".th-part-dialog").wait_for(state="detached", timeout=SHOWS_MS)
    assert page.evaluate("document.activeElement.className") == "th-part"


def test_the_video_shows_the_part_in_the_chosen_format(two: Tab, tmp_path: Path) -> None:
    page = two.page
    page.get_by_text("More options").click()
    page.get_by_role("listbox", name="Format").or_(page.get_by_label("Format")).first.click()
    page.get_by_role("option", name="portrait (9:16)").click()
    card = page.locator("#th-faces [aria-pressed=true] img")
    page.wait_for_function("(card) => card.naturalHeight > card.naturalWidth", arg=card.element_handle())
    page.locator("#th-faces .th-part").click()
    left, top, width, height = shares(page)
    assert width * 1024 / (height * 512) == pytest.approx(9 / 16, rel=0.01)
    page.locator(".th-part-use").click()
    two.generate()
    with page.expect_download(timeout=RESULT_MS) as download:
        page.locator("#th-download [data-form=mp4]").click(timeout=RESULT_MS)
    download.value.save_as(tmp_path / "v.mp4")
    assert probe(tmp_path / "v.mp4")[:2] == (320, 568)


def test_a_phone_has_room_for_it_and_its_buttons_are_in_even_rows(browser: Any, server: Server) -> None:
    """Rules for narrow windows reach the dialog: Gradio puts them below its content."""
    tab = Tab(browser, server, **PHONE, locale="de-DE")
    tab.give(speech=None)
    tab.page.locator("#th-faces .th-part").tap(timeout=RESULT_MS)
    dialog = tab.page.locator(".th-part-dialog")
    dialog.wait_for(timeout=SHOWS_MS)
    assert dialog.evaluate("(dialog) => getComputedStyle(dialog).paddingTop") == "8px"
    boxes = [button.bounding_box() for button in dialog.locator(".th-part-buttons button").all()]
    assert max(box["x"] + box["width"] for box in boxes) == pytest.approx(boxes[2]["x"] + boxes[2]["width"], abs=1)
    assert boxes[0]["x"] == pytest.approx(boxes[2]["x"], abs=1), "the last one fills its row"
    assert faults(tab.page) == []
    tab.context.close()
