"""The worker's HTTP interface, and who only connects to it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

pytest.importorskip("livekit.agents")

from core.settings import Settings  # noqa: E402
from integrations.livekit.rooms import AvatarRooms  # noqa: E402
from integrations.livekit.server import server_of  # noqa: E402
from tests.support.serving import wait_for  # noqa: E402

pytestmark = pytest.mark.slow  # for the packages that it needs
KEY = "a key of sixteen"


@contextlib.contextmanager
def worker(settings: Settings) -> Iterator[int]:
    """Its port."""

    def none() -> None:
        pytest.fail("nobody is let in")

    rooms = AvatarRooms("", none, 2, 60.0)  # type: ignore[arg-type]
    server = server_of(rooms, KEY, settings)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        try:
            wait_for(lambda: server.started)
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def test_who_only_connects_keeps_no_agent_out() -> None:
    with worker(Settings(header_timeout_s=0.3)) as port, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(100)]
        silent[-1].sendall(b"POST /launch HTTP/1.1\r\n")
        url = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{url}/health", trust_env=False).json() == {"free": 2}
        refused = httpx.post(f"{url}/launch", json={"token": "x"}, headers={"Authorization": "Bearer another"}, trust_env=False)
        assert refused.status_code == 401
        silent[-1].settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            assert silent[-1].recv(1000) == b"", "half a head is not waited for"
