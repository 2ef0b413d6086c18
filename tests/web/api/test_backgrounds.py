"""A picture behind the person by POST /generate and /stream: one more part of the form, and what is no picture is refused at once."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.support.backdrops import RED, backdrop, first_frame, is_behind
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.serving import Serving, error, form, wait_for


def with_picture(picture: Path | bytes, **fields: str) -> dict[str, object]:
    sent = form(options='{"size": 128}', **fields)
    data = picture if isinstance(picture, bytes) else picture.read_bytes()
    return {"files": {**sent["files"], "background": ("x", data)}}


@pytest.mark.parametrize("path", ["/generate", "/stream"])
def test_the_picture_is_behind_the_person(server: Serving, client: httpx.Client, tmp_path: Path, path: str) -> None:
    answer = client.post(path, **with_picture(backdrop(tmp_path / "red.png")))
    assert answer.status_code == 200, answer.text
    assert is_behind(RED, first_frame(answer.content))
    wait_for(lambda: server.left_over() == [])


def test_what_is_no_picture_is_refused_by_its_content(server: Serving, client: httpx.Client, tmp_path: Path) -> None:
    recording = error(client.post("/generate", **with_picture(SPEECH)), 415)
    assert "background is" in recording["message"]
    assert "Send a picture (PNG" in recording["hint"]
    movie = b"\0\0\0\x20ftypisom" + b"\0" * 20 + b"isomiso2avc1mp41"
    error(client.post("/generate", **with_picture(movie)), 415)
    broken = error(client.post("/generate", **with_picture(PORTRAIT.read_bytes()[:5000])), 422)
    assert "background looks like a PNG" in broken["message"]
    limit = server.context.settings.max_image_bytes
    error(client.post("/generate", **with_picture(PORTRAIT.read_bytes() + b"\0" * limit)), 413)
    both = with_picture(backdrop(tmp_path / "red.png"))
    both["files"]["options"] = (None, json.dumps({"size": 128, "background": "blur"}))  # type: ignore[index]
    assert "Both a picture" in error(client.post("/generate", **both), 400)["message"]
    wait_for(lambda: server.left_over() == [])
