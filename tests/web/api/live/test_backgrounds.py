"""WS /live before another background: an option, or a picture that comes with `start`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from core.service.sent_pictures import MAX_PICTURE_BYTES
from core.types import Frame
from core.web.live.live_protocol import PICTURE
from tests.support.backdrops import RED, backdrop, is_behind
from tests.support.live_caller import call, run
from tests.support.paths import ASSETS
from tests.support.serving import Serving, form

START: dict[str, Any] = {"type": "start", "format": "jpeg", "options": {"size": 128}}


def as_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def shown(server: Serving, token: str, **start: Any) -> Frame:
    """The first picture."""
    async with call(server, token) as caller:
        await caller.say(**{**START, **start})
        await caller.until(lambda: any(head[1] == PICTURE for head, _ in caller.media))
        await caller.say(type="close")
        jpeg = next(data for head, data in caller.media if head[1] == PICTURE)
        decoded: Frame = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        return decoded


def test_a_picture_or_a_colour_is_behind_the_person(server: Serving, token: str, tmp_path: Path) -> None:
    picture = as_text(backdrop(tmp_path / "red.png").read_bytes())

    async def test() -> None:
        assert is_behind(RED, await shown(server, token, background=picture))
        assert is_behind((0, 0, 255), await shown(server, token, options={"size": 128, "background": "#0000ff"}))
        assert not is_behind(RED, await shown(server, token))

    run(test)


def test_a_drawing_keeps_its_background_and_that_is_told(server: Serving) -> None:
    with server.client() as client:
        token = client.post("/avatars", **form(audio=None, image=ASSETS / "examples" / "drawing.png")).json()["token"]

        async def test() -> None:
            async with call(server, token) as caller:
                await caller.say(**{**START, "options": {"size": 128, "background": "blur"}})
                told = (await caller.event("ready"))["warnings"]
                assert [each["code"] for each in told if "background" in each["message"]] == ["background_kept"]

        run(test)
        client.delete(f"/avatars/{token}")


@pytest.mark.parametrize(
    ("background", "options", "kind", "said"),
    [
        ("?", {}, "Malformed", "The background is not Base64."),
        ("\u00e4\u00e4\u00e4\u00e4", {}, "Malformed", "The background is not Base64."),
        (as_text(b"no picture"), {}, "ImageError", "The background is not a photo"),
        (as_text(b"x" * (MAX_PICTURE_BYTES + 3)), {}, "Malformed", "at most"),
        (as_text(b"x"), {"background": "blur"}, "InputError", "Both a picture and another background"),
    ],
)
def test_what_is_no_picture_of_bounded_size_is_refused(
    server: Serving, token: str, background: str, options: dict[str, Any], kind: str, said: str
) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**{**START, "background": background, "options": options})
            code, told = await caller.end()
            assert (told["type"], told["error"]["type"]) == ("error", kind)
            assert said in told["error"]["message"]
            assert code == 1008

    run(test)
    assert server.context.live.n_sessions == 0
