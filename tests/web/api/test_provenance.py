"""POST /detect and GET /live/{id}/provenance, through a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from core.media.video import encode
from core.provenance.marking import ALGORITHM
from core.studio import Studio
from core.types import Audio
from tests.support.live_caller import START, call, run
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.serving import KEY, OTHER_KEY, Serving, error, forget_people, form, serving, wait_for


@pytest.fixture(scope="module")
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(studio, tmp_path_factory.mktemp("server"), detections_per_minute=12) as server:
        yield server
    forget_people(studio)


def sent(data: bytes, part: str = "video", name: str = "holiday.mp4") -> dict[str, Any]:
    return {"files": {part: (name, data)}}


def test_a_video_of_this_server_is_known_again(client: httpx.Client, server: Serving) -> None:
    made = client.post("/generate", **form())
    assert made.status_code == 200, made.text
    told = client.post("/detect", **sent(made.content)).json()
    assert (told["good"], told["synthetic"], told["manifest"]) == (True, True, None)
    assert told["metadata"]["imperceptible_mark"] == ALGORITHM
    assert told["mark"]["found"] is True
    assert told["mark"]["confidence"] > 0.99999
    assert told["mark"]["id"] is None
    assert not [path for path in server.left_over() if "arriving" in path.name]


def test_another_video_is_not(client: httpx.Client, speech: Audio, tmp_path: Path) -> None:
    frames = np.random.default_rng(3).integers(0, 256, (10, 96, 96, 3), np.uint8)
    encode(frames, tmp_path / "v.mp4", speech, 96, 96)
    told = client.post("/detect", **sent((tmp_path / "v.mp4").read_bytes())).json()
    assert (told["good"], told["synthetic"], told["manifest"]) == (False, False, None)
    assert told["mark"]["found"] is False


def test_what_is_no_video_is_refused_by_name(client: httpx.Client) -> None:
    assert "video" in error(client.post("/detect", **sent(PORTRAIT.read_bytes())), 415)["message"]
    assert "an empty file" in error(client.post("/detect", **sent(b"")), 422)["message"]
    assert "WAV" in error(client.post("/detect", **sent(SPEECH.read_bytes())), 415)["message"]
    assert "no part 'image'" in error(client.post("/detect", **sent(b"", part="image")), 400)["message"]
    assert error(client.post("/detect", files={}), 415)
    assert error(client.post("/detect", **sent(b"\x1aE\xdf\xa3" + bytes(5000))), 422)


def test_too_many_of_one_owner(server: Serving) -> None:
    with server.client(OTHER_KEY) as client:
        answers = [client.post("/detect", **sent(PORTRAIT.read_bytes())) for _ in range(13)]
        assert [answer.status_code for answer in answers] == [415] * 12 + [429]
        assert "looked at for marks" in error(answers[-1], 429)["message"]
        assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_live_session_says_what_it_is(server: Serving, client: httpx.Client) -> None:
    token = client.post("/avatars", **form(audio=None)).json()["token"]

    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            session = (await caller.event("ready"))["session"]
            told = client.get(f"/live/{session}/provenance").json()
            assert (told["session"], told["synthetic"]) == (session, True)
            assert told["metadata"]["imperceptible_mark"] == ALGORITHM
            assert told["metadata"]["visible_label"] == "AI"
            with server.client(OTHER_KEY) as other:
                error(other.get(f"/live/{session}/provenance"), 404)
            await caller.say(type="close")
            await caller.end()

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)
    assert KEY not in error(client.get("/live/none/provenance"), 404)["message"]
