"""Uploads to the pages of the three programs: judged while they arrive, bounded, and nothing stays of what is refused."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.app_process import stop_app
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.serving import wait_for
from tests.web.guards.conftest import Audited, start

LIMIT = 400_000
"""Bytes of one visitor's uploads in the small server; of these tests' files some fit, and not many."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    limits = {"OWNER_UPLOADS_BYTES": str(LIMIT), "UPLOADS_PER_MINUTE": "25", "UPLOADS_AT_ONCE": "3", "OWNER_UPLOADS_AT_ONCE": "1",
              "UPLOAD_TIMEOUT_S": "3", "MAX_IMAGE_BYTES": "300000"}  # fmt: skip
    program = start(tmp_path_factory.mktemp("small"), "app.py", **{f"TALKING_HEAD_{name}": value for name, value in limits.items()})
    yield program
    stop_app(program.server)


def send(client: httpx.Client, data: bytes, name: str = "x.png", query: str = "", **headers: str) -> httpx.Response:
    return client.post(f"gradio_api/upload{query}", files={"files": (name, data)}, headers=headers)


def picture(nbytes: int, mark: int = 0) -> bytes:
    """What begins as a PNG; each mark makes another file."""
    return PORTRAIT.read_bytes()[:4096] + bytes([mark]) * (nbytes - 4096)


def files(program: Audited) -> list[Path]:
    return [path for path in program.outputs.rglob("*") if path.is_file()]


def visitors() -> str:
    return secrets.token_hex(24)


def test_only_photos_videos_and_recordings_are_taken(program: Audited, visitor: str) -> None:
    before = set(program.outputs.iterdir())
    with program.client(visitor) as client:
        for data in (b"no picture\n" * 500, b"%PDF-1.4\n" * 900, b"\x7fELF" + bytes(9000), b"7z\xbc\xaf'\x1c" + bytes(50), b"<html>" * 3):
            answer = send(client, data, "a <b>/../photo.png")
            assert answer.status_code == 415
            assert answer.headers["content-type"].startswith("text/plain")
            assert answer.text.startswith("photo.png is neither a photo nor a recording that can be used here.")
        german = send(client, b"no picture\n" * 500, Referer=f"{program.server.url}de?__theme=dark")
        assert german.text.startswith("x.png ist weder ein Foto noch eine Aufnahme")
        for body, kind in ((b"x", "text/plain"), (b"x", "multipart/form-data"), (b"--x\r\n\r\n", "multipart/form-data; boundary=x")):
            refused = client.post("gradio_api/upload", content=body, headers={"Content-Type": kind})
            assert refused.status_code in (400, 415)
            assert "/" + program.server.folder.name not in refused.text
        assert client.post("gradio_api/upload", files={"other": ("x.png", PORTRAIT.read_bytes())}).status_code == 400
    assert set(program.outputs.iterdir()) == before


def test_it_is_refused_before_it_has_come(program: Audited, visitor: str) -> None:
    """Of a file that never ends the first bytes are enough; nothing of it is on the disk."""
    before = set(program.outputs.iterdir())
    address = urlsplit(program.server.url)
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="endless.png"\r\n\r\n'
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: 90000000\r\nCookie: talking_head_visitor={visitor}\r\n\r\n".encode() + head + b"no picture " * 1000
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 415 ")
    wait_for(lambda: set(program.outputs.iterdir()) == before)


def test_how_far_it_is_is_told_and_its_end(program: Audited, visitor: str) -> None:
    with program.client(visitor) as client, program.client(visitors()) as other:
        paths = send(client, PORTRAIT.read_bytes(), "my photo.png", "?upload_id=of-the-tests").json()
        assert [path.rsplit("/", 1)[1] for path in paths] == ["my photo.png"]
        assert other.get("gradio_api/upload_progress?upload_id=of-the-tests").status_code == 404
        events = client.get("gradio_api/upload_progress?upload_id=of-the-tests").text.split("\n\n")
        told = [json.loads(event.removeprefix("data: ")) for event in events if event]
        assert told[-1] == {"msg": "done"}
        assert {each["orig_name"] for each in told[:-1]} == {"my photo.png"}
        assert sum(each["chunk_size"] for each in told[:-1]) >= PORTRAIT.stat().st_size
        send(client, b"no picture\n" * 500, query="?upload_id=refused")
        assert '"done"' in client.get("gradio_api/upload_progress?upload_id=refused").text


def test_several_files_of_one_form_are_kept_apart(program: Audited, visitor: str) -> None:
    with program.client(visitor) as client:
        given = (("a.png", PORTRAIT), ("a.png", PORTRAIT), ("b", SPEECH))
        form = [("files", (name, path.read_bytes())) for name, path in given]
        paths = client.post("gradio_api/upload", files=form).json()
        assert [Path(path).read_bytes() for path in paths] == [data for _, (_, data) in form]
        assert len({Path(path).parent for path in paths}) == 3
        names = ("", "..", "\u20000" * 90, "a/b\\c", "x" * 900 + ".png", "\U00020000" * 200)
        for name in names:
            answer = send(client, PORTRAIT.read_bytes(), name or "upload")
            assert answer.status_code == 200
            assert Path(answer.json()[0]).is_file()
        assert client.post("gradio_api/upload", files=[("files", ("a.png", PORTRAIT.read_bytes()))] * 9).status_code == 400


def test_the_oldest_of_a_visitor_go_first(small: Audited) -> None:
    with small.client(visitors()) as client, small.client(visitors()) as other:
        theirs = send(other, picture(150_000, 9)).json()[0]
        paths = [send(client, picture(150_000, mark)).json()[0] for mark in range(4)]
        assert [Path(path).is_file() for path in paths] == [False, False, True, True]
        assert Path(theirs).is_file()
        body = {"data": [{"path": paths[0], "meta": {"_type": "gradio.FileData"}}] * 2 + ["auto", "320", 1, 0, False]}
        event = client.post("gradio_api/call/process_talking_head", json=body).json()["event_id"]
        assert "is no longer here" in client.get(f"gradio_api/call/process_talking_head/{event}").text


def test_what_is_too_large_is_refused_and_leaves_nothing(small: Audited) -> None:
    before = set(files(small))
    with small.client(visitors()) as client:
        large = send(client, picture(300_001))
        assert (large.status_code, large.text) == (413, "x.png is too large: at most 300000 bytes are taken.")
        form = [("files", (f"{n}.png", picture(250_000, n))) for n in range(2)]
        assert client.post("gradio_api/upload", files=form).status_code == 413
    assert set(files(small)) == before


def test_one_visitor_and_one_address_have_so_many_at_once_and_in_a_minute(small: Audited) -> None:
    address = urlsplit(small.server.url)
    one, two = visitors(), visitors()

    def begun(visitor: str) -> socket.socket:
        connection = socket.create_connection((address.hostname, address.port), timeout=60)
        connection.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: 1000\r\nCookie: talking_head_visitor={visitor}\r\n\r\n--x\r\n".encode()
        )
        return connection

    arriving = len(list(small.outputs.glob("arriving-*")))
    with begun(one) as first, begun(two) as second:
        wait_for(lambda: len(list(small.outputs.glob("arriving-*"))) == arriving + 2)
        for visitor in (one, two, visitors()):  # of the visitor; then of the address
            with small.client(visitor) as client:
                busy = send(client, PORTRAIT.read_bytes())
                assert busy.status_code == 429
                assert int(busy.headers["retry-after"]) >= 1
                assert busy.text.startswith("Too much at once.")
        assert first.recv(4096).startswith(b"HTTP/1.1 408 ")  # what does not come is not waited for
        assert second.recv(4096).startswith(b"HTTP/1.1 408 ")
    wait_for(lambda: not list(small.outputs.glob("arriving-*")))
    with small.client(one) as client, small.client(two) as other:
        statuses = [send(client, picture(5000)).status_code for _ in range(30)]
        assert statuses[:20] == [200] * 20
        assert statuses[-1] == 429
        assert send(other, picture(5000)).status_code == 200


def test_who_goes_away_leaves_nothing(program: Audited, visitor: str) -> None:
    before = set(program.outputs.iterdir())
    address = urlsplit(program.server.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: 90000\r\nCookie: talking_head_visitor={visitor}\r\n\r\n--x\r\n"
            'Content-Disposition: form-data; name="files"; filename="half.png"\r\n\r\n'.encode() + PORTRAIT.read_bytes()[:50_000]
        )
        wait_for(lambda: set(program.outputs.iterdir()) != before)
    wait_for(lambda: set(program.outputs.iterdir()) == before)
