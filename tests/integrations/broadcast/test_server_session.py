"""A session of something that is no server of ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from websockets.sync.server import ServerConnection, serve

from integrations.broadcast.server_session import ServerLost, ServerSession


@pytest.fixture
def other(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that says `request.param` and waits."""

    def answer(socket: ServerConnection) -> None:
        socket.recv()
        socket.send(request.param)
        socket.recv()

    with serve(answer, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("other", [b"x", "no JSON", "{}", "[]", b"\1\3" + bytes(22) + b"no JPEG"], indirect=True)
def test_what_cannot_be_read_ends_the_session(other: str) -> None:
    with pytest.raises(ServerLost, match="cannot be read"):
        ServerSession(other, "token", "", "auto", {}, 16_000, "", 1.0, lambda line: None)
