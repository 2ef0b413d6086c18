"""Nothing that a stranger names is copied, served or connected to, on any of the three programs."""

from __future__ import annotations

import json
import secrets
import socket
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.app_process import stop_app
from tests.support.page_config import page_config
from tests.support.paths import PORTRAIT, SPEECH
from tests.web.guards.conftest import Audited, start

META = {"_type": "gradio.FileData"}
SECRET = "this stands in a file of the server"  # noqa: S105 - to be found where it must not be


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("private") / "secret.png"
    path.write_text(SECRET)
    return path


@pytest.fixture
def canary() -> Iterator[socket.socket]:
    """Listens on all of loopback, and nobody may come."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening
        with pytest.raises(BlockingIOError):
            listening.accept()


def names_of(canary: socket.socket) -> list[str]:
    port = canary.getsockname()[1]
    hosts = [
        "127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost.",
        "169.254.169.254", "[fe80::1]", "100.64.0.1", "10.0.0.1", "192.168.0.1", "user@127.0.0.1", "example.org",
    ]  # fmt: skip
    others = [f"{scheme}//127.0.0.1:{port}/x" for scheme in ("HTTPS:", "", "ftp:", "gopher:")]
    return [f"http://{host}:{port}/x.png" for host in hosts] + others


def file_of(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "meta": META, **more}


def upload(client: httpx.Client, path: Path = PORTRAIT) -> str:
    answer = client.post("gradio_api/upload", files={"files": (path.name, path.read_bytes())})
    assert answer.status_code == 200, answer.text
    return str(answer.json()[0])


def kept(program: Audited) -> set[Path]:
    return {path for path in program.outputs.rglob("*") if path.is_file()}


def forms(path: str) -> list[Any]:
    """Ways to hide a file object."""
    deep: Any = file_of(path)
    for _ in range(6):
        deep = {"x": [deep]}
    return [
        file_of(path),
        {"x": file_of(path)},
        [[{"a": [file_of(path)]}]],
        deep,
        {"path": path},
        {"path": path, "meta": {"_type": "gradio.ImageData"}},
        {"url": path},
        file_of(path, is_stream=True),
        {"__type__": "update", "value": file_of(path)},
        {"video": file_of(path), "subtitles": None},
        json.dumps({"x": file_of(path)}),
        json.dumps([json.dumps(file_of(path))]),
        {"files": [{"file": file_of(path), "alt_text": "x"}], "text": ""},
    ]


def ways(program: Audited, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Addresses and bodies that bring one value everywhere that a client can put one."""
    session = secrets.token_hex(8)
    for name in ("process_talking_head", "process_talking_head_optimized", "preload_avatar"):
        yield f"gradio_api/call/{name}", {"data": [value, value, value, value]}
        yield f"gradio_api/call/v2/{name}", {"audio": value, "image": value, "options": value}
        yield f"gradio_api/run/{name}", {"data": [value] * 4, "session_hash": session}
        yield f"gradio_api/api/{name}/", {"data": [value] * 4}
    yield "gradio_api/queue/join", {"data": [value], "fn_index": 1, "session_hash": session}
    yield "gradio_api/queue/join", {"data": [], "event_data": value, "fn_index": 1, "session_hash": session}
    yield "gradio_api/cancel", {"session_hash": session, "fn_index": 0, "event_id": "x", "more": value}
    yield "gradio_api/reset", {"event_id": "x", "more": [value]}


def test_a_file_object_that_is_no_upload_is_refused_everywhere(program: Audited, secret: Path, visitor: str) -> None:
    before, connections = kept(program), program.connections()
    with program.client(visitor) as client:
        for value in forms(str(secret)):
            for address, body in ways(program, value):
                answer = client.post(address, json=body)
                assert answer.status_code == 422, (address, value)
                assert "not uploaded" in answer.json()["error"]["message"]
        for root in (program.outputs, Path("/")):
            for path in (f"{root}/../{secret.name}", f"{root}/{'0' * 48}/x.png", str(root), "", ".", "/etc/passwd", "a\0b", "x" * 5000):
                body = {"data": [None, None, "", {"x": file_of(path)}]}
                answer = client.post("gradio_api/call/process_talking_head_optimized", json=body)
                assert answer.status_code == 422
    assert kept(program) == before
    assert program.connections() == connections


def test_every_function_of_the_page_refuses_it(program: Audited, secret: Path, visitor: str) -> None:
    with program.client(visitor) as client:
        functions = [each for page in ("", "de") for each in page_config(client.get(page).text)["dependencies"]]
        assert len(functions) > 10
        for function in functions:
            data = [file_of(str(secret))] * max(1, len(function["inputs"]))
            for address in ("gradio_api/queue/join", "gradio_api/run/predict"):
                answer = client.post(address, json={"data": data, "fn_index": function["id"], "session_hash": "abcdefgh"})
                assert answer.status_code == 422


def test_no_address_is_connected_to(program: Audited, canary: socket.socket, visitor: str) -> None:
    before = program.connections()
    with program.client(visitor) as client:
        own = upload(client)
        for address in names_of(canary):
            for value in (file_of(address), {"x": file_of(address, url=address)}, file_of(own, url=address), {"url": address}):
                answer = client.post("gradio_api/call/process_talking_head_optimized", json={"data": [value, value, "", {"x": value}]})
                assert answer.status_code == 422
                assert "addresses are not accepted" in answer.json()["error"]["message"]
            for route in ("file=", "file/", "proxy=", "stream/"):
                quoted = urllib.parse.quote(address)
                assert client.get(f"gradio_api/{route}{address}").status_code in (403, 404)
                assert client.get(f"gradio_api/{route}{quoted}", follow_redirects=False).status_code in (403, 404)
            for name, data in (
                ("process_talking_head", [address, address, address, address, 1, 0, False]),
                ("process_talking_head_optimized", [None, None, address, {"seed": address, "engine": address}]),
            ):
                answer = client.post(f"gradio_api/call/{name}", json={"data": data})
                assert answer.status_code in (200, 404)  # not every program has every endpoint
                if answer.status_code == 200:
                    assert "event: error" in client.get(f"gradio_api/call/{name}/{answer.json()['event_id']}").text
    assert program.connections() == before


def test_an_upload_is_its_visitors(program: Audited, visitor: str) -> None:
    with program.client(visitor) as client, program.client(secrets.token_hex(24)) as other, program.client() as nobody:
        mine, hers, unknown = upload(client), upload(other), upload(nobody)
        assert len({mine, hers, unknown}) == 3  # though it is the same file
        for asking, own in ((client, mine), (other, hers), (nobody, unknown)):
            for path in (mine, hers, unknown):
                address = f"gradio_api/file={urllib.parse.quote(path)}"
                fetched, headed = asking.get(address), asking.head(address)
                assert fetched.status_code == headed.status_code == (200 if path == own else 403)
                assert (fetched.content == PORTRAIT.read_bytes()) == (path == own)
                body = {"data": [None, file_of(path), "auto", "320", 1, 0, False]}
                named = asking.post("gradio_api/call/process_talking_head", json=body)
                assert named.status_code == (200 if path == own else 422)
        key = {"X-Owner-Key": "a key of somebody else, long enough"}
        assert client.get(f"gradio_api/file={urllib.parse.quote(mine)}", headers=key).status_code == 403
        fetched = client.get(f"gradio_api/file={urllib.parse.quote(mine)}", headers={"Range": "bytes=0-9"})
        assert fetched.content[:10] == PORTRAIT.read_bytes()[:10]


def test_only_ones_own_videos_are_served(program: Audited, visitor: str) -> None:
    with program.client(visitor) as client, program.client(secrets.token_hex(24)) as other:
        photo, speech = upload(client), upload(client, SPEECH)
        files = [file_of(path, url=f"{program.server.url}gradio_api/file={path}", orig_name="x") for path in (speech, photo)]
        called = client.post("gradio_api/call/process_talking_head", json={"data": [*files, "auto", "320", 1, 0, False]})
        event = called.json()["event_id"]
        told = client.get(f"gradio_api/call/process_talking_head/{event}").text
        assert "event: complete" in told, told
        video = json.loads(told.rsplit("data: ", 1)[1])[0]["path"]
        address = f"gradio_api/file={urllib.parse.quote(video)}"
        assert client.get(address).content[4:8] == b"ftyp"
        assert other.get(address).status_code == 403
        for path in (program.outputs / "inputs", program.outputs, program.server.log, Path("/etc/hostname"), Path(__file__)):
            assert client.get(f"gradio_api/file={urllib.parse.quote(str(path))}").status_code == 403
        assert client.get(f"gradio_api/file={urllib.parse.quote(video)}/../../../x").status_code in (403, 404)


def test_other_routes_of_gradio_are_closed(program: Audited, visitor: str) -> None:
    with program.client(visitor) as client:
        for route in (
            "dev/reload",
            "monitoring", "deep_link?session_hash=x", "file/etc/passwd", "proxy=http://127.0.0.1/", "stream/a/b/1/playlist.m3u8",
            "runs",
            "token", "user", "vibe-code", "profiling/traces", "custom_component/x/client/component/index.js", "mcp/sse", "queue/status",
        ):  # fmt: skip
            assert client.get(f"gradio_api/{route}").status_code == 404, route
        for route in ("component_server",
                      "process_recording", "vibe-edit", "undo-vibe-edit", "vibe-code/", "vibe-starter-queries", "stream/x",
                      "run-history/connect"):  # fmt: skip
            assert client.post(f"gradio_api/{route}", json={}).status_code == 404, route
        for path in ("monitoring", "monitoring/summary", "pwa_icon", "logout"):
            assert client.get(path).status_code == 404


def test_json_is_bounded(program: Audited, visitor: str) -> None:
    with program.client(visitor) as client:
        address = "gradio_api/call/process_talking_head"
        deep = b'{"data":' + b"[" * 40 + b"]" * 40 + b"}"
        for body in (b"[" * 100_000, deep, b'{"data": [' + b'"[[[",' * 10 + b"]", b"\xff\xfe", b"not json"):
            assert client.post(address, content=body, headers={"Content-Type": "application/json"}).status_code == 422
        assert client.post(address, json={"data": ["x" * 2**20]}).status_code == 413
        assert client.post(address, files={"data": ("x", b"y")}).status_code == 422


def test_gradio_checks_a_mounted_page_by_itself_as_well(secret: Path, tmp_path: Path, canary: socket.socket) -> None:
    """The same attack on the server without our guard."""
    program = start(tmp_path, "api_server.py", GUARDS_OFF="1")
    try:
        with program.client() as client:
            body = {"data": [None, None, "", {"x": file_of(str(secret))}]}
            called = client.post("gradio_api/call/process_talking_head_optimized", json=body)
            told = client.get(f"gradio_api/call/process_talking_head_optimized/{called.json()['event_id']}").text
            assert "event: error" in told
        assert not [path for path in program.outputs.rglob("*") if path.is_file() and path.read_bytes() == SECRET.encode()]
    finally:
        stop_app(program.server)
