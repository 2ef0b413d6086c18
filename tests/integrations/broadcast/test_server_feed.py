"""What is fed to a server's session: bounded while the server takes nothing, and sent again after a lost connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from websockets.sync.server import ServerConnection, serve

from integrations.broadcast import server_session
from integrations.broadcast.server_session import MOST_UNTAKEN, ServerSession
from integrations.live_client import HEADER, PICTURE, SOUND
from tests.support.serving import wait_for

READY = {"type": "ready", "session": "one", "secret": "s", "received": 0, "resumed": False, "sound_rate_hz": 48_000}


def media(kind: int, data: bytes) -> bytes:
    return HEADER.pack(1, kind, 0, 0, 0, 0, 40_000) + data


class Server:
    """Shows one picture, and confirms nothing. came: the messages of each connection."""

    def __init__(self) -> None:
        self.came: list[list[str | bytes]] = []
        self.sockets: list[ServerConnection] = []

    def __call__(self, socket: ServerConnection) -> None:
        came: list[str | bytes] = []
        self.came.append(came)
        self.sockets.append(socket)
        resumed = json.loads(socket.recv())["type"] == "resume"
        socket.send(json.dumps({**READY, "resumed": resumed}))
        if not resumed:
            socket.send(media(PICTURE, cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes()))
            socket.send(media(SOUND, bytes(2 * 1920)))
        came.extend(socket)


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    handler = Server()
    with serve(handler, "127.0.0.1", 0) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield handler, f"http://127.0.0.1:{listening.socket.getsockname()[1]}"
        listening.shutdown()
        thread.join()


def test_what_waits_is_bounded_and_outlasts_a_connection(server: tuple[Server, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_session, "ROOM_S", 0.1)
    monkeypatch.setattr("integrations.live_client.RETRY_S", 0.05)
    handler, url = server
    said: list[str] = []
    session = ServerSession(url, "token", "", "auto", {}, 16_000, "", 1.0, said.append)
    try:
        assert any("synthetic" in line for line in said), "this server tells no metadata"
        fed = 0
        while session.feed(bytes(64)):
            fed += 1
        assert fed == MOST_UNTAKEN
        wait_for(lambda: handler.came[0].count(bytes(64)) == fed if handler.came[0] else False)
        handler.sockets[0].close()
        wait_for(lambda: len(handler.came) == 2 and handler.came[1].count(bytes(64)) == fed)
    finally:
        session.close()
