"""What the API refuses, and how it says so."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import websockets

from core.studio import Studio
from core.web.api.keys import LOGIN_COOKIE
from tests.support.paths import SPEECH
from tests.support.serving import KEY, Serving, error, forget_people, form, serving, wait_for

OWNER = "an owner of the tests"


@pytest.fixture(scope="module")
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    limits = {"max_audio_bytes": 500_000, "max_image_bytes": 700_000, "max_video_bytes": 800_000, "max_audio_s": 8.0}
    with serving(studio, tmp_path_factory.mktemp("server"), cors_origins="https://ours.example", upload_timeout_s=1.5,
                 header_timeout_s=0.5, **limits) as server:  # fmt: skip
        yield server
    forget_people(studio)


ROUTES = (
    ("POST", "/generate"), ("POST", "/stream"), ("GET", "/jobs/x"), ("GET", "/jobs/x/result"), ("DELETE", "/jobs/x"), ("POST", "/avatars"),
    ("GET", "/avatars"), ("GET", "/avatars/x/thumbnail"), ("DELETE", "/avatars/x"), ("POST", "/cache/clear"), ("GET", "/metrics"),
)  # fmt: skip


@pytest.mark.parametrize("key", ["", "wrong", KEY + "x", KEY[:-1], "ä" * 20])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_works_without_the_key(server: Serving, method: str, path: str, key: str) -> None:
    headers = {"X-API-Key": key.encode()} if key else {}
    answer = httpx.request(method, server.url + path, headers=headers, trust_env=False)  # type: ignore[arg-type]  # bytes are taken
    assert error(answer, 401)["type"] == "Unauthorised"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_bearer_token_is_a_key(server: Serving) -> None:
    for scheme in ("Bearer", "bearer"):
        assert httpx.get(f"{server.url}/avatars", headers={"Authorization": f"{scheme} {KEY}"}, trust_env=False).status_code == 200
    error(httpx.get(f"{server.url}/avatars", headers={"Authorization": f"Basic {KEY}"}, trust_env=False), 401)


def handshake(server: Serving, path: str, **options: Any) -> int:
    """The status of a refused handshake, 101 of a good one."""

    async def connect() -> tuple[int, bytes]:
        try:
            async with websockets.connect(server.ws + path, proxy=None, **options):
                return 101, b""
        except websockets.InvalidStatus as refused:
            return refused.response.status_code, bytes(refused.response.body or b"")

    status, body = asyncio.run(connect())
    assert status == 101 or set(json.loads(body)) == {"error"}
    return status


def test_websockets_need_the_key_too(server: Serving, client: httpx.Client) -> None:
    token = client.post("/avatars", **form(audio=None)).json()["token"]
    coded = base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("=")
    assert handshake(server, f"/live?avatar={token}") == 401
    assert handshake(server, "/jobs/x/events") == 401
    assert handshake(server, f"/live?avatar={token}", subprotocols=["talking-head", "key.wrong"]) == 401
    assert handshake(server, f"/live?avatar={token}", subprotocols=["talking-head", f"key.{coded}"]) == 101
    assert handshake(server, f"/live?avatar={token}", additional_headers={"X-API-Key": KEY}) == 101
    assert handshake(server, "/live?avatar=unknown", additional_headers={"X-API-Key": KEY}) == 404
    assert handshake(server, "/live", additional_headers={"X-API-Key": KEY}) == 422
    assert handshake(server, "/nothing", additional_headers={"X-API-Key": KEY}) == 401


def test_a_web_page_of_another_origin_needs_a_key_of_its_own(server: Serving, client: httpx.Client) -> None:
    cookie = {"Cookie": server.context.keys.login_cookie(KEY, {"scheme": "http", "headers": []}).split(";")[0]}  # type: ignore[union-attr]
    bare = httpx.Client(base_url=server.url, trust_env=False)
    with bare:
        assert bare.get("/avatars", headers=cookie).status_code == 200
        error(bare.post("/cache/clear", headers={**cookie, "Origin": "https://evil.example"}, json={}), 403)
        error(bare.post("/cache/clear", headers={**cookie, "Origin": "null"}, json={}), 403)
        assert bare.post("/cache/clear", headers={**cookie, "Origin": server.url}, json={}).status_code == 200
        assert bare.post("/cache/clear", headers={**cookie, "Origin": "https://ours.example"}, json={}).status_code == 200
        ours = bare.get("/health", headers={"Origin": "https://ours.example"})
        assert ours.headers["access-control-allow-origin"] == "https://ours.example"
        assert "access-control-allow-origin" not in bare.get("/health", headers={"Origin": "https://evil.example"}).headers
    evil = {"Cookie": cookie["Cookie"], "Origin": "https://evil.example"}
    assert handshake(server, "/jobs/x/events", additional_headers=evil) == 403
    # A bad key beside a good cookie: what was sent is what counts.
    assert handshake(server, "/jobs/x/events", additional_headers=evil, subprotocols=["talking-head", "key.eA"]) == 401


def test_a_cookie_of_a_key_that_is_gone_is_worthless(server: Serving) -> None:
    assert httpx.get(f"{server.url}/avatars", headers={"Cookie": f"{LOGIN_COOKIE}={'0' * 64}"}, trust_env=False).status_code == 401


PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({"audio": b"no sound\n" * 50}, 415, "audio is a text file"),
        ({"audio": b"%PDF-1.7" + b"\0" * 5000}, 415, "PDF"),
        ({"image": b"no picture\n" * 50}, 415, "image is a text file"),
        ({"image": SPEECH}, 415, "image is a WAV recording"),
        ({"image": b"GIF89a" + b"\0" * 100}, 422, "cannot be decoded"),
        ({"image": b"8BPS" + b"\0" * 100}, 415, "Photoshop"),
        ({"audio": b""}, 422, "empty"),
        ({"audio": b"RIFF\0\0\0\0WAVEfmt " + b"\0" * 5000}, 422, ""),
        ({"image": PNG + b"\0" * 5000}, 422, ""),
        ({"audio": SPEECH.read_bytes() * 6}, 413, "audio has more than"),
        ({"image": PNG + b"\0" * 700_000}, 413, "image has more than"),
        ({"audio": None}, 400, "audio is missing"),
        ({"image": None}, 400, "image is missing"),
        ({"avatar": "0" * 40}, 400, "Both"),
        ({"image": None, "avatar": "0" * 40}, 404, "no avatar"),
        ({"image": None, "avatar": "../../etc"}, 404, "no avatar"),
        ({"options": "{"}, 422, "not JSON"),
        ({"options": "[" * 60_000}, 422, "not JSON"),
        ({"options": "[1]"}, 422, "not an object"),
        ({"options": "1" * 70_000}, 413, "options has more than"),
        ({"options": '{"sizes": 3}'}, 422, "sizes"),
        ({"options": '{"size": 321}'}, 422, "size is 321"),
        ({"options": '{"size": [1]}'}, 422, "size"),
        ({"options": '{"seed": -1}'}, 422, "seed is -1"),
        ({"options": '{"seed": 1e999}'}, 422, "seed"),
        ({"options": '{"blink": 99}'}, 422, "blink is 99"),
        ({"options": '{"blink": NaN}'}, 422, "blink"),
        ({"options": '{"emo": "happy"}'}, 422, "emo"),
        ({"options": '{"preset": "nonsense"}'}, 422, "nonsense"),
        ({"options": '{"face_index": 7}'}, 422, "Face 7"),
        ({"engine": "nonsense"}, 422, "nonsense"),
        ({"engine": "ditto"}, 422, "ditto"),
        ({"surprise": "x"}, 400, "surprise"),
    ],
)
def test_bad_forms_are_explained(client: httpx.Client, server: Serving, given: dict[str, Any], status: int, said: str) -> None:
    for path in ("/generate", "/stream"):
        about = error(client.post(path, **form(**given)), status)
        assert said.lower() in about["message"].lower()
    wait_for(server.idle)
    wait_for(lambda: server.left_over() == [])


def test_a_recording_of_many_seconds_in_few_bytes_is_refused(client: httpx.Client) -> None:
    import io

    import av
    import numpy as np

    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=16_000, layout="mono")
        for _ in range(200):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert "longer than 8 s" in error(client.post("/generate", **form(audio=file.getvalue())), 422)["message"]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"x", 415),
        ("multipart/form-data", b"x", 415),
        ("multipart/form-data; boundary=b", b"", 400),
        ("multipart/form-data; boundary=b", b"nonsense", 400),
        ("multipart/form-data; boundary=" + "b" * 1000, b"--b--", 400),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="audio"\r\n\r\nRIFF', 400),
        ("multipart/form-data; boundary=b", b"--b\r\nA: b\r\n\r\nx\r\n--b--\r\n", 400),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"A: b\r\n" * 100 + b"\r\nx\r\n--b--\r\n", 400),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="engine"\r\n\r\nx\r\n' * 2 + b"--b--\r\n", 400),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="engine"\r\n\r\n\xff\r\n--b--\r\n', 400),
    ],
)
def test_malformed_bodies_are_refused(client: httpx.Client, kind: str, body: bytes, status: int) -> None:
    error(client.post("/generate", content=body, headers={"Content-Type": kind}), status)


def test_a_body_beyond_every_limit_is_refused_by_its_declared_and_by_its_real_size(client: httpx.Client, server: Serving) -> None:
    most = server.context.settings.max_body_bytes
    error(client.post("/generate", content=b"x" * (most + 1)), 413)

    def endless() -> Iterator[bytes]:
        for _ in range(most // 50_000 + 2):
            yield b"x" * 50_000

    error(client.post("/cache/clear", content=endless(), headers={"Content-Type": "application/json"}), 413)


def test_an_upload_that_drips_is_cut_off(server: Serving) -> None:
    head = f"POST /generate HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nContent-Length: 100000\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    with server.connect() as socket:
        socket.sendall(head.encode() + b'--b\r\nContent-Disposition: form-data; name="audio"\r\n\r\nRIFF')
        answer = b""
        while chunk := socket.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"type": "TooSlow"' in answer
    wait_for(server.idle)
    assert server.left_over() == []


def test_a_head_that_drips_is_cut_off(server: Serving, client: httpx.Client) -> None:
    sockets = [server.connect() for _ in range(20)]
    for socket in sockets:
        socket.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ")
    assert client.get("/health").status_code == 200
    silent = server.connect()
    for socket in (*sockets, silent):
        try:
            assert socket.recv(100) == b""
        except ConnectionResetError:
            pass
        socket.close()


def test_garbage_instead_of_http_is_refused(server: Serving, client: httpx.Client) -> None:
    for garbage in (b"\0" * 100, b"GET\r\n\r\n", b"\x16\x03\x01" + b"x" * 500, b"GET / HTTP/1.1\r\n" + b"A" * 100_000):
        with server.connect() as socket:
            socket.sendall(garbage)
            try:
                answer = socket.recv(4096)
            except ConnectionResetError:
                answer = b""
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert client.get("/health").status_code == 200


def test_a_foreign_name_for_this_machine_is_refused(studio: Studio, server: Serving, tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(studio, tmp_path_factory.mktemp("open"), api_keys="") as open_server:
        bare = httpx.Client(base_url=open_server.url, trust_env=False)
        with bare:
            assert bare.get("/avatars").status_code == 200
            assert "TALKING_HEAD_ALLOWED_HOSTS" in error(bare.get("/avatars", headers={"Host": "evil.example"}), 421)["hint"]
            assert error(bare.get("/avatars", headers={"X-Forwarded-For": "203.0.113.9"}), 401)["hint"]
            error(bare.get("/avatars", headers={"X-Owner-Key": "short"}), 422)
            token = bare.post("/avatars", headers={"X-Owner-Key": OWNER}, **form(audio=None)).json()["token"]
            assert token not in [each["token"] for each in bare.get("/avatars").json()["avatars"]]
            assert len(bare.get("/avatars", headers={"X-Owner-Key": OWNER}).json()["avatars"]) == 1
            owner = base64.urlsafe_b64encode(OWNER.encode()).decode().rstrip("=")
            assert handshake(open_server, f"/live?avatar={token}") == 404
            assert handshake(open_server, f"/live?avatar={token}", subprotocols=["talking-head", f"owner.{owner}"]) == 101
            evil = {"Origin": "https://evil.example"}
            assert handshake(open_server, f"/live?avatar={token}", additional_headers=evil, subprotocols=[f"owner.{owner}"]) == 403
            bare.delete(f"/avatars/{token}", headers={"X-Owner-Key": OWNER})


def test_unknown_addresses_and_methods(client: httpx.Client) -> None:
    assert error(client.get("/nothing"), 404)["type"] == "NotFound"
    assert error(client.put("/generate"), 405)["type"] == "MethodNotAllowed"
    assert error(client.post("/cache/clear", json={"which": "everything"}), 422)["type"] == "InvalidRequest"
    error(client.get("/jobs/../../etc/passwd"), 404)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"which": "everything"}, "which: Input should be 'avatars', 'results', 'speech' or 'all' (given: 'everything')."),
        ({"which": 3}, "(given: '3')."),
        ({"which": None}, "which: Input should be"),
        ({"what": "all"}, "what: Extra inputs are not permitted (given: 'all')."),
        (["all"], "valid dictionary"),
    ],
)
def test_a_wrong_body_is_told_with_its_value(client: httpx.Client, body: Any, said: str) -> None:
    assert said in error(client.post("/cache/clear", json=body), 422)["message"]


def test_clearing_needs_no_body_and_a_body_must_be_json(client: httpx.Client) -> None:
    assert set(client.post("/cache/clear").json()) == {"freed_bytes"}
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        about = error(client.post("/cache/clear", content=b'{"which": "results"}', headers={"Content-Type": kind}), 422)
        assert about["hint"] == "Send JSON, with Content-Type: application/json."
    assert "JSON" in error(client.post("/cache/clear", content=b"{", headers={"Content-Type": "application/json"}), 422)["message"]


def test_refused_websockets_are_no_errors_in_the_log(server: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """They are what strangers send, not what the operator must look at."""
    key, evil = {"X-API-Key": KEY}, {"Origin": "https://evil.example"}
    assert handshake(server, "/live?avatar=x") == 401
    assert handshake(server, "/live?avatar=x", additional_headers=evil) == 403
    assert handshake(server, "/live?avatar=unknown", additional_headers=key) == 404
    assert handshake(server, "/live", additional_headers=key) == 422
    assert handshake(server, "/nothing", additional_headers=key) == 401
    assert handshake(server, "/jobs/x/events", additional_headers=key) == 404

    async def go_at_once() -> None:
        reader, writer = await asyncio.open_connection(*server.address)
        head = "GET /jobs/x/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\nX-API-Key: {KEY}\r\n\r\n".encode())
        await writer.drain()
        writer.transport.abort()

    asyncio.run(go_at_once())
    httpx.get(f"{server.url}/health", trust_env=False)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_who_asks_too_often_is_told_when_to_come_back(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(studio, tmp_path_factory.mktemp("strict"), requests_per_minute=5, jobs_per_minute=2) as server, server.client() as client:
        for _ in range(2):
            assert client.post("/generate", **form(audio=None)).status_code == 400
        answer = client.post("/generate", **form())
        assert error(answer, 429)["type"] == "TooMany"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        for _ in range(2):
            assert client.get("/avatars").status_code == 200
        error(client.get("/avatars"), 429)
        assert client.get("/health").status_code == 200


def test_one_owner_may_not_upload_everything_at_once(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(studio, tmp_path_factory.mktemp("narrow"), owner_uploads_at_once=1) as server, server.client() as client:
        release = threading.Event()

        def slow() -> Iterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="engine"\r\n\r\n'
            release.wait(10)
            yield b"x\r\n--b--\r\n"

        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        waiting = threading.Thread(target=lambda: client.post("/generate", content=slow(), headers=kind))
        waiting.start()
        wait_for(lambda: server.context.uploads.taken == 1)
        with server.client() as second:
            error(second.post("/generate", **form()), 429)
        release.set()
        waiting.join()
        assert server.context.uploads.taken == 0


def test_a_full_house_is_told_before_the_upload(server: Serving, client: httpx.Client) -> None:
    scheduler = server.context.studio.scheduler
    go = threading.Event()
    jobs = []
    try:
        limits = scheduler.stats()
        for n in range(limits["max_jobs"] + limits["max_queue"]):
            jobs.append(scheduler.schedule(lambda job: go.wait(30), f"owner {n}"))
        answer = client.post("/generate", **form())
        assert error(answer, 503)["type"] == "BusyError"
        assert int(answer.headers["retry-after"]) > 0
    finally:
        for job in jobs:
            job.cancel()
        go.set()
    wait_for(server.idle)


def test_consent_is_asked_for_where_the_deployment_requires_it(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(studio, tmp_path_factory.mktemp("careful"), require_consent=True) as server, server.client() as client:
        for path, given in (("/generate", {}), ("/avatars", {"audio": None})):
            assert "consent" in error(client.post(path, **form(**given)), 422)["message"]  # type: ignore[arg-type]
        card = client.post("/avatars", **form(audio=None, consent="true")).json()
        assert card["consent"]
        client.delete(f"/avatars/{card['token']}")
