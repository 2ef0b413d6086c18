"""Videos, jobs and streams of the API, through a real server and real clients."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from core.engines.lite import LiteSession
from tests.support.paths import LONG_SPEECH
from tests.support.serving import KEY, OTHER_KEY, Serving, error, form, wait_for
from tests.support.streams import n_frames


def started(client: httpx.Client, **fields: str) -> str:
    answer = client.post("/generate?async=1", **form(**fields))
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    return answer.json()["id"]


def test_generate_answers_with_the_video_and_forgets_it(server: Serving, client: httpx.Client) -> None:
    answer = client.post("/generate", **form(options='{"size": 128, "seed": 5}'))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    info = json.loads(answer.headers["x-generation-info"])
    assert (info["width"], info["seed"], info["engine"], info["label"]) == (128, 5, "lite", True)
    assert n_frames(answer.content) == info["frames"] == 75
    wait_for(lambda: server.left_over() == [])
    error(client.get(f"/jobs/{answer.headers['x-job-id']}"), 404)


def test_a_job_is_watched_fetched_and_deleted(server: Serving, client: httpx.Client) -> None:
    job = started(client, options='{"size": 128, "seed": 6}')
    wait_for(lambda: client.get(f"/jobs/{job}").json()["state"] == "done")
    status = client.get(f"/jobs/{job}").json()
    assert status["stage"] == "done"
    assert status["progress"] == 1
    assert status["info"]["frames"] == 75
    video = client.get(status["result"])
    assert n_frames(video.content) == 75
    part = client.get(status["result"], headers={"Range": "bytes=0-99"})
    assert (part.status_code, part.content) == (206, video.content[:100])
    assert client.delete(f"/jobs/{job}").json()["state"] == "done"
    error(client.get(f"/jobs/{job}"), 404)
    error(client.get(status["result"]), 404)
    wait_for(lambda: server.left_over() == [])


def test_a_job_is_its_owners(server: Serving, client: httpx.Client) -> None:
    job = started(client, options='{"size": 128, "seed": 7}')
    with server.client(OTHER_KEY) as other:
        unknown = error(other.get("/jobs/nothing"), 404)
        for method, path in (("GET", f"/jobs/{job}"), ("GET", f"/jobs/{job}/result"), ("DELETE", f"/jobs/{job}")):
            assert error(other.request(method, path), 404) == unknown

    async def watch() -> None:
        async with websockets.connect(f"{server.ws}/jobs/{job}/events", additional_headers={"X-API-Key": OTHER_KEY}, proxy=None):
            pass

    with pytest.raises(websockets.InvalidStatus) as caught:
        asyncio.run(watch())
    assert caught.value.response.status_code == 404
    client.delete(f"/jobs/{job}")


def test_events_are_pushed_up_to_the_end(server: Serving, client: httpx.Client) -> None:
    job = started(client, options='{"size": 128, "seed": 8}')

    async def watch() -> tuple[list[dict[str, object]], int | None]:
        said = []
        async with websockets.connect(f"{server.ws}/jobs/{job}/events", additional_headers={"X-API-Key": KEY}, proxy=None) as socket:
            async for message in socket:
                said.append(json.loads(message))
        return said, socket.close_code

    said, code = asyncio.run(watch())
    assert code == 1000
    assert said[-1]["state"] == "done"
    assert said[-1]["result"] == f"/jobs/{job}/result"
    progress = [each["progress"] for each in said]
    assert progress == sorted(progress)
    client.delete(f"/jobs/{job}")


def test_deleting_a_job_really_stops_it(server: Serving, client: httpx.Client, slowly: threading.Event) -> None:
    job = started(client, options='{"size": 64, "seed": 9}')
    wait_for(lambda: client.get(f"/jobs/{job}").json()["stage"] == "animating")
    error(client.get(f"/jobs/{job}/result"), 409)
    status = client.delete(f"/jobs/{job}").json()
    assert status["state"] == "cancelled"
    assert server.idle()
    wait_for(lambda: server.left_over() == [])


@pytest.mark.parametrize("path", ["/generate", "/stream"])
def test_a_client_that_goes_away_stops_the_work(server: Serving, slowly: threading.Event, path: str) -> None:
    with server.client() as client:
        client.timeout = httpx.Timeout(10, read=1.5)
        with pytest.raises(httpx.ReadTimeout), client.stream("POST", path, **form(options='{"size": 64, "seed": 10}')) as answer:
            for _ in answer.iter_raw():
                pass
    wait_for(server.idle, 10)
    wait_for(lambda: server.left_over() == [])


def test_a_client_that_goes_during_the_upload_leaves_nothing(server: Serving) -> None:
    head = f"POST /generate HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nContent-Length: 1000000\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    part = '--b\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n'
    with server.connect() as socket:
        socket.sendall(head.encode() + part.encode() + LONG_SPEECH.read_bytes()[:100_000])
        wait_for(lambda: server.context.uploads.taken == 1)
    wait_for(server.idle)
    assert server.left_over() == []


def test_many_aborted_connections_leave_the_server_as_it_was(server: Serving, client: httpx.Client) -> None:
    request = httpx.Request("POST", f"{server.url}/generate", headers={"X-API-Key": KEY}, **form())
    whole = b"POST /generate HTTP/1.1\r\n" + b"".join(b"%s: %s\r\n" % pair for pair in request.headers.raw) + b"\r\n" + request.read()
    before = threading.active_count()
    for n in range(100):
        with server.connect() as socket:
            socket.sendall(whole[: (n * 7919) % len(whole)])
    wait_for(lambda: server.idle() and server.left_over() == [] and threading.active_count() <= before + 6)  # 6: the loop's own pool
    assert client.get("/avatars").status_code == 200


def test_an_engine_that_fails_is_told_without_details(client: httpx.Client, monkeypatch: pytest.MonkeyPatch, server: Serving) -> None:
    drawn = LiteSession._drawn
    left = [40]

    def fail(session: LiteSession, row: Any, controls: Any) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("at /root/secret/engine.py")
        return drawn(session, row, controls)

    monkeypatch.setattr(LiteSession, "_drawn", fail)
    assert error(client.post("/generate", **form(options='{"size": 64, "seed": 11}')), 500)["type"] == "InternalError"
    job = started(client, options='{"size": 64, "seed": 11}')
    wait_for(lambda: client.get(f"/jobs/{job}").json()["state"] == "failed")
    assert client.get(f"/jobs/{job}").json()["error"]["type"] == "InternalError"
    error(client.get(f"/jobs/{job}/result"), 500)
    client.delete(f"/jobs/{job}")
    left[0] = 40
    with client.stream("POST", "/stream", **form(options='{"size": 64}')) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()  # it breaks off, so that nobody takes it for whole
    wait_for(server.idle)


def test_a_stream_is_a_fragmented_video_of_every_frame(client: httpx.Client) -> None:
    with client.stream("POST", "/stream", **form(audio=LONG_SPEECH, options='{"size": 128}')) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith('video/mp4; codecs="avc1.')
        pieces = list(answer.iter_raw())
    assert pieces[0][4:8] == b"ftyp"
    assert n_frames(b"".join(pieces)) == 178


def test_errors_of_a_stream_before_its_first_piece_are_answers(client: httpx.Client, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (256, 256), (40, 90, 160)).save(tmp_path / "wall.png")
    assert error(client.post("/stream", **form(image=tmp_path / "wall.png")), 422)["type"] == "FaceError"
    assert error(client.post("/generate", **form(image=tmp_path / "wall.png")), 422)["type"] == "FaceError"


def test_people_are_registered_listed_used_and_deleted(server: Serving, client: httpx.Client) -> None:
    card = client.post("/avatars", **form(audio=None, name="Ada")).json()
    assert (card["name"], card["kind"], card["face_index"]) == ("Ada", "photo", 0)
    assert client.post("/avatars", **form(audio=None)).json()["token"] == card["token"]
    assert [each["token"] for each in client.get("/avatars").json()["avatars"]] == [card["token"]]
    assert client.get(card["thumbnail"]).content[:2] == b"\xff\xd8"
    answer = client.post("/generate", **form(image=None, avatar=card["token"], options='{"size": 64}'))
    assert json.loads(answer.headers["x-generation-info"])["avatar"] == card["token"]
    with server.client(OTHER_KEY) as other:
        assert other.get("/avatars").json() == {"avatars": []}
        unknown = error(other.get("/avatars/" + "0" * 40 + "/thumbnail"), 404)["message"].replace("0" * 40, card["token"])
        assert error(other.get(card["thumbnail"]), 404)["message"] == unknown
        error(other.delete(f"/avatars/{card['token']}"), 404)
        error(other.post("/generate", **form(image=None, avatar=card["token"])), 404)
    assert client.delete(f"/avatars/{card['token']}").json()["freed_bytes"] > 0
    error(client.get(card["thumbnail"]), 404)


def test_a_person_is_registered_as_a_job(client: httpx.Client) -> None:
    job = client.post("/avatars?async=1", **form(audio=None)).json()
    wait_for(lambda: client.get(f"/jobs/{job['id']}").json()["state"] == "done")
    token = client.get(f"/jobs/{job['id']}").json()["avatar"]
    error(client.get(f"/jobs/{job['id']}/result"), 409)
    assert client.post("/cache/clear", json={"which": "avatars"}).json()["freed_bytes"] > 0
    error(client.get(f"/avatars/{token}/thumbnail"), 404)


def test_clearing_the_results_takes_those_of_jobs_along(server: Serving, client: httpx.Client) -> None:
    job = started(client, options='{"size": 64, "seed": 12}')
    wait_for(lambda: client.get(f"/jobs/{job}").json()["state"] == "done")
    with server.client(OTHER_KEY) as other:
        other.post("/cache/clear", json={"which": "all"})
    assert client.get(f"/jobs/{job}/result").status_code == 200
    assert client.post("/cache/clear", json={"which": "results"}).json()["freed_bytes"] > 0
    error(client.get(f"/jobs/{job}"), 404)


def test_ended_jobs_are_forgotten_in_time(server: Serving, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job = started(client, options='{"size": 64, "seed": 13}')
    wait_for(lambda: client.get(f"/jobs/{job}").json()["state"] == "done")
    now = time.time
    monkeypatch.setattr("core.service.jobs.time.time", lambda: now() + 3601)
    server.context.jobs.sweep()
    monkeypatch.undo()
    error(client.get(f"/jobs/{job}"), 404)
    wait_for(lambda: server.left_over() == [])


def test_health_and_figures(client: httpx.Client) -> None:
    health = client.get("/health", headers={"X-API-Key": ""})
    assert health.status_code == 200
    about = health.json()
    assert (about["live"], about["ready"], about["engine"]) == (True, True, "lite")
    assert about["queue"]["max_jobs"] == 1
    figures = client.get("/metrics").text
    names = ["requests_total", "generation_seconds", "first_frame_seconds", "real_time_factor", "queue", "cache", "live_sessions"]
    names += ["live_refused_total", "live_late_seconds", 'live_load{of="cores"}', 'live_frame_lateness_seconds_bucket{le="+Inf"}']
    for name in names:
        assert f"talking_head_{name}" in figures
    assert "process_resident_memory_bytes" in figures
    assert "api:" not in figures
