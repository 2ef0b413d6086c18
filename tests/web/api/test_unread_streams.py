"""Streams whose clients do not read: nobody else waits for them, and what was not taken is bounded in time and bytes."""

from __future__ import annotations

import contextlib
import socket
import wave
from collections.abc import Iterator
from io import BytesIO

import httpx
import pytest

from core.service import job_handles
from core.streaming import spool
from tests.support.paths import SPEECH
from tests.support.serving import OTHER_KEY, Serving, form, wait_for

READERS, SECONDS = 3, 120


def long_speech(seconds: int) -> bytes:
    sink = BytesIO()
    with wave.open(str(SPEECH)) as source, wave.open(sink, "wb") as cut:
        cut.setparams(source.getparams())
        data = source.readframes(source.getnframes())
        length = 2 * seconds * source.getframerate()
        cut.writeframes((data * (length // len(data) + 1))[:length])
    return sink.getvalue()


@contextlib.contextmanager
def reader(server: Serving, seconds: int) -> Iterator[socket.socket]:
    """Asks for a stream, and reads nothing of it by itself."""
    request = httpx.Request("POST", f"{server.url}/stream", headers={"X-API-Key": OTHER_KEY}, **form(long_speech(seconds)))
    body = request.read()
    head = b"".join(b"%s: %s\r\n" % pair for pair in request.headers.raw)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(server.address)
        connection.sendall(b"POST /stream HTTP/1.1\r\n" + head + b"\r\n" + body)
        yield connection


@pytest.mark.slow
def test_three_readers_that_do_not_read_and_one_who_is_served(server: Serving) -> None:
    """With one place: the stranger's video is made while the long ones, asked for before, are not."""
    with contextlib.ExitStack() as readers, server.client() as client:
        for _ in range(READERS):
            readers.enter_context(reader(server, SECONDS))
        wait_for(lambda: sum(server.context.service.queue()[name] for name in ("running", "waiting")) == READERS)
        for _ in range(3):
            assert client.post("/generate", **form()).status_code == 200
            queue = server.context.service.queue()
            assert queue["running"] + queue["waiting"] == READERS, "none of them was waited for"
    wait_for(server.idle)  # who is gone is worked for no longer


def test_a_job_ends_before_its_reader_reads_and_the_rest_comes_whole(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MEMORY_BYTES", 100_000)
    room = server.context.studio._spool_room
    with reader(server, 30) as connection:
        wait_for(lambda: server.context.service.queue()["running"])
        wait_for(server.idle)
        assert room.taken_bytes > 0, "what was not taken lies on the disk"
        server.context.jobs.sweep()  # a reader that has begun may take its time
        data = b""
        while not data.endswith(b"\r\n0\r\n\r\n"):
            got = connection.recv(65_536)
            assert got, "it broke off"
            data += got
    assert data.count(b"moof") >= 16
    wait_for(lambda: room.taken_bytes == 0)


def test_what_is_never_taken_is_given_up(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MEMORY_BYTES", 100_000)
    monkeypatch.setattr(job_handles, "HANDLE_S", 0.0)
    monkeypatch.setattr(job_handles, "READER_S", 0.0)
    room = server.context.studio._spool_room
    with reader(server, 30) as connection:
        wait_for(lambda: server.context.service.queue()["running"])
        wait_for(server.idle)
        assert room.taken_bytes > 0
        server.context.jobs.sweep()
        assert room.taken_bytes == 0
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while got := connection.recv(65_536):
                data += got
        assert not data.endswith(b"\r\n0\r\n\r\n"), "the client is told that it does not have all"
