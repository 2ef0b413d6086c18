"""`landmarks` over HTTP: a face that is not found speaks, wrong points are told, and an avatar keeps its own."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.support.cat import AS_TEXT, CAT, LANDMARKS
from tests.support.paths import SPEECH
from tests.support.serving import error


def form(**options: object) -> dict[str, object]:
    """Of the cat and half a sentence."""
    return {
        "files": {"audio": ("speech.wav", SPEECH.read_bytes()), "image": ("cat.jpg", CAT.read_bytes())},
        "data": {"options": json.dumps({"size": 64, **options})},
    }


def test_a_face_that_is_not_found_speaks_by_its_points(client: httpx.Client) -> None:
    assert "landmarks" in error(client.post("/generate", **form()), 422)["hint"]
    for landmarks in (LANDMARKS, AS_TEXT):
        answer = client.post("/generate", **form(landmarks=landmarks))
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "video/mp4"


@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("3 entries instead of 6 points", {"landmarks": LANDMARKS[:3]}),
        ("chin is (0.5, 3.0)", {"landmarks": [*LANDMARKS[:5], [0.5, 3.0]]}),
        ("not in the order of a face", {"landmarks": [*LANDMARKS[:4], [0.5, 0.1], LANDMARKS[5]]}),
        ("Both landmarks and face 2", {"landmarks": LANDMARKS, "face_index": 2}),
    ],
)
def test_wrong_points_are_told(client: httpx.Client, message: str, options: dict[str, object]) -> None:
    told = error(client.post("/generate", **form(**options)), 422)
    assert message in told["message"]
    assert told["hint"]


def test_an_avatar_keeps_its_points(client: httpx.Client) -> None:
    sent = form(landmarks=LANDMARKS)
    del sent["files"]["audio"]  # type: ignore[attr-defined]
    sent["data"] = {"options": json.dumps({"landmarks": LANDMARKS}), "name": "Cat"}
    made = client.post("/avatars", **sent)
    assert made.status_code == 201, made.text
    (avatar,) = [each for each in client.get("/avatars").json()["avatars"] if each["name"] == "Cat"]
    assert [tuple(point) for point in avatar["landmarks"]] == list(LANDMARKS)
    speech = {"audio": ("speech.wav", SPEECH.read_bytes())}
    answer = client.post("/generate", files=speech, data={"avatar": avatar["token"], "options": '{"size": 64}'})
    assert answer.status_code == 200, answer.text
