"""A face that is not found, marked by hand on the page: by mouse, keyboard and touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.app_process import Server, probe, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, PHONE, RESULT_MS, SHOWS_MS, Tab, faults
from tests.support.cat import AS_TEXT, CAT, LANDMARKS
from tests.support.paths import PORTRAIT, SPEECH

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("hand"))
    yield server
    stop_app(server)


def opened(page: Any) -> None:
    page.locator("#th-faces .th-hand").click(timeout=RESULT_MS)
    page.locator(".th-hand-dialog").wait_for(timeout=SHOWS_MS)


def at(page: Any, n: int) -> tuple[float, float]:
    """Where a point is, in shares of the photo."""
    style = page.locator(f'.th-hand-point[data-point="{n}"]').evaluate("(point) => [point.style.left, point.style.top]")
    x, y = (float(each.removesuffix("%")) / 100 for each in style)
    return x, y


def drag(page: Any, n: int, x: float, y: float) -> None:
    photo, point = (page.locator(each).bounding_box() for each in (".th-part-stage img", f'.th-hand-point[data-point="{n}"]'))
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    page.mouse.down()
    page.mouse.move(photo["x"] + x * photo["width"], photo["y"] + y * photo["height"], steps=3)
    page.mouse.up()


def test_a_cat_is_marked_and_speaks(tab: Tab, tmp_path: Path) -> None:
    page = tab.page
    tab.give(CAT)
    opened(page)
    assert faults(page) == []
    for n, (x, y) in enumerate(LANDMARKS):
        drag(page, n, x, y)
        assert at(page, n) == pytest.approx((x, y), abs=0.01)
    before = at(page, 5)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowLeft")
    assert at(page, 5) == pytest.approx((before[0] - 0.01, before[1] - 0.002), abs=1e-4)
    page.locator(".th-hand-dialog .th-part-use").click()
    page.locator("#th-faces [data-key='0']").wait_for(timeout=RESULT_MS)
    assert page.locator("#th-faces .th-error").count() == 0
    tab.generate()
    with page.expect_download(timeout=RESULT_MS) as download:
        page.locator("#th-download [data-form=mp4]").click(timeout=RESULT_MS)
    download.value.save_as(tmp_path / "v.mp4")
    assert probe(tmp_path / "v.mp4")[:2] == (320, 320)
    opened(page)  # with the points as they were
    assert at(page, 0) == pytest.approx(LANDMARKS[0], abs=0.01)
    page.get_by_role("button", name="Find it automatically").click()
    page.locator("#th-faces .th-error").wait_for(timeout=RESULT_MS)


def test_points_that_are_no_face_are_told_and_can_be_moved_on(tab: Tab) -> None:
    page = tab.page
    tab.give(CAT, None)
    opened(page)
    drag(page, 4, 0.5, 0.05)
    page.locator(".th-hand-dialog .th-part-use").click()
    page.get_by_text("not in the order of a face").wait_for(timeout=RESULT_MS)
    opened(page)
    assert at(page, 4) == pytest.approx((0.5, 0.05), abs=0.01)
    page.keyboard.press("Escape")
    page.locator(".th-hand-dialog").wait_for(state="detached", timeout=SHOWS_MS)
    assert "th-hand" in page.evaluate("document.activeElement.className")


def test_another_face_than_the_one_found_is_marked_from_its_place(tab: Tab) -> None:
    page = tab.page
    tab.give(PORTRAIT, None)
    page.get_by_role("button", name="Another face").click(timeout=RESULT_MS)
    page.locator(".th-hand-dialog").wait_for(timeout=SHOWS_MS)
    assert 0.3 < at(page, 0)[0] < at(page, 1)[0] < 0.6  # on the face that was found
    page.locator(".th-hand-dialog .th-part-use").click()
    page.get_by_role("button", name="Move the points").wait_for(timeout=RESULT_MS)


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_has_room_for_it_and_fingers_move_points(browser: Any, server: Server, width: int) -> None:
    tab = Tab(browser, server, **{**PHONE, "viewport": {"width": width, "height": 640}})
    page = tab.page
    tab.give(CAT, None)
    page.locator("#th-faces .th-hand").tap(timeout=RESULT_MS)
    page.locator(".th-hand-dialog").wait_for(timeout=SHOWS_MS)
    dialog, photo = (page.locator(each).bounding_box() for each in (".th-hand-dialog", ".th-part-stage img"))
    assert dialog["x"] >= 0
    assert dialog["x"] + dialog["width"] <= width
    assert photo["width"] > 0.8 * width
    assert page.locator(".th-hand-dialog").evaluate("(dialog) => dialog.scrollWidth <= dialog.clientWidth")
    assert faults(page) == []
    began, client = at(page, 0), tab.context.new_cdp_session(page)
    x, y = photo["x"] + began[0] * photo["width"] + 15, photo["y"] + began[1] * photo["height"] - 15  # beside the point, in reach of it
    for kind, places in (("touchStart", [(x, y)]), ("touchMove", [(x + 30, y)]), ("touchEnd", [])):
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": px, "y": py} for px, py in places]})
    assert at(page, 0) == pytest.approx((began[0] + 30 / photo["width"], began[1]), abs=0.01)
    tab.context.close()


def test_a_gradio_client_gives_points(server: Server) -> None:
    from gradio_client import Client, handle_file

    client = Client(server.url, verbose=False)
    photo, speech = handle_file(str(CAT)), handle_file(str(SPEECH))
    video = client.predict(audio=speech, image=photo, size="64", landmarks=AS_TEXT, api_name="/process_talking_head")
    assert probe(Path(video))[:2] == (64, 64)
    client.close()
