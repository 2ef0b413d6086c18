"""Connections and requests are bounded for each address, so that strangers who only connect take nothing from those who ask."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from core.studio import Studio
from core.web.connections import SPARE
from tests.support.app_process import start_app, stop_app
from tests.support.live_caller import START, call
from tests.support.paths import ROOT
from tests.support.server_process import running
from tests.support.serving import KEY, Serving, error, forget_people, form, serving, wait_for

LIMIT = 8
CROWD = 1200
UPLOAD = (
    f"POST /generate HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nContent-Length: 100000\r\n%s"
    'Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; name="audio"\r\n\r\nRIFF'
)
"""As much of an upload as the server waits with for the rest."""


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def whole_answer(connection: socket.socket) -> bytes:
    answer = b""
    while not answer.endswith(b"}}"):
        received = connection.recv(4096)
        assert received, answer
        answer += received
    return answer


@contextlib.contextmanager
def api_server(folder: Path) -> Iterator[tuple[str, Path]]:
    with running(folder, "--no-page") as server:
        server.ready()
        yield f"{server.url}/health", server.log
        assert server.stop() == 0


@contextlib.contextmanager
def pages(folder: Path) -> Iterator[tuple[str, Path]]:
    server = start_app(folder, (str(ROOT / "app_optimized.py"),))
    try:
        yield server.url, server.log
    finally:
        stop_app(server)


@pytest.mark.parametrize("program", [api_server, pages])
def test_a_crowd_that_says_nothing_keeps_nobody_out(tmp_path: Path, program: type[contextlib.AbstractContextManager]) -> None:
    with contextlib.ExitStack() as crowd:
        with program(tmp_path) as (url, log):
            address = (urlsplit(url).hostname, urlsplit(url).port)
            connections = [crowd.enter_context(socket.create_connection(address, timeout=60)) for _ in range(CROWD)]
            for nth, connection in enumerate(connections):
                with contextlib.suppress(OSError):  # some are ended already
                    connection.sendall(b"" if nth % 2 else b"GET /health HTTP/1.1\r\nX: ")
            for _ in range(5):
                assert httpx.get(url, trust_env=False, timeout=60).status_code == 200
            wait_for(lambda: sum(is_open(connection) for connection in connections) <= 128 + SPARE)
        lines = [line for line in log.read_text().splitlines() if "More than 128 connections from 127.0.0.1" in line]
    assert 1 <= len(lines) <= 2, lines
    assert all("(repeated" in line for line in lines[1:])


def test_newcomers_do_not_push_out_who_is_about_to_ask(server: Serving) -> None:
    """As many as there is room for, and as many again, between a connection and its request."""
    for _ in range(5):
        with contextlib.ExitStack() as flood, socket.create_connection(server.address, 60, ("127.0.0.5", 0)) as asking:
            for nth in range(4 * (LIMIT + SPARE)):
                flood.enter_context(socket.create_connection(server.address, 60, ("127.0.0.5", 0)))
                if nth == 0:
                    asking.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert asking.recv(4096).startswith(b"HTTP/1.1 ")


@pytest.fixture(scope="module")
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("narrow")
    with serving(
        studio, folder, address_connections=LIMIT, trusted_proxies="127.0.0.9", uploads_at_once=100, owner_uploads_at_once=100
    ) as server:
        yield server


@contextlib.contextmanager
def uploads(server: Serving, address: str, headers: str = "") -> Iterator[list[socket.socket]]:
    """As many from one address as may be under way."""
    with contextlib.ExitStack() as open_ones:
        connections = []
        for _ in range(LIMIT):
            connections.append(open_ones.enter_context(socket.create_connection(server.address, 60, (address, 0))))
            connections[-1].sendall((UPLOAD % headers).encode())
        wait_for(lambda: server.context.uploads.taken >= LIMIT)
        yield connections
    wait_for(lambda: server.context.uploads.taken == 0)


def client_from(server: Serving, address: str, **headers: str) -> httpx.Client:
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(base_url=server.url, headers={"X-API-Key": KEY, **headers}, transport=transport, timeout=60)


def test_requests_of_one_address_are_bounded_and_others_are_served(server: Serving) -> None:
    with uploads(server, "127.0.0.2"), client_from(server, "127.0.0.2") as same, client_from(server, "127.0.0.3") as other:
        refused = same.get("/avatars")
        assert error(refused, 429)["type"] == "TooMany"
        assert int(refused.headers["retry-after"]) > 0
        assert same.get("/health").json()["live"]
        assert other.get("/avatars").status_code == 200
    with client_from(server, "127.0.0.2") as same:
        assert same.get("/avatars").status_code == 200


def test_behind_a_trusted_proxy_its_clients_are_the_addresses(server: Serving) -> None:
    told = {"X-Forwarded-For": "203.0.113.1"}
    with uploads(server, "127.0.0.9", "X-Forwarded-For: 203.0.113.1\r\n"), client_from(server, "127.0.0.9") as proxy:
        error(proxy.get("/avatars", headers=told), 429)
        assert proxy.get("/avatars", headers={"X-Forwarded-For": "203.0.113.2"}).status_code == 200
        with client_from(server, "127.0.0.3") as stranger:  # who nobody trusts speaks for nobody else
            assert stranger.get("/avatars", headers=told).status_code == 200


def test_the_connections_of_a_trusted_proxy_are_not_those_of_one_address(server: Serving) -> None:
    with contextlib.ExitStack() as open_ones:
        connections = [
            open_ones.enter_context(socket.create_connection(server.address, 60, ("127.0.0.9", 0))) for _ in range(3 * (LIMIT + SPARE))
        ]
        with client_from(server, "127.0.0.9") as proxy:
            assert proxy.get("/health").json()["live"]
        assert all(is_open(connection) for connection in connections)


def test_who_goes_on_sending_after_the_answer_counts_as_silent(server: Serving) -> None:
    with contextlib.ExitStack() as open_ones:
        connections = []
        for _ in range(LIMIT + SPARE):
            connections.append(open_ones.enter_context(socket.create_connection(server.address, 60, ("127.0.0.4", 0))))
            connections[-1].sendall(b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
            assert whole_answer(connections[-1]).startswith(b"HTTP/1.1 405 ")
            connections[-1].sendall(b"x")
        with client_from(server, "127.0.0.4") as same:
            assert same.get("/health").json()["live"]
            wait_for(lambda: not all(is_open(connection) for connection in connections))


def test_a_stop_does_not_wait_for_an_upload(tmp_path: Path) -> None:
    """With a grace of an hour, which is for jobs: what is still being sent can only be sent again."""
    with running(tmp_path, "--no-page", TALKING_HEAD_STOP_GRACE_S="3600", TALKING_HEAD_HEADER_TIMEOUT_S="3600") as server:
        server.ready()
        address = urlsplit(server.url)
        with (
            socket.create_connection((address.hostname, address.port), timeout=60) as upload,
            socket.create_connection((address.hostname, address.port), timeout=60) as head,
        ):
            upload.sendall((UPLOAD % "").encode())
            head.sendall(b"GET /health HTTP/1.1\r\nX: ")
            wait_for(lambda: any((tmp_path / "out").rglob("arriving-*")))
            server.process.terminate()
            answer = b"".join(iter(lambda: upload.recv(4096), b""))
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"The server is stopping." in answer
            assert head.recv(4096) == b""
            assert server.process.wait(60) == 0
        assert not any((tmp_path / "out").rglob("arriving-*"))
        assert "ERROR" not in server.log.read_text()


def test_the_clock_of_a_requests_head_does_not_end_a_live_connection(studio: Studio, tmp_path: Path) -> None:
    async def talk(server: Serving, token: str) -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.until(lambda: caller.media and caller.media[-1][0][5] > 1_500_000)  # microseconds of video

    with serving(studio, tmp_path, header_timeout_s=0.5) as server, server.client() as client:
        token = client.post("/avatars", **form(audio=None)).json()["token"]
        asyncio.run(talk(server, token))
        client.delete(f"/avatars/{token}")
    forget_people(studio)
