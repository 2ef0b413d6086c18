"""What clients of api_server.py and app.py are told when the process gets SIGTERM, and that none of them delays its end.

The grace is an hour where nothing may wait for it: a process that waited would outlast the tests' patience.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.app_process import start_app
from tests.support.live_caller import START, call, speech
from tests.support.paths import LONG_SPEECH
from tests.support.server_process import START_S, Process, running
from tests.support.serving import KEY, error, form, wait_for

AN_HOUR = {"TALKING_HEAD_STOP_GRACE_S": "3600", "TALKING_HEAD_UPLOAD_TIMEOUT_S": "3600"}


def slow_upload(url: str, path: str, key: str = "") -> socket.socket:
    """A connection on which the beginning of a form came, and nothing more will."""
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    sock = socket.create_connection((host, int(port)), timeout=START_S)
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000\r\n"
    part = '--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\nRIFF'
    sock.sendall(f"{head}{f'X-API-Key: {key}' if key else 'Accept: */*'}\r\n\r\n{part}".encode())
    return sock


def avatar(server: Process) -> str:
    with server.client() as client:
        token: str = client.post("/avatars", **form(audio=None)).json()["token"]
    return token


def test_live_clients_are_told_and_one_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    with running(tmp_path, "--no-page", **AN_HOUR) as server:
        server.ready()
        token = avatar(server)

        async def test() -> int:
            async with call(server, token) as caller, call(server, token) as deaf:
                await deaf.say(type="start", format="jpeg", options={"size": 512})
                await deaf.event("ready")
                deaf.socket.transport.pause_reading()
                await caller.say(**START)
                await caller.event("ready")
                await caller.socket.send(speech(3.0))
                await caller.event("speaking")
                stopping = asyncio.create_task(asyncio.to_thread(server.stop))
                code, event = await caller.end()
                assert (code, event["type"]) == (1012, "closing")
                assert event["reason"] == "The service is stopping."
                status = await stopping
                deaf.socket.transport.abort()
                return status

        assert asyncio.run(test()) == 0
        assert "Traceback" not in server.log.read_text()


def test_a_slow_upload_does_not_delay_the_end(tmp_path: Path) -> None:
    with running(tmp_path, "--no-page", **AN_HOUR) as server:
        server.ready()
        uploads = [slow_upload(server.url, path, KEY) for path in ("/generate", "/stream")]
        try:
            with server.client() as client:
                assert client.get("/health").status_code == 200  # what was sent before it has arrived by now
            assert server.stop() == 0
            answers = [sock.recv(1000) for sock in uploads]
        finally:
            for sock in uploads:
                sock.close()
        assert all(answer.startswith(b"HTTP/1.1 503") and b"stopping" in answer for answer in answers), answers
        assert "Traceback" not in server.log.read_text()


@pytest.mark.slow
def test_a_slow_upload_does_not_delay_the_end_of_a_page(tmp_path: Path) -> None:
    app = start_app(tmp_path, TALKING_HEAD_UPLOAD_TIMEOUT_S="3600")
    upload = slow_upload(app.url, "/gradio_api/upload")
    try:
        app.process.terminate()
        assert app.process.wait(START_S) == 0
    finally:
        upload.close()
        app.process.kill()
        app.process.wait()
    assert "Traceback" not in app.log.read_text()


@pytest.mark.slow
def test_a_stream_that_waits_is_told_why_it_ends(tmp_path: Path) -> None:
    with running(tmp_path, "--no-page", TALKING_HEAD_STOP_GRACE_S="0") as server:
        server.ready()
        answers: list[httpx.Response] = []

        def ask(**fields: Any) -> None:
            with server.client() as client:
                answers.append(client.post("/stream", **form(audio=LONG_SPEECH, **fields)))

        with server.client() as client:
            first = client.post("/generate?async=1", **form(audio=LONG_SPEECH, options='{"size": 1920}'))
            assert first.status_code == 202
            wait_for(lambda: client.get("/health").json()["queue"]["running"] == 1)
            asking = threading.Thread(target=ask)
            asking.start()
            wait_for(lambda: client.get("/health").json()["queue"]["waiting"] == 1)
        assert server.stop() == 0
        asking.join(START_S)
        about = error(answers[0], 503)
        assert (about["type"], about["message"]) == ("BusyError", "The service is stopping.")
        assert int(answers[0].headers["retry-after"]) > 0
        assert "Traceback" not in server.log.read_text()
