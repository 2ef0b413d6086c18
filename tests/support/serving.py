"""A real server on loopback for the tests of the API, in this process: what it holds can be looked at and made to fail."""

from __future__ import annotations

import asyncio
import faulthandler
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from core.service.live_source import LiveSource
from core.service.outputs import OutputFolder
from core.service.owners import owner_name
from core.service.service import Service
from core.studio import Studio
from core.web.addresses import listen
from core.web.api.app import build_api
from core.web.api.context import Context
from core.web.api.http import make_server
from core.web.api.settings import ServerSettings
from integrations.webrtc import offer_webrtc
from tests.support.paths import PORTRAIT, SPEECH

KEY, OTHER_KEY = "a-key-of-the-tests-the-first", "a-key-of-the-tests-another"
PATIENCE_S = 60.0


class Serving:
    """A running server. context: what its routes share."""

    def __init__(self, address: tuple[str, int], context: Context, outputs: OutputFolder) -> None:
        self.address, self.context, self.outputs = address, context, outputs
        self.url, self.ws = f"http://127.0.0.1:{address[1]}", f"ws://127.0.0.1:{address[1]}"

    def client(self, key: str = KEY, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"X-API-Key": key}, timeout=PATIENCE_S, trust_env=False, **options)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=PATIENCE_S)

    def left_over(self) -> list[Path]:
        """What the server keeps in its private folder."""
        return sorted(path for path in self.outputs.root.rglob("*") if path != self.outputs.root / "inputs")

    def idle(self) -> bool:
        queue = self.context.service.queue()
        return queue["running"] + queue["waiting"] == 0 and self.context.uploads.taken == 0


@contextmanager
def serving(studio: Studio, folder: Path, live_source: LiveSource | None = None, **settings: Any) -> Iterator[Serving]:
    """A server over `studio` with two keys. live_source: as of Service. settings: of ServerSettings."""
    settings = {"api_keys": f"{KEY},{OTHER_KEY}", "requests_per_minute": 10_000, "jobs_per_minute": 10_000, "stop_grace_s": 0,
                "wrong_keys_per_minute": 10_000, **settings}
    about = ServerSettings(output_dir=folder, cache_dir=studio.settings.cache_dir, **settings)
    outputs = OutputFolder(folder / "videos", about.output_ttl_s)
    outputs.prepare()
    service = Service(studio, outputs, about, webrtc=offer_webrtc(about), live_source=live_source)
    service.start()
    sock = listen("127.0.0.1", 0)
    app = build_api(service, about, loopback=True)
    server = make_server(app, about, None)  # the studio is shared
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([sock])), name="server")
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield Serving(sock.getsockname(), app.state.context, outputs)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        sock.close()
        service.close(0.0)
        if thread.is_alive():
            faulthandler.dump_traceback(all_threads=True)  # where it hangs
    assert not thread.is_alive()


def forget_people(studio: Studio) -> None:
    """Those that the tests' keys registered: the studio is shared with other files of tests."""
    for key in (KEY, OTHER_KEY):
        studio.clear_cache("all", owner_name("api", key))


def wait_for(true: Callable[[], Any], timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def form(audio: Path | bytes | None = SPEECH, image: Path | bytes | None = PORTRAIT, **fields: str) -> dict[str, Any]:
    """Arguments of httpx for a form."""
    given = {name: data for name, data in (("audio", audio), ("image", image)) if data is not None}
    files: dict[str, Any] = {name: ("x", data if isinstance(data, bytes) else data.read_bytes()) for name, data in given.items()}
    files |= {name: (None, value) for name, value in fields.items()}
    return {"files": files}


def error(answer: httpx.Response, status: int) -> dict[str, str]:
    """The error in an answer, checked to be of the documented shape and to tell no path."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    about = answer.json()["error"]
    assert set(about) == {"type", "message", "hint"}
    assert about["message"]
    for path in ("/tmp/", "/usr/", "/root/", "Traceback", ".py"):  # noqa: S108 - looked for, not used
        assert path not in answer.text
    return about
