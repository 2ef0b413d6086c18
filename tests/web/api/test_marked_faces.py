"""`landmarks` over HTTP: a face that is not found speaks, wrong points are told by their code, and an avatar keeps its own."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.support.cat import AS_TEXT, CAT, LANDMARKS
from tests.support.paths import SPEECH
from tests.support.serving import error, wait_for_job


def form(**options: object) -> dict[str, object]:
    """Of the cat and half a sentence."""
    return {
        "files": {"audio": ("speech.wav", SPEECH.read_bytes()), "image": ("cat.jpg", CAT.read_bytes())},
        "data": {"options": json.dumps({"size": 64, **options})},
    }


def test_a_face_that_is_not_found_speaks_by_its_points(client: httpx.Client) -> None:
    assert error(client.post("/generate", **form()), 422)["code"] == "face_none"
    for landmarks in (LANDMARKS, AS_TEXT):
        answer = client.post("/generate", **form(landmarks=landmarks))
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "video/mp4"


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("landmarks_count", {"landmarks": LANDMARKS[:3]}),
        ("landmarks_point", {"landmarks": [*LANDMARKS[:5], [0.5, 3.0]]}),
        ("landmarks_order", {"landmarks": [*LANDMARKS[:4], [0.5, 0.1], LANDMARKS[5]]}),
        ("landmarks_and_face", {"landmarks": LANDMARKS, "face_index": 2}),
    ],
)
def test_wrong_points_are_told(client: httpx.Client, code: str, options: dict[str, object]) -> None:
    told = error(client.post("/generate", **form(**options)), 422)
    assert told["code"] == code
    assert told["hint"]


def test_an_avatar_keeps_its_points(client: httpx.Client) -> None:
    sent = form(landmarks=LANDMARKS)
    del sent["files"]["audio"]  # type: ignore[attr-defined]
    sent["data"] = {"options": json.dumps({"landmarks": LANDMARKS}), "name": "Cat"}
    made = client.post("/avatars", **sent)
    assert made.status_code in (200, 201, 202), made.text
    (avatar,) = [each for each in client.get("/avatars").json()["avatars"] if each["name"] == "Cat"]
    assert [tuple(point) for point in avatar["landmarks"]] == list(LANDMARKS)
    speech = {"audio": ("speech.wav", SPEECH.read_bytes())}
    answer = client.post("/generate", files=speech, data={"avatar": avatar["token"], "options": '{"size": 64}'})
    assert answer.status_code == 200, answer.text
