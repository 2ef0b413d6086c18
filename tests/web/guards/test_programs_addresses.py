"""Under which names and from which web pages the three programs may be used, and what their answers tell browsers."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.app_process import stop_app
from tests.support.paths import ASSETS
from tests.web.guards.conftest import Audited, start

HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "same-origin", "cross-origin-resource-policy": "same-origin"}
TOKEN = "a" * 43
PHOTO = (ASSETS / "portrait.png").read_bytes()
STREAMS = (
    "gradio_api/queue/data?session_hash=x", "gradio_api/heartbeat/abc", f"talking_head_events/{TOKEN}", f"talking_head_stream/{TOKEN[:22]}",
)  # fmt: skip
READ = ("", "de", "config", "gradio_api/info", "gradio_api/file=/etc/hostname", "nothing/at/all", *STREAMS)
EVERYWHERE = "0.0.0.0"  # noqa: S104 - only this machine reaches the machine of the tests
FOREIGN_HOSTS = (
    "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "169.254.169.254", "10.0.0.1", "2130706433", EVERYWHERE,
    "x@127.0.0.1",
)  # fmt: skip
FOREIGN_ORIGINS = ("https://evil.example", "null", "http://127.0.0.1:1", "https://localhost.evil.example", "file://", "chrome-extension://abc")


def answers(client: httpx.Client, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """Everything there is to ask for: pages, files, event streams, an upload, a call, and a preflight."""
    for path in READ:
        yield client.get(path, headers=headers)
    yield client.post("gradio_api/upload", headers=headers, files={"files": ("x.png", b"x")})
    yield client.post("gradio_api/queue/join", headers=headers, json={"data": [], "fn_index": 0, "session_hash": "x"})
    yield client.request("OPTIONS", "gradio_api/upload", headers={"Access-Control-Request-Method": "POST", **headers})


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_name_is_refused(program: Audited, host: str) -> None:
    port = urlsplit(program.server.url).port
    with program.client() as client:
        for answer in answers(client, {"Host": f"{host}:{port}"}):
            assert answer.status_code == 421, answer.url
            assert "TALKING_HEAD_ALLOWED_HOSTS" in answer.json()["error"]["hint"]
            assert HEADERS.items() <= dict(answer.headers).items()
        for answer in answers(client, {"X-Forwarded-Host": host, "X-Forwarded-Proto": "https", "Origin": f"https://{host}"}):
            assert answer.status_code == 403  # nobody said that this proxy is to be believed


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_web_page_of_another_origin_is_refused(program: Audited, origin: str) -> None:
    with program.client() as client:
        for answer in answers(client, {"Origin": origin}):
            assert answer.status_code == 403, answer.url
            assert "TALKING_HEAD_" in answer.json()["error"]["hint"]
            assert "access-control-allow-origin" not in answer.headers
        own = client.post("gradio_api/upload", headers={"Origin": program.server.url.rstrip("/")}, files={"files": ("x.png", PHOTO)})
        assert own.status_code == 200


def test_a_web_socket_is_refused_too(program: Audited) -> None:
    address = (urlsplit(program.server.url).hostname, urlsplit(program.server.url).port)
    for name, origin, status in (("evil.example", "http://evil.example", b"421"), ("localhost", "http://evil.example", b"403")):
        head = f"GET /live HTTP/1.1\r\nHost: {name}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
            assert connection.recv(4096).split()[1] == status


def test_a_request_without_a_host_or_with_two(program: Audited) -> None:
    address = (urlsplit(program.server.url).hostname, urlsplit(program.server.url).port)
    for head in (b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"):
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(head)
            assert connection.recv(4096).split()[1] in (b"400", b"421")


def test_every_answer_has_the_headers(program: Audited) -> None:
    with program.client() as client:
        for path in READ[:6]:
            answer = client.get(path)
            assert HEADERS.items() <= dict(answer.headers).items(), path
            policy = answer.headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert policy.endswith("frame-ancestors 'self'")


def test_names_of_this_machine_are_known(program: Audited) -> None:
    port = urlsplit(program.server.url).port
    with program.client() as client:
        for host in (f"localhost:{port}", f"LOCALHOST:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "localhost", "127.0.0.2"):
            assert client.get("config", headers={"Host": host}).status_code == 200


def test_nobody_else_says_where_a_request_came_from(program: Audited) -> None:
    with program.client() as client:
        answer = client.get("", headers={"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Accept": "text/html"})
        assert answer.status_code == 200
        assert "evil.example" not in answer.text
        assert "SameSite=Lax" in answer.headers["set-cookie"]


def test_a_space_and_a_proxy_by_configuration(tmp_path: Path) -> None:
    """Also that nothing of Hugging Face is asked for at the start of a Space."""
    program = start(
        tmp_path, "app_optimized.py", EVERYWHERE, SPACE_ID="a/b", SPACE_HOST="a-b.hf.space",
        TALKING_HEAD_TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8", TALKING_HEAD_ALLOWED_HOSTS="talk.example, *.gradio.live",
    )  # fmt: skip
    try:
        with program.client(secrets.token_hex(24)) as client:
            for host, status in (
                ("a-b.hf.space", 200), ("talk.example", 200), ("x.gradio.live", 200), ("203.0.113.7:7860", 200), ("[2001:db8::1]", 200),
                ("localhost", 200), ("gradio.live", 421), ("evil.example", 421), ("talk.example.evil.example", 421),
            ):  # fmt: skip
                assert client.get("config", headers={"Host": host}).status_code == status, host
                forwarded = {"Host": "inside.local", "X-Forwarded-Host": host, "X-Forwarded-Proto": "https"}
                assert client.get("config", headers=forwarded).status_code == status
                headers = {**forwarded, "Origin": f"https://{host}"}
                same = client.post("gradio_api/upload", headers=headers, files={"files": ("x.png", PHOTO)})
                assert same.status_code == status
            forwarded = {"Host": "inside.local", "X-Forwarded-Host": "a-b.hf.space", "X-Forwarded-Proto": "https"}
            page = client.get("", headers={**forwarded, "Cookie": ""})
            assert "SameSite=None; Secure; Partitioned" in page.headers["set-cookie"]
            assert page.headers["content-security-policy"].endswith("frame-ancestors 'self' https://huggingface.co")
            assert '"root":"https://a-b.hf.space' in page.text
        connected = [line for line in program.connections().splitlines() if "hugging" in line or "gradio" in line or "hf.space" in line]
        assert connected == []
    finally:
        stop_app(program.server)
